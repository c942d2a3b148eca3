"""The envelope around a statement: DSSE with SSH signatures, or with none where there is no key. Pure.

Formats: https://github.com/secure-systems-lab/dsse/blob/master/protocol.md and
https://cvsweb.openbsd.org/src/usr.bin/ssh/PROTOCOL.sshsig (the `sig` field is the armoured signature in base64).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from ghostd.base.errors import Cannot

TYPE = "application/vnd.in-toto+json"
#: What a signature is for, so that one of a tag can not pass for one of a proof.
NAMESPACE = "ghost-proof"
_MAGIC = b"SSHSIG\0\0\0\1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A statement and the armoured signatures over its pre-authentication encoding."""

    statement: bytes
    signatures: tuple[str, ...] = ()


def pae(statement: bytes) -> bytes:
    """What is signed: the payload's type and bytes, each with its length, so that neither can lend to the other."""
    kind = TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(statement), statement)


def wrap(statement: bytes, signatures: Sequence[str] = ()) -> bytes:
    """The envelope's bytes."""
    signed = [{"keyid": fingerprint(each), "sig": base64.b64encode(each.encode()).decode()} for each in signatures]
    told = {"payloadType": TYPE, "payload": base64.b64encode(statement).decode(), "signatures": signed}
    return json.dumps(told, sort_keys=True, separators=(",", ":")).encode()


def unwrap(envelope: bytes) -> Envelope:
    """What is in an envelope; signatures are not checked. Raises Cannot(proof-damaged)."""
    try:
        told = json.loads(envelope)
        if told["payloadType"] != TYPE:
            raise _damaged(f"its payload type is {told['payloadType']!r}")
        return Envelope(
            statement=base64.b64decode(told["payload"], validate=True),
            signatures=tuple(base64.b64decode(each["sig"], validate=True).decode() for each in told["signatures"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(f"{type(error).__name__}: {error}") from error


def fingerprint(signature: str) -> str:
    """The key that an armoured SSH signature says it is from, as `ssh-keygen -l` writes it; empty for no signature."""
    lines = [line for line in signature.splitlines() if line and not line.startswith("-----")]
    try:
        raw = base64.b64decode("".join(lines), validate=True)
    except binascii.Error:
        return ""
    if not raw.startswith(_MAGIC):
        return ""
    at = len(_MAGIC) + 4
    key = raw[at : at + int.from_bytes(raw[at - 4 : at])]
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def _damaged(why: str) -> Cannot:
    return Cannot(f"read an envelope: {why}", kind="proof-damaged", hint="ghost verify lists what does not fit")
