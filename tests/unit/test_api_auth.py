"""Who may do what: the rule as a table."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from ghostd.api.auth import Facts, Gatekeeper, Scope, facts, host_name
from ghostd.base.errors import Cannot
from ghostd.security.token import issue

SECRET, OTHER = b"s" * 32, b"o" * 32
NOW = 1_753_770_600.0


def token(*scopes: str, secret: bytes = SECRET, ttl: float = 60) -> dict[str, str]:
    return {"authorization": "Bearer " + issue(secret, subject="ann", scopes=scopes, ttl=ttl, now=NOW)}


def request(method="GET", *, local=False, peer="127.0.0.1", host="127.0.0.1", **headers: str) -> Facts:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Facts(method=method, local=local, peer=peer, host=host, headers=named)


def keeper(**settings) -> Gatekeeper:
    return Gatekeeper(**{"secrets": [SECRET], "open_loopback": True, **settings})


def verdict(scope, asked: Facts, **settings) -> str:
    """The subject that is let in, or the kind of the refusal."""
    try:
        return keeper(**settings).admit(scope, asked, now=NOW).subject
    except Cannot as error:
        return error.kind


READ, SUBMIT = Scope.READ, Scope.SUBMIT


@pytest.mark.parametrize(
    ("scope", "asked", "expected"),
    [
        (None, request(peer="203.0.113.9", host="anything"), "anybody"),
        (READ, request(), "loopback"),
        (READ, request(peer="::1", host="::1"), "loopback"),
        (READ, request(peer="127.8.8.8", host="localhost"), "loopback"),
        (READ, request(peer="203.0.113.9"), "unauthorised"),
        (READ, request(peer=""), "unauthorised"),
        (READ, request(host="rebound.example"), "host-not-allowed"),
        (READ, request(host=""), "host-not-allowed"),
        (READ, request(x_forwarded_for="203.0.113.9"), "unauthorised"),
        (READ, request(cf_connecting_ip="203.0.113.9"), "unauthorised"),
        (READ, request(forwarded="for=203.0.113.9"), "unauthorised"),
        (READ, request(local=True, peer="", host=""), "owner"),
        (SUBMIT, request("POST", local=True, peer=""), "unauthorised"),
        (SUBMIT, request("POST"), "unauthorised"),
        (SUBMIT, request("POST", sec_fetch_site="cross-site"), "cross-site"),
        (SUBMIT, request("POST", sec_fetch_site="same-site"), "cross-site"),
        (None, request("POST", sec_fetch_site="cross-site"), "cross-site"),
        (SUBMIT, request("POST", sec_fetch_site="cross-site", **token("submit")), "ann"),
        (SUBMIT, request("POST", peer="203.0.113.9", host="public.example", **token("submit")), "ann"),
        (SUBMIT, request("POST", **token("read", "operate")), "forbidden"),
        (SUBMIT, request("POST", **token("admin")), "ann"),
        (READ, request(**token("submit")), "forbidden"),
        (READ, request(**token("read", secret=OTHER)), "unauthorised"),
        (READ, request(**token("read", ttl=-1)), "unauthorised"),
        (READ, request(authorization="Basic Z2hvc3Q6Z2hvc3Q="), "unauthorised"),
        (READ, request(authorization=""), "unauthorised"),
        (READ, request(authorization="Bearer "), "unauthorised"),
    ],
)
def test_the_rule(scope, asked, expected):
    """A token decides; without one, only this machine reads, and only when nobody else can be behind the request."""
    assert verdict(scope, asked) == expected


def test_loopback_reads_only_while_it_is_open():
    """The setting; the workspace's own socket is not loopback."""
    assert verdict(READ, request(), open_loopback=False) == "unauthorised"
    assert verdict(READ, request(local=True), open_loopback=False) == "owner"


def test_while_a_secret_is_rotated_both_are_good():
    """The new one first, the old one until it is taken away."""
    assert verdict(READ, request(**token("read", secret=OTHER)), secrets=[SECRET, OTHER]) == "ann"


def test_without_a_secret_no_token_is_good():
    """Nothing is signed by nothing."""
    assert verdict(SUBMIT, request("POST", **token("submit")), secrets=[]) == "unauthorised"


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        (None, "127.0.0.1:80", True),
        ("http://127.0.0.1:80", "127.0.0.1:80", True),
        ("http://localhost:80", "localhost:80", True),
        ("http://127.0.0.1:81", "127.0.0.1:80", False),
        ("http://rebound.example", "rebound.example", False),
        ("https://evil.example", "127.0.0.1:80", False),
        ("https://listed.example", "127.0.0.1:80", True),
        ("null", "127.0.0.1:80", False),
        ("", "127.0.0.1:80", False),
    ],
)
def test_a_stream_is_opened_by_our_own_page_or_by_a_listed_one(origin, host, allowed):
    """Browsers send Origin always, so a foreign page can not hide."""
    headers = {"host": host} | ({} if origin is None else {"origin": origin})
    asked = Facts(method="GET", local=False, peer="127.0.0.1", host=host_name(host), headers=headers)
    with nullcontext() if allowed else pytest.raises(Cannot, match="another site"):
        keeper(origins=frozenset({"https://listed.example"})).admit_page(asked)


@pytest.mark.parametrize(
    ("authority", "name"),
    [
        ("LOCALHOST:80", "localhost"),
        ("[::1]:80", "::1"),
        ("a.b.", "a.b"),
        ("[::1", ""),
        ("u@127.0.0.1", "127.0.0.1"),
        ("", ""),
    ],
)
def test_host_names(authority, name):
    """Case, port, brackets and a last dot do not count."""
    assert host_name(authority) == name


def test_facts_of_a_request():
    """An ASGI scope as it comes from the server."""
    scope = {"method": "POST", "client": ("::1", 5), "headers": [(b"host", b"[::1]:80"), (b"x-a", b"\xe9")]}
    read = facts(scope, local=False)
    assert (read.method, read.peer, read.host, read.headers["x-a"]) == ("POST", "::1", "::1", "é")
    assert facts({"headers": [], "client": None}, local=True).peer == ""
