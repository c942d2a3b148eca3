"""One application for each door, built from the table, and our own guard around it.

The doors are Starlette, the routing core of FastAPI. FastAPI itself describes them (`describe.py`) and is imported when
somebody asks for the description: it costs 14 MB and 0.4 s, in each of two services, to add nothing to a plain handler.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Any, cast

from starlette import routing
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from ghostd.api import problems
from ghostd.api.auth import Facts, facts
from ghostd.api.front import Ask, Front, Handler, Listener, Route, Streamer
from ghostd.api.routes import routes_of
from ghostd.base.errors import Cannot
from ghostd.security.token import Principal

_log = logging.getLogger("ghost.api")
#: On every answer; a page brings its own policy. Nothing of the API is kept by anybody's cache.
_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)


def build(front: Front, listener: Listener, *, local: bool = False) -> ASGIApp:
    """The application of one door. `local`: it is reached through the workspace's own socket."""
    app = Starlette(
        routes=[_endpoint(route, front, listener, local=local) for route in routes_of(listener)],
        exception_handlers={HTTPException: _http_problem(front), Exception: _bug(front)},
    )
    app.router.redirect_slashes = False
    return Guard(_with_cors(app, front))


def _endpoint(route: Route, front: Front, listener: Listener, *, local: bool) -> BaseRoute:
    if route.method == "WS":
        return routing.WebSocketRoute(route.path, _streaming(route, front, local=local))
    return routing.Route(route.path, _answering(route, front, listener, local=local), methods=[route.method])


def _answering(
    route: Route, front: Front, listener: Listener, *, local: bool
) -> Callable[[Request], Awaitable[Response]]:
    handler = cast("Handler", route.handler)

    async def answer(request: Request) -> Response:
        try:
            principal = _admit(route, front, facts(request.scope, local=local))
            return await handler(Ask(front=front, listener=listener, request=request, principal=principal))
        except Cannot as error:
            return _problem(front, request.scope, error)

    return answer


def _streaming(route: Route, front: Front, *, local: bool) -> Callable[[WebSocket], Awaitable[None]]:
    streamer = cast("Streamer", route.handler)

    async def stream(socket: WebSocket) -> None:
        who = facts(socket.scope, local=local)
        try:
            front.keeper.admit_page(who)
            _admit(route, front, who)
        except Cannot as error:
            await socket.send_denial_response(_problem(front, socket.scope, error))
            return
        await streamer(front, socket, lambda: front.keeper.admit(route.scope, who, now=front.clock.wall()))

    return stream


def _admit(route: Route, front: Front, who: Facts) -> Principal:
    """Who asks. Those who prove nothing beforehand, or something false, may try only so often."""
    if route.scope is None and route.method == "POST":
        _limit(front, who)
    try:
        return front.keeper.admit(route.scope, who, now=front.clock.wall())
    except Cannot as error:
        if error.kind == "unauthorised":
            _limit(front, who)
        raise


def _limit(front: Front, who: Facts) -> None:
    wait = front.limiter.wait(who.peer, front.clock.monotonic())
    if wait:
        raise Cannot(
            "take so many requests from one client",
            kind="rate-limited",
            hint=f"wait {wait:.0f} s, or raise [security] rate_limit",
            retry_after=wait,
        ) from None


def _problem(front: Front, scope: Scope, error: Cannot) -> Response:
    return problems.response(error, request_id=scope["ghost.request_id"], now=front.clock.wall())


def _http_problem(front: Front) -> Any:
    async def answer(request: Request, error: HTTPException) -> Response:
        path, method = request.url.path[:200], request.method
        known = {
            404: Cannot(f"find {path}", kind="not-found", hint="GET /openapi.json lists what is here"),
            405: Cannot(f"{method} {path}", kind="method-not-allowed", allow=(error.headers or {}).get("Allow", "")),
        }
        other = Cannot(f"serve the request: {error.detail}", kind="bad-request")
        return _problem(front, request.scope, known.get(error.status_code, other))

    return answer


def _bug(front: Front) -> Any:
    """The outer door: the client learns that there was an error, the log learns which."""

    async def answer(request: Request, error: Exception) -> Response:
        _log.error("request %s failed", request.scope["ghost.request_id"], exc_info=error)
        return _problem(front, request.scope, problems.bug())

    return answer


def _with_cors(app: ASGIApp, front: Front) -> ASGIApp:
    origins = front.settings.security.cors_origins
    if not origins:
        return app
    from starlette.middleware.cors import CORSMiddleware

    headers = ["authorization", "content-type"]
    return CORSMiddleware(app, allow_origins=origins, allow_methods=["GET", "POST"], allow_headers=headers)


class Guard:
    """Gives each request a number and each answer its security headers, whatever happened in between."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = secrets.token_hex(8)
        scope["ghost.request_id"] = request_id
        begun = False

        async def dressed(message: Message) -> None:
            nonlocal begun
            if message["type"] in {"http.response.start", "websocket.http.response.start"}:
                begun = True
                message["headers"] = _dress(message.get("headers", []), request_id)
            await send(message)

        try:
            await self._app(scope, receive, dressed)
        except Exception:
            # Starlette has answered and logged, and raises again for servers that know nothing better.
            if not begun:
                raise


def _dress(headers: Any, request_id: str) -> list[tuple[bytes, bytes]]:
    given = list(headers)
    named = {name.lower() for name, _ in given}
    missing = [pair for pair in _HEADERS if pair[0] not in named]
    date = formatdate(usegmt=True).encode()
    return [*given, *missing, (b"date", date), (b"x-request-id", request_id.encode())]
