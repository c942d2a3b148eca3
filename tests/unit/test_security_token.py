"""A token opens what its scopes name, for as long as it says, and nothing else does."""

from __future__ import annotations

import base64
import json

import jwt
import pytest

from ghostd.base.errors import Cannot
from ghostd.security import token

SECRET = b"0123456789abcdef0123456789abcdef"
OTHER = b"fedcba9876543210fedcba9876543210"
NOW = 1_753_770_600.0


def made(**changed):
    asked = {"subject": "ci", "scopes": ["read", "submit"], "ttl": 3600, "now": NOW, **changed}
    return token.issue(SECRET, **asked)


def signed(claims=None, *, key=SECRET, algorithm="HS256", headers=None):
    """A token with claims of one's own."""
    good = {"iss": "ghost", "sub": "ci", "scope": "read", "iat": int(NOW), "exp": int(NOW) + 60}
    merged = {name: value for name, value in {**good, **(claims or {})}.items() if value is not None}
    return jwt.encode(merged, key, algorithm=algorithm, headers=headers)


def by_hand(header, claims=None, signature=b""):
    parts = [json.dumps(header).encode(), json.dumps(claims or {}).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def test_a_token_names_its_holder_and_scopes():
    found = token.check(made(), [SECRET], now=NOW)
    assert (found.subject, found.scopes) == ("ci", {"read", "submit"})
    assert found.may("submit")
    assert not found.may("operate")


def test_admin_may_everything_and_no_other_scope_includes_another():
    admin = token.check(made(scopes=["admin"]), [SECRET], now=NOW)
    assert all(admin.may(scope) for scope in token.SCOPES)
    operator = token.check(made(scopes=["operate"]), [SECRET], now=NOW)
    assert [scope for scope in token.SCOPES if operator.may(scope)] == ["operate"]


def test_while_a_secret_is_rotated_both_hold():
    assert token.check(made(), [OTHER, SECRET], now=NOW).subject == "ci"
    assert token.check(made(), [SECRET, OTHER], now=NOW).subject == "ci"


@pytest.mark.parametrize(
    ("when", "holds"),
    [(NOW, True), (NOW + 3599, True), (NOW + 3600, False), (NOW + 1e9, False), (NOW - 29, True), (NOW - 31, False)],
)
def test_it_holds_from_its_making_to_its_end(when, holds):
    """A clock that runs a little behind is forgiven; an end that has come is not."""
    if holds:
        assert token.check(made(), [SECRET], now=when)
    else:
        with pytest.raises(Cannot):
            token.check(made(), [SECRET], now=when)


CLAIMS = {"iss": "ghost", "sub": "ci", "scope": "admin", "iat": int(NOW), "exp": int(NOW) + 60}
REFUSED = {
    "empty": "",
    "no token": "hello",
    "two dots": "..",
    "not ascii": "é.é.é",
    "alg none": by_hand({"alg": "none"}, CLAIMS),
    "alg None": by_hand({"alg": "None"}, CLAIMS),
    "alg none with a signature": by_hand({"alg": "none"}, CLAIMS, b"x" * 32),
    "HS384": signed(key=SECRET * 2, algorithm="HS384"),
    "HS384 with our key": signed(key=SECRET + b"x" * 16, algorithm="HS384"),
    "RS256 in the header": by_hand({"alg": "RS256"}, CLAIMS, b"x" * 256),
    "no alg": by_hand({"typ": "JWT"}, CLAIMS, b"x" * 32),
    "alg of another type": by_hand({"alg": ["HS256"]}, CLAIMS, b"x" * 32),
    "unknown critical header": signed(headers={"crit": ["b64"], "b64": False}),
    "no signature": by_hand({"alg": "HS256"}, CLAIMS),
    "another secret": signed(key=OTHER),
    "cut": made()[:-2],
    "with something behind": made() + "A",
    "header is no mapping": by_hand(["HS256"], CLAIMS, b"x"),
    "no exp": signed({"exp": None}),
    "no scope": signed({"scope": None}),
    "no subject": signed({"sub": None}),
    "another issuer": signed({"iss": "somebody"}),
    "exp is a text": signed({"exp": "9999999999"}),
    "exp has no end": signed({"exp": 1e18}),
    "scope is a list": signed({"scope": ["read"]}),
    "subject is a number": signed({"sub": 5}),
    "too long": signed({"sub": "x" * 5000}),
    "deep": by_hand({"alg": "HS256", "x": json.loads("[" * 500 + "]" * 500)}, CLAIMS, b"x"),
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_everything_else_is_refused_with_one_and_the_same_answer(text):
    """An answer that differed would tell a stranger how far they got."""
    with pytest.raises(Cannot) as caught:
        token.check(text, [SECRET], now=NOW)
    assert caught.value.as_json() == {
        "kind": "unauthorised",
        "message": "cannot accept this token",
        "hint": "make one with ghost token create",
    }


def test_every_single_changed_character_is_noticed():
    good = made()
    for index, character in enumerate(good):
        if index == len(good) - 1:
            continue  # the last character of base64 has bits that nobody reads
        changed = good[:index] + ("A" if character != "A" else "B") + good[index + 1 :]
        with pytest.raises(Cannot):
            token.check(changed, [SECRET], now=NOW)


@pytest.mark.parametrize("secrets", [[], [b""], [b"short"]])
def test_without_a_proper_secret_nothing_is_accepted(secrets):
    """Least of all a token that was signed with the empty one."""
    with pytest.raises(Cannot):
        token.check(made(), secrets, now=NOW)


def test_scopes_that_do_not_exist_are_dropped():
    assert token.check(signed({"scope": "read root"}), [SECRET], now=NOW).scopes == {"read"}


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ({"scopes": []}, "unknown-scope"),
        ({"scopes": ["root"]}, "unknown-scope"),
        ({"scopes": ["read", "x"]}, "unknown-scope"),
    ],
)
def test_only_known_scopes_are_given_out(asked, kind):
    with pytest.raises(Cannot) as caught:
        made(**asked)
    assert caught.value.kind == kind


def test_a_short_secret_signs_nothing():
    with pytest.raises(Cannot) as caught:
        token.issue(b"short", subject="x", scopes=["read"], ttl=60, now=NOW)
    assert caught.value.kind == "weak-secret"
    assert "short'" not in str(caught.value)
