"""Who may do what: bearer tokens with scopes, and the little that this machine's own user may do without one.

The rule: a token decides by its scopes, wherever it comes from. Without one, only reading is possible, and only from
this machine itself: through the socket in the workspace, or over loopback while `open_loopback` is on. Such a reader
proves nothing, so a request that a web page or a proxy may have sent in its name is refused.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from ghostd.base.errors import Cannot
from ghostd.security.token import Principal, check

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
#: A tunnel connects from loopback on behalf of the whole internet, and says so in one of these.
FORWARDING = frozenset(
    {"forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "cf-connecting-ip", "true-client-ip", "via"}
)
_OWNER = Principal(subject="owner", scopes=frozenset({"read"}))
_LOOPBACK = Principal(subject="loopback", scopes=frozenset({"read"}))
_ANYBODY = Principal(subject="anybody", scopes=frozenset())


class Scope(StrEnum):
    """What a token may be made for; `admin` may everything, no other includes another."""

    READ = "read"
    SUBMIT = "submit"
    OPERATE = "operate"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a request says of itself, as far as it matters here."""

    method: str
    #: It came through the Unix socket in the workspace, which only this user can open.
    local: bool
    #: Address of the peer, empty where there is none.
    peer: str
    #: Name in the Host header, without the port.
    host: str
    headers: Mapping[str, str]

    @property
    def token(self) -> str | None:
        """The bearer token; any other kind of credential counts as a wrong one."""
        given = self.headers.get("authorization")
        if given is None:
            return None
        scheme, _, token = given.partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""


def facts(scope: Mapping[str, Any], *, local: bool) -> Facts:
    """Read an ASGI scope (http or websocket). Header names are lower case there; of several, the last counts."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return Facts(
        method=scope.get("method", "GET"),
        local=local,
        peer=scope["client"][0] if scope.get("client") else "",
        host=host_name(headers.get("host", "")),
        headers=headers,
    )


def host_name(authority: str) -> str:
    """The name in `name:port` or `[v6]:port`, lower case; empty where it makes no sense."""
    try:
        return (urlsplit(f"//{authority}").hostname or "").rstrip(".")
    except ValueError:
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gatekeeper:
    """Decides who passes, and for what."""

    secrets: Sequence[bytes]
    open_loopback: bool
    #: Names beside loopback's own under which our listeners are bound.
    names: frozenset[str] = frozenset()
    #: Origins of web pages that may talk to us beside our own.
    origins: frozenset[str] = frozenset()

    def admit(self, scope: Scope | None, request: Facts, *, now: float) -> Principal:
        """Who asks; `scope` None admits anybody. Cannot: unauthorised, forbidden, cross-site, host-not-allowed."""
        token = request.token
        if token is None and request.method not in SAFE_METHODS:
            _same_site(request)
        if scope is None:
            return _ANYBODY
        principal = self._without_token(request) if token is None else check(token, self.secrets, now=now)
        if principal.may(scope):
            return principal
        if token is None:
            raise _unauthorised("this needs a token")
        raise Cannot(
            f"do this with your token: it lacks the scope {scope}",
            kind="forbidden",
            hint=f"ghost token create --scope {scope}",
        )

    def admit_page(self, request: Facts) -> None:
        """Refuse a WebSocket that a foreign web page opens. Browsers always send Origin, programs usually do not."""
        origin = request.headers.get("origin")
        if origin is None or origin in self.origins:
            return
        same = urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()
        if not (same and self._known(request.host)):
            raise Cannot(
                "open a stream for another site's page", kind="cross-site", hint="list it in [security] cors_origins"
            )

    def _without_token(self, request: Facts) -> Principal:
        if request.local:
            return _OWNER
        if not (self.open_loopback and _is_loopback(request.peer)):
            raise _unauthorised("this needs a token")
        if not FORWARDING.isdisjoint(request.headers):
            raise _unauthorised("a forwarded request needs a token")
        if not self._known(request.host):
            raise Cannot(
                "answer under this host name without a token",
                kind="host-not-allowed",
                hint="use 127.0.0.1 or localhost, or a token",
            )
        return _LOOPBACK

    def _known(self, host: str) -> bool:
        return host in LOOPBACK_NAMES or host in self.names


def _same_site(request: Facts) -> None:
    if request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        raise Cannot("do this for another site's page", kind="cross-site", hint="use a token")


def _is_loopback(peer: str) -> bool:
    try:
        return ipaddress.ip_address(peer).is_loopback
    except ValueError:
        return False


def _unauthorised(why: str) -> Cannot:
    return Cannot(f"let you in: {why}", kind="unauthorised", hint="ghost token create")
