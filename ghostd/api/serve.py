"""Runs the servers behind the open doors in one event loop, and ends all of it in time when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Collection
from typing import Any

import uvicorn

from ghostd.api import app
from ghostd.api.doors import Door
from ghostd.api.front import Front
from ghostd.base.errors import Cannot
from ghostd.base.notify import notify, watchdog_interval

_log = logging.getLogger("ghost.api")
#: More than any one message of ours needs; uvicorn's own is 16 MiB.
LONGEST_MESSAGE = 64 * 1024
#: Connections and streams at once; beyond it a client gets 503 instead of our memory.
MOST_AT_ONCE = 2048
#: Answers that are being given may be finished; what takes longer is cut, so that all ends within five seconds.
GRACE = 3.0
GRACE_LIMIT = 5


class _Server(uvicorn.Server):
    """uvicorn inside our loop: no signal handlers of its own, no tick, no waiting for stalled clients at the end."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()
        self.ending = asyncio.Event()

    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]
        return contextlib.nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    async def main_loop(self) -> None:
        await self.ending.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        late = asyncio.get_running_loop().call_later(GRACE, self._cut)
        await super().shutdown(sockets)
        late.cancel()

    def _cut(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()


def _server(front: Front, door: Door) -> _Server:
    config = uvicorn.Config(
        app.build(front, door.listener, local=door.local),
        http="h11",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        ws_max_size=LONGEST_MESSAGE,
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        # Both would need a tick, and the guard knows the date; forwarded addresses are never believed.
        date_header=False,
        proxy_headers=False,
        limit_concurrency=MOST_AT_ONCE,
        timeout_graceful_shutdown=GRACE_LIMIT,
    )
    return _Server(config)


async def serve(front: Front, doors: Collection[Door], *, status: str) -> None:
    """Serve until SIGTERM or SIGINT; returns when everything has ended. Raises what broke a server or the hub."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # A service whose ledger can not be opened must not look ready.
    await front.desk.ask(lambda ledger: ledger.newest())
    servers = {door: _server(front, door) for door in doors}
    work = [asyncio.create_task(server.serve([door.socket])) for door, server in servers.items()]
    if front.hub is not None:
        work.append(asyncio.create_task(front.hub.run()))
    work.append(asyncio.create_task(_be_ready(front, servers, status)))
    try:
        await _first_of(stop, work)
    finally:
        await _end(front, servers, work)


async def _be_ready(front: Front, servers: dict[Door, _Server], status: str) -> None:
    """Tell the supervisor where we listen and that we work, then go on telling that we live."""
    for server in servers.values():
        await server.up.wait()
    for door in servers:
        if not door.local:
            notify(f"X_GHOST_LISTEN={door.listener}={door.address}")
            _log.info("%s listens on %s", door.listener, door.address)
    told = [status, *(f"no {name}" for name in front.skipped)]
    notify("READY=1", f"STATUS={'; '.join(told)}")
    while interval := watchdog_interval():
        if await front.desk.answers(interval):
            await front.desk.aside(lambda: notify("WATCHDOG=1"))
        await asyncio.sleep(interval)
    await asyncio.Event().wait()


async def _first_of(stop: asyncio.Event, work: list[asyncio.Task[Any]]) -> None:
    told = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([told, *work], return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    for task in done - {told}:
        task.result()
        raise Cannot("go on serving: a server ended by itself", kind="bug", hint="see the lines above")


async def _end(front: Front, servers: dict[Door, _Server], work: list[asyncio.Task[Any]]) -> None:
    """Streams first, because a server waits for its connections."""
    if front.hub is not None:
        front.hub.close()
    for server in servers.values():
        server.ending.set()
    work[-1].cancel()
    await asyncio.gather(*work, return_exceptions=True)
    front.desk.close()
