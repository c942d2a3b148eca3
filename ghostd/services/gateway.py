"""The gateway: signed patches from outside come in here, and nothing else does."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import astuple

from ghostd.api.auth import Gatekeeper, host_name
from ghostd.api.desk import Desk
from ghostd.api.doors import open_doors
from ghostd.api.front import Front, Listener
from ghostd.api.rate import Limiter
from ghostd.api.serve import serve
from ghostd.api.take import Intake, Taker
from ghostd.base.clock import SystemClock
from ghostd.model.settings import ListenSettings, Places, Settings
from ghostd.security.secrets import load as secrets
from ghostd.services.http import run_service
from ghostd.store.db import open_ledger
from ghostd.store.ports import Ledger
from ghostd.store.wake import DatagramBell
from ghostd.supervise.client import Control

_LOG = logging.getLogger("gateway")
LISTENERS = (Listener.GATEWAY, Listener.RUNNER)
#: The supervisor answers in a few milliseconds or hangs.
CONTROL_TIMEOUT = 2.0


def build(settings: Settings) -> Front:
    """What stands behind our doors."""
    places, clock, security = Places(workspace=settings.workspace), SystemClock(), settings.security
    return Front(
        settings=settings,
        places=places,
        desk=Desk(lambda: open_ledger(places.ledger, clock=clock, bell=DatagramBell(places.wake))),
        keeper=Gatekeeper(
            secrets=secrets("jwt", places.secrets, os.environ),
            open_loopback=security.open_loopback,
            names=names(settings.listen),
            origins=frozenset(security.cors_origins),
        ),
        taker=Taker(lambda ledger: intake(settings, ledger)),
        daemon=Control(places.control, CONTROL_TIMEOUT).status,
        limiter=Limiter(*security.rate_limit),
        webhook_secrets=secrets("webhook", places.secrets, os.environ),
        clock=clock,
    )


def names(listen: ListenSettings) -> frozenset[str]:
    """The host names under which the owner has us listen; a wildcard is none."""
    return frozenset(host_name(address) for address in astuple(listen)) - {"", "0.0.0.0", "::"}  # noqa: S104 - left out


def intake(settings: Settings, ledger: Ledger) -> Intake:
    """Imported late: an idle door needs neither patches nor Git in its memory."""
    from ghostd.pipeline.intake import Intake as Path_
    from ghostd.pipeline.workshop import Repositories, Workshop, owner_of_this_process

    return Path_(
        Workshop(
            ledger=ledger,
            settings=settings,
            places=Places(workspace=settings.workspace),
            repositories=Repositories(settings),
            clock=SystemClock(),
            owner=owner_of_this_process(),
        )
    )


async def run(settings: Settings) -> None:
    """Open the doors and serve."""
    front = build(settings)
    status = "taking webhooks"
    if not front.webhook_secrets:
        status = "no webhook secret: POST /webhook answers 401; set GHOST_WEBHOOK_SECRET"
        _LOG.warning("%s", status)
    await serve(front, open_doors(front, LISTENERS), status=status)


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM; 1 where it can not work."""
    return run_service("gateway", run, argv)


if __name__ == "__main__":
    raise SystemExit(main())
