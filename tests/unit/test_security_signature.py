"""A webhook's sender is known by the raw body's signature; all that is wrong gets the same answer."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from ghostd.base.errors import Cannot
from ghostd.security import signature

SECRET = b"topsecret"
OTHER = b"another"
BODY = b'{"id": "p1"}'
NOW = 1_753_770_600.0


def hub(body=BODY, secret=SECRET, **more):
    return {"x-hub-signature-256": "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest(), **more}


def standard(body=BODY, key=SECRET, *, delivery="msg_1", when=NOW, **more):
    signed = f"{delivery}.{int(when)}.".encode() + body
    text = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {"webhook-id": delivery, "webhook-timestamp": str(int(when)), "webhook-signature": f"v1,{text}", **more}


def test_the_published_examples_hold():
    """GitHub's own test vector, and the specification's for Standard Webhooks."""
    secret, body = b"It's a Secret to Everybody", b"Hello, World!"
    header = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert signature.verify({"x-hub-signature-256": header}, body, [secret], now=NOW).scheme == "hub"
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    found = signature.verify(
        headers, b'{"test": 2432232314}', [b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], now=1614265330
    )
    assert (found.scheme, found.delivery_id) == ("standard", "msg_p5jXN8AQM9LWM0D4loKWxJek")


@pytest.mark.parametrize("make", [hub, standard])
@pytest.mark.parametrize("body", [BODY, b"", b"\x00\xff\r\n", b"x" * 600_000])
def test_a_good_signature_over_any_body_is_taken(make, body):
    assert signature.verify(make(body), body, [SECRET], now=NOW)


@pytest.mark.parametrize("make", [hub, standard])
def test_while_a_secret_is_rotated_both_hold(make):
    assert signature.verify(make(), BODY, [OTHER, SECRET], now=NOW)
    assert signature.verify(make(), BODY, [SECRET, OTHER], now=NOW)


def test_upper_case_digits_are_digits():
    headers = {"x-hub-signature-256": "sha256=" + hub()["x-hub-signature-256"][7:].upper()}
    assert signature.verify(headers, BODY, [SECRET], now=NOW)


def test_a_sender_that_rotates_its_key_sends_two_signatures():
    old, new = standard(key=OTHER), standard()
    both = {**new, "webhook-signature": f"{old['webhook-signature']} v1a,xxxx {new['webhook-signature']}"}
    assert signature.verify(both, BODY, [SECRET], now=NOW)


@pytest.mark.parametrize(
    ("skew", "good"), [(0, True), (300, True), (-300, True), (301, False), (-301, False), (1e9, False)]
)
def test_five_minutes_of_skew_are_forgiven(skew, good):
    if good:
        assert signature.verify(standard(when=NOW + skew), BODY, [SECRET], now=NOW)
    else:
        with pytest.raises(Cannot):
            signature.verify(standard(when=NOW + skew), BODY, [SECRET], now=NOW)


@pytest.mark.parametrize(
    ("headers", "delivery"),
    [
        (hub(), hashlib.sha256(BODY).hexdigest()),
        (hub(**{"x-github-delivery": "72d3162e-cc78"}), "72d3162e-cc78"),
        (hub(**{"webhook-id": "a", "x-github-delivery": "b"}), "a"),
        (standard(delivery="msg.7", **{"x-github-delivery": "b"}), "msg.7"),
    ],
)
def test_a_delivery_has_an_id(headers, delivery):
    assert signature.verify(headers, BODY, [SECRET], now=NOW).delivery_id == delivery


REFUSED = {
    "nothing": {},
    "empty": {"x-hub-signature-256": ""},
    "sha1": {"x-hub-signature": "sha1=" + "0" * 40},
    "sha1 in the new header": {"x-hub-signature-256": "sha1=" + "0" * 40},
    "no prefix": {"x-hub-signature-256": hub()["x-hub-signature-256"][7:]},
    "too short": {"x-hub-signature-256": hub()["x-hub-signature-256"][:-1]},
    "too long": {"x-hub-signature-256": hub()["x-hub-signature-256"] + "0"},
    "not hex": {"x-hub-signature-256": "sha256=" + "g" * 64},
    "digits of another script": {"x-hub-signature-256": "sha256=" + "١" * 64},
    "another secret": hub(secret=OTHER),
    "the empty secret": hub(secret=b""),
    "another body": hub(body=BODY + b" "),
    "a delivery id with a newline": hub(**{"x-github-delivery": "a\nb"}),
    "a delivery id that is a novel": hub(**{"x-github-delivery": "a" * 300}),
    "standard: another body": standard(body=BODY + b" "),
    "standard: another secret": standard(key=OTHER),
    "standard: another id": {**standard(), "webhook-id": "msg_2"},
    "standard: another time": {**standard(), "webhook-timestamp": str(int(NOW) + 1)},
    "standard: no id": {k: v for k, v in standard().items() if k != "webhook-id"},
    "standard: no time": {k: v for k, v in standard().items() if k != "webhook-timestamp"},
    "standard: time is no number": {**standard(), "webhook-timestamp": "now"},
    "standard: time is negative": {**standard(), "webhook-timestamp": "-5"},
    "standard: time is huge": {**standard(), "webhook-timestamp": "9" * 400},
    "standard: no version": {**standard(), "webhook-signature": standard()["webhook-signature"][3:]},
    "standard: asymmetric version": {**standard(), "webhook-signature": "v1a," + standard()["webhook-signature"][3:]},
    "standard: not base64": {**standard(), "webhook-signature": "v1,!!!!"},
    "standard: not ascii": {**standard(), "webhook-signature": "v1,é"},
    "standard: empty signature": {**standard(), "webhook-signature": "v1,"},
    "standard: good one behind too many": {
        **standard(),
        "webhook-signature": "v1,AAAA " * 8 + standard()["webhook-signature"],
    },
    "both, hub wrong": {**hub(secret=OTHER), **standard()},
    "both, standard wrong": {**hub(), **standard(key=OTHER)},
    "both, standard expired": {**hub(), **standard(when=NOW - 900)},
}


@pytest.mark.parametrize("headers", REFUSED.values(), ids=REFUSED.keys())
def test_everything_else_is_refused_with_one_and_the_same_answer(headers):
    with pytest.raises(Cannot) as caught:
        signature.verify(headers, BODY, [SECRET], now=NOW)
    assert caught.value.as_json() == {
        "kind": "bad-signature",
        "message": "cannot accept this delivery: its signature is missing or wrong",
        "hint": "sign the raw body with the webhook secret, and check the clock",
    }


@pytest.mark.parametrize("make", [hub, standard])
def test_without_a_secret_nothing_is_accepted(make):
    for secret in (b"", SECRET):
        with pytest.raises(Cannot):
            signature.verify(make(**{"secret" if make is hub else "key": secret}), BODY, [], now=NOW)


def test_a_prefix_without_a_key_is_not_the_empty_key():
    """`whsec_` alone decodes to nothing, and everybody can sign with nothing."""
    with pytest.raises(Cannot):
        signature.verify(standard(key=b""), BODY, [b"whsec_"], now=NOW)


def test_every_comparison_is_in_constant_time(monkeypatch):
    """All pairs are compared by hmac.compare_digest, also after one has fitted."""
    pairs = []
    real = hmac.compare_digest

    def counted(one, other):
        pairs.append((one, other))
        return real(one, other)

    monkeypatch.setattr(signature.hmac, "compare_digest", counted)
    headers = standard()
    headers["webhook-signature"] += " v1,AAAA"
    assert signature.verify(headers, BODY, [SECRET, OTHER], now=NOW)
    assert len(pairs) == 4
