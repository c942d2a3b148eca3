"""THE table: which door answers what, and what one has to be allowed for it."""

from __future__ import annotations

from ghostd.api import asking, describe, health, pages, reading, stream
from ghostd.api.auth import Scope
from ghostd.api.front import Handler, Listener, Route, Streamer

_L = Listener
EVERY = frozenset(Listener)
TAKES = frozenset({_L.GATEWAY, _L.RUNNER})
STATUS = frozenset({_L.STATUS})
PAGE = frozenset({_L.STATUS, _L.DASHBOARD, _L.MONITOR})
TRIGGER = frozenset({_L.TRIGGER})
READ, SUBMIT, OPERATE = Scope.READ, Scope.SUBMIT, Scope.OPERATE


def _row(asked: str, scope: Scope | None, on: frozenset[Listener], handler: Handler | Streamer, summary: str) -> Route:
    method, path = asked.split()
    return Route(method=method, path=path, scope=scope, on=on, handler=handler, summary=summary)


#: The order matters where two paths fit: /api/patches/status is no patch.
ROUTES: tuple[Route, ...] = (
    _row("GET /livez", None, EVERY, health.livez, "The process answers"),
    _row("GET /readyz", None, EVERY, health.readyz, "The ledger can be read and live events flow"),
    _row("GET /healthz", None, EVERY, health.readyz, "The same as /readyz"),
    _row("GET /health", READ, EVERY - {_L.DASHBOARD, _L.MONITOR}, health.health, "Health of the components"),
    # The signature is the permission.
    _row("POST /webhook", None, TAKES, asking.webhook, "Submit a signed patch"),
    _row("GET /status", READ, TAKES, reading.gateway_status, "What the gateway took and refused"),
    _row("GET /api/patches/status", READ, STATUS, reading.patches_status, "How many patches stand where"),
    _row("GET /api/patches/{id}/status", READ, STATUS | TAKES, reading.patch_status, "Where one patch stands"),
    _row("GET /api/services/status", READ, STATUS, reading.services_status, "The supervised services"),
    _row("POST /api/webhooks/patch-event", SUBMIT, STATUS, asking.patch_event, "Record an event of one's own"),
    _row("GET /api/unified-status", READ, PAGE, reading.unified_status, "Everything at once"),
    _row("GET /api/patches", READ, STATUS, reading.patches, "The patches, newest first"),
    _row("POST /api/patches", SUBMIT, STATUS, asking.submit, "Submit a patch"),
    _row("GET /api/patches/{id}", READ, PAGE, reading.patch, "All that is known of one patch"),
    _row("GET /api/patches/{id}/summary", READ, PAGE, reading.patch_summary, "The summary of one patch"),
    _row("GET /api/events", READ, PAGE, reading.events, "Events after a number"),
    _row("WS /ws", READ, PAGE, stream.attend, "Live events"),
    _row("POST /lanes/{lane}/pause", OPERATE, TRIGGER, asking.pause, "Pause a lane"),
    _row("POST /lanes/{lane}/resume", OPERATE, TRIGGER, asking.resume, "Resume a lane"),
    _row("POST /pause", OPERATE, TRIGGER, asking.pause, "Pause all lanes"),
    _row("POST /resume", OPERATE, TRIGGER, asking.resume, "Resume all lanes"),
    _row("GET /openapi.json", READ, EVERY, describe.openapi, "This description"),
    _row("GET /", READ, PAGE, pages.page, "The live page"),
    _row("GET /parts.html", READ, PAGE, pages.fragment, "What changes on the live page"),
    # The same for everybody, and in every copy of the package.
    _row("GET /page.js", None, PAGE, pages.asset, "The page's script"),
    _row("GET /style.css", None, PAGE, pages.asset, "The page's style"),
    _row("GET /favicon.svg", None, PAGE, pages.asset, "The page's sign"),
)


def routes_of(listener: Listener) -> tuple[Route, ...]:
    """What one door answers."""
    return tuple(route for route in ROUTES if listener in route.on)
