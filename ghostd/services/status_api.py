"""status-api: what others may see and ask over HTTP, the live page, and the stream of events."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ghostd.api.doors import open_doors, open_local
from ghostd.api.front import Listener
from ghostd.api.hub import Hub
from ghostd.api.serve import serve
from ghostd.model.settings import Settings
from ghostd.services.gateway import build
from ghostd.services.http import run_service
from ghostd.store.wake import listen

_LOG = logging.getLogger("status-api")
LISTENERS = (Listener.STATUS, Listener.TELEMETRY, Listener.TRIGGER, Listener.DASHBOARD, Listener.MONITOR)


async def run(settings: Settings) -> None:
    """Open the doors and serve."""
    front = build(settings)
    waiter = listen(front.places.wake)
    front.hub = Hub(front.desk, waiter)
    try:
        doors = [*open_doors(front, LISTENERS), open_local(front.places.api, Listener.STATUS)]
        await serve(front, doors, status=_status(front.keeper.secrets))
    finally:
        waiter.close()
        front.places.api.unlink(missing_ok=True)


def _status(jwt_secrets: object) -> str:
    if jwt_secrets:
        return "answering"
    _LOG.warning("no token secret: POST answers 401; set GHOST_JWT_SECRET or run ghostd init")
    return "no token secret: POST answers 401; set GHOST_JWT_SECRET"


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM; 1 where it can not work."""
    return run_service("status-api", run, argv)


if __name__ == "__main__":
    raise SystemExit(main())
