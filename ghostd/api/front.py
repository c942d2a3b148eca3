"""What every handler may reach: built once by a service, the same behind all of its listeners."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from ghostd.api.auth import Gatekeeper, Scope
from ghostd.api.desk import Desk
from ghostd.api.hub import Hub
from ghostd.api.measure import Meter
from ghostd.api.rate import Limiter
from ghostd.api.take import Taker
from ghostd.base.clock import Clock, SystemClock
from ghostd.model.settings import Places, Settings
from ghostd.security.token import Principal


class Listener(StrEnum):
    """The doors, by their names in `[listen]`."""

    GATEWAY = "gateway"
    RUNNER = "runner"
    STATUS = "status"
    TELEMETRY = "telemetry"
    TRIGGER = "trigger"
    DASHBOARD = "dashboard"
    MONITOR = "monitor"


#: Without these two the product does not work; the others are for the original's clients and for comfort.
FIRST_RANK = frozenset({Listener.GATEWAY, Listener.STATUS})


@dataclass(slots=True, kw_only=True)
class Front:
    """The house as handlers see it."""

    settings: Settings
    places: Places
    desk: Desk
    keeper: Gatekeeper
    taker: Taker
    #: The `ghostd status --json` document. Blocks; raises Cannot where no daemon answers.
    daemon: Callable[[], Mapping[str, Any]]
    limiter: Limiter
    meter: Meter = field(default_factory=Meter)
    webhook_secrets: Sequence[bytes] = ()
    #: Live events; only status-api has them.
    hub: Hub | None = None
    clock: Clock = field(default_factory=SystemClock)
    #: Where this process itself listens, by name.
    listening: dict[str, str] = field(default_factory=dict)
    #: Secondary listeners that could not be had, with the reason.
    skipped: dict[str, str] = field(default_factory=dict)
    #: What handlers look up at most once a second, however many ask.
    recent: dict[str, tuple[float, Any]] = field(default_factory=dict)
    #: Deliveries by what became of them, since the start.
    counted: dict[str, int] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    async def once_a_second(self, name: str, look: Callable[[], Awaitable[Any]]) -> Any:
        """The last answer to `look` when it is fresh, else a new one."""
        when, value = self.recent.get(name, (-1.0, None))
        if self.clock.monotonic() - when > 1.0 or when < 0:
            value = await look()
            self.recent[name] = (self.clock.monotonic(), value)
        return value

    def count(self, what: str) -> None:
        self.counted[what] = self.counted.get(what, 0) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request whose sender may ask it."""

    front: Front
    listener: Listener
    request: Request
    principal: Principal

    @property
    def now(self) -> float:
        return self.front.clock.wall()


Handler = Callable[[Ask], Awaitable[Response]]
Streamer = Callable[[Front, WebSocket, Callable[[], Principal]], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A row of the table. `scope` None: anybody, because the handler knows better or has nothing to hide."""

    method: str
    path: str
    scope: Scope | None
    on: frozenset[Listener]
    handler: Handler | Streamer
    summary: str
