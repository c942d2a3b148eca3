"""How well we are: the original's component form, and the three probes that load balancers and supervisors call."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.responses import Response

from ghostd.api import answers, views
from ghostd.api.front import Ask, Front
from ghostd.base.errors import Cannot

#: Local connections succeed or fail at once; one that does not is as good as down.
CONNECT_TIMEOUT = 0.5
LEDGER_TIMEOUT = 2.0


async def health(ask: Ask) -> Response:
    """The components' health, in the envelope and, for the gateway's clients, beside it."""
    form = await ask.front.once_a_second("health", lambda: examine(ask.front))
    return answers.enveloped(ask, form, **form)


async def examine(front: Front) -> dict[str, Any]:
    """Look at every component now."""
    status = await daemon(front)
    writable, metrics = await asyncio.gather(
        front.desk.aside(lambda: _writable(front.places.run)),
        front.desk.aside(lambda: _machine(front.places.state)),
    )
    address = gateway_address(front, status)
    bound = bool(address) and await _connects(address)
    return views.health(
        writable=writable,
        executors=views.executors(status["services"]) if status["running"] else None,
        bound=bound,
        webhook=_webhook(front, address=address, bound=bound),
        metrics=metrics,
        now=front.clock.wall(),
    )


def _machine(folder: Path) -> dict[str, Any]:
    # Imported at the first question, because most of these processes are never asked.
    from ghostd.monitor.probes import machine

    return machine(folder)


async def daemon(front: Front) -> dict[str, Any]:
    """The supervisor's own status document plus `running`; without a daemon an empty one that says why."""

    async def look() -> dict[str, Any]:
        try:
            told = await front.desk.aside(lambda: _ask_daemon(front))
            return {"running": True, "why": "", "services": [], "listen": {}, **told}
        except Cannot as error:
            return {"running": False, "why": str(error), "services": [], "listen": {}}

    document: dict[str, Any] = await front.once_a_second("daemon", look)
    return document


def _ask_daemon(front: Front) -> dict[str, Any]:
    status = front.daemon()
    return {**status, "services": front.meter.services(status.get("services", []))}


def gateway_address(front: Front, status: Mapping[str, Any]) -> str:
    """Where the gateway listens: as it told the supervisor, else as configured; empty where it is not known."""
    told: str = front.listening.get("gateway") or status["listen"].get("gateway", "")
    configured = front.settings.listen.gateway
    return told or ("" if configured.endswith(":0") else configured)


def _webhook(front: Front, *, address: str, bound: bool) -> str:
    if not front.settings.listen.gateway:
        return "off"
    if not front.webhook_secrets:
        return "no-secret"
    return "operational" if address and bound else "down"


async def _connects(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except (OSError, TimeoutError, ValueError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


def _writable(folder: Path) -> bool:
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".health.") as probe:
            probe.write(b"x")
            probe.flush()
    except OSError:
        return False
    return True


async def livez(_: Ask) -> Response:
    """The event loop runs: it has just answered."""
    return answers.plain({"status": "ok"})


async def readyz(ask: Ask) -> Response:
    """The ledger can be read and live events flow; a comfort listener that could not be had is named and no failure."""
    front = ask.front
    checks = {"ledger": await front.desk.answers(LEDGER_TIMEOUT)}
    if front.hub is not None:
        checks["hub"] = front.hub.running
    ready = all(checks.values())
    document = {"status": "ok" if ready else "not ready", "checks": checks, "skipped": sorted(front.skipped)}
    return answers.plain(document, status=200 if ready else 503)
