"""Tokens for the API: signed, short-lived, with scopes. HS256 and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jwt

from ghostd.base.errors import Cannot

SCOPES = ("read", "submit", "operate", "admin")
ISSUER = "ghost"
#: The one algorithm: what a token's own header says about it is never followed.
ALGORITHM = "HS256"
#: No token that we issue is longer; a stranger's long text is not parsed at all.
LONGEST = 4096
#: RFC 7518 §3.2 asks HS256 for a key as long as the hash.
SHORTEST_SECRET = 32
#: Clocks of two machines differ.
LEEWAY = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who calls, and what for."""

    subject: str
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        """`admin` may everything; no other scope includes another."""
        return scope in self.scopes or "admin" in self.scopes


def issue(secret: bytes, *, subject: str, scopes: Iterable[str], ttl: float, now: float) -> str:
    """A token that holds for `ttl` seconds from `now`."""
    asked = tuple(dict.fromkeys(scopes))
    unknown = [scope for scope in asked if scope not in SCOPES]
    if unknown or not asked:
        what = f"the scope {unknown[0]}" if unknown else "no scope"
        raise Cannot(f"make a token with {what}", kind="unknown-scope", hint=f"there are {', '.join(SCOPES)}")
    if len(secret) < SHORTEST_SECRET:
        raise Cannot(
            "sign a token: the secret is shorter than 32 bytes", kind="weak-secret", hint="make one with ghostd init"
        )
    claims = {"iss": ISSUER, "sub": subject, "scope": " ".join(asked), "iat": int(now), "exp": int(now + ttl)}
    return jwt.encode(claims, secret, algorithm=ALGORITHM)


def check(token: str, secrets: Sequence[bytes], *, now: float) -> Principal:
    """Who holds this token. Raises Cannot(kind="unauthorised"), the same for everything that can be wrong with it."""
    for secret in secrets:
        claims = _claims(token, secret)
        if claims is not None and _in_force(claims, now):
            scopes = frozenset(claims["scope"].split()) & frozenset(SCOPES)
            return Principal(subject=claims["sub"], scopes=scopes)
    raise Cannot("accept this token", kind="unauthorised", hint="make one with ghost token create")


def _claims(token: str, secret: bytes) -> dict[str, Any] | None:
    if len(token) > LONGEST or len(secret) < SHORTEST_SECRET:
        return None
    try:
        # Times are compared in _in_force, because PyJWT would take them from the machine's clock.
        claims: dict[str, Any] = jwt.decode(
            token,
            secret,
            algorithms=[ALGORITHM],
            issuer=ISSUER,
            options={
                "require": ["exp", "iat", "sub", "iss", "scope"],
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except (jwt.PyJWTError, ValueError, RecursionError):
        return None
    return claims


def _in_force(claims: dict[str, Any], now: float) -> bool:
    match claims:
        case {"iat": int(issued), "exp": int(expires), "scope": str()}:
            return issued - LEEWAY <= now < expires
        case _:
            return False
