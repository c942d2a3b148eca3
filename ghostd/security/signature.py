"""Signatures of webhooks over the raw bytes: hub (`X-Hub-Signature-256`) and Standard Webhooks.

https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ghostd.base.errors import Cannot

#: Standard Webhooks' own advice: long enough for a slow network, too short to keep a delivery for later.
SKEW = 300.0
#: Signatures in one header; a sender that rotates its key sends two.
MOST_SIGNATURES = 8
_DELIVERY = re.compile(r"[\x21-\x7e]{1,256}")
_TIMESTAMP = re.compile(r"\d{1,12}", re.ASCII)
_HUB = re.compile(r"sha256=([0-9a-fA-F]{64})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A delivery whose sender is known. The scheme is "hub" or "standard"."""

    scheme: str
    #: What makes a repeat a repeat: the sender's id, else the body's SHA-256.
    delivery_id: str


class _Refused(Exception):  # noqa: N818 - reads as a sentence
    """Why, for nobody's eyes: the caller hears the same answer each time."""


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[bytes], *, now: float) -> Signed:
    """Who signed this body. `headers` has lower-case names.

    Raises Cannot(kind="bad-signature"), the same for everything that can be wrong. A delivery with both schemes has to
    pass both, so that nobody can slip past one by adding the other.
    """
    schemes = [scheme for scheme, header in _HEADER.items() if header in headers]
    try:
        for scheme in schemes or ["none"]:
            _CHECK[scheme](headers, body, secrets, now)
        return Signed(scheme=schemes[0], delivery_id=_delivery_id(headers, body))
    except _Refused:
        raise Cannot(
            "accept this delivery: its signature is missing or wrong",
            kind="bad-signature",
            hint="sign the raw body with the webhook secret, and check the clock",
        ) from None


def _none(*_: object) -> None:
    raise _Refused


def _hub(headers: Mapping[str, str], body: bytes, secrets: Sequence[bytes], _: float) -> None:
    match = _HUB.fullmatch(headers["x-hub-signature-256"].strip())
    if match is None:
        raise _Refused
    given = bytes.fromhex(match[1])
    _one_of([given], [hmac.digest(secret, body, hashlib.sha256) for secret in secrets])


def _standard(headers: Mapping[str, str], body: bytes, secrets: Sequence[bytes], now: float) -> None:
    delivery, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not _DELIVERY.fullmatch(delivery) or not _TIMESTAMP.fullmatch(timestamp) or abs(now - int(timestamp)) > SKEW:
        raise _Refused
    given = [_base64(one[3:]) for one in headers["webhook-signature"].split(" ") if one.startswith("v1,")]
    signed = f"{delivery}.{timestamp}.".encode() + body
    _one_of(given[:MOST_SIGNATURES], [hmac.digest(_key(secret), signed, hashlib.sha256) for secret in secrets])


def _key(secret: bytes) -> bytes:
    """`whsec_…` is base64 of the key, as the specification writes it; any other secret is the key itself."""
    try:
        key = base64.b64decode(secret.removeprefix(b"whsec_"), validate=True)
    except binascii.Error:
        key = b""
    # Nothing after the prefix would be a key that everybody has.
    return key if key and secret.startswith(b"whsec_") else secret


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise _Refused from None


def _one_of(given: Sequence[bytes], expected: Sequence[bytes]) -> None:
    """Every pair is compared, each in constant time, so that the duration tells nothing."""
    equal = False
    for one in given:
        for other in expected:
            equal |= hmac.compare_digest(one, other)
    if not equal:
        raise _Refused


def _delivery_id(headers: Mapping[str, str], body: bytes) -> str:
    named = headers.get("webhook-id") or headers.get("x-github-delivery", "")
    if not named:
        return hashlib.sha256(body).hexdigest()
    if not _DELIVERY.fullmatch(named):
        raise _Refused
    return named


_HEADER = {"standard": "webhook-signature", "hub": "x-hub-signature-256"}
_Check = Callable[[Mapping[str, str], bytes, Sequence[bytes], float], None]
_CHECK: Mapping[str, _Check] = {"standard": _standard, "hub": _hub, "none": _none}
