"""Live events over `/ws`: read once from the ledger's log, written once for all, never waiting for a slow client.

A client says `{"op": "subscribe", "topics": ["ghost.patch"], "since": 17}` and gets what came after event 17, then
what comes. Each has a bounded queue of its own. When it is full the client is told to `resync` (to read the state anew,
or to subscribe again from the last number that it saw), and the others do not notice.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from ghostd.api.front import Front
from ghostd.api.hub import Client, Hub, Subscription
from ghostd.base.errors import Cannot
from ghostd.security.token import Principal

_log = logging.getLogger("ghost.api.stream")
#: A client that takes nothing for so long is gone, or means harm.
SEND_TIMEOUT = 30.0
#: After that many overflows a client is too slow for live events.
PATIENCE = 3
#: A token may end while its stream is open.
RECHECK = 30.0
MOST_TOPICS = 32
CLOSE_NOT_TEXT, CLOSE_FAILED, CLOSE_RESTARTING, CLOSE_TRY_LATER, CLOSE_EXPIRED = 1003, 1011, 1012, 1013, 4401


def parse(text: str) -> Subscription | None:
    """A client's message; None for a `ping`. Raises Cannot(bad-request)."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        message = None
    match message:
        case {"op": "ping"}:
            return None
        case {"op": "subscribe"}:
            return Subscription(topics=_topics(message.get("topics")), since=_since(message.get("since")))
        case _:
            raise _bad('send {"op": "subscribe", "topics": [], "since": 0}')


def _topics(given: Any) -> tuple[str, ...]:
    match given:
        case None:
            return ()
        case [*names] if len(names) <= MOST_TOPICS and all(isinstance(name, str) for name in names):
            shortened = tuple(name.removesuffix("*").removesuffix(".") for name in names)
            return () if "" in shortened else shortened
        case _:
            raise _bad(f"topics is a list of at most {MOST_TOPICS} event types or their beginnings")


def _since(given: Any) -> int | None:
    if given is None or (type(given) is int and 0 <= given < 2**63):
        return given
    raise _bad("since is the number of an event")


def _bad(hint: str) -> Cannot:
    return Cannot("understand this message", kind="bad-request", hint=hint)


async def serve(hub: Hub, socket: WebSocket, admit: Callable[[], Principal]) -> None:
    """One client's stream, from its acceptance to its end: by the client, by its token, or by our own end."""
    await socket.accept()
    ends = {
        asyncio.create_task(_listen(hub, socket)): None,
        asyncio.create_task(hub.closing.wait()): CLOSE_RESTARTING,
        asyncio.create_task(_expire(admit)): CLOSE_EXPIRED,
    }
    try:
        done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _end(*ends)
    code = next((ends[task] for task in done if ends[task]), None)
    if code is not None:
        await _close(socket, code)
    for task in done:
        task.result()


async def _close(socket: WebSocket, code: int) -> None:
    with contextlib.suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
        async with asyncio.timeout(1.0):
            await socket.close(code)


async def _end(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _expire(admit: Callable[[], Principal]) -> None:
    """Return when the client would no longer be let in."""
    with contextlib.suppress(Cannot):
        while True:
            await asyncio.sleep(RECHECK)
            admit()


async def _listen(hub: Hub, socket: WebSocket) -> None:
    """Read the client's messages; each subscription replaces the one before."""
    speaking: asyncio.Task[None] | None = None
    try:
        async for text in socket.iter_text():
            try:
                wanted = parse(text)
            except Cannot as error:
                await _send(socket, {"op": "error", "code": error.kind, "message": str(error)})
                continue
            if wanted is None:
                await _send(socket, {"op": "pong", "seq": hub.seq})
                continue
            if speaking is not None:
                await _end(speaking)
            speaking = asyncio.create_task(_quietly(socket, _speak(hub, socket, wanted)))
    except KeyError:
        # A binary message has no text: not our protocol.
        await _close(socket, CLOSE_NOT_TEXT)
    except (WebSocketDisconnect, TimeoutError):
        return
    finally:
        if speaking is not None:
            await _end(speaking)


async def _quietly(socket: WebSocket, speaking: Coroutine[Any, Any, None]) -> None:
    """End a subscription in whatever way it ends; nobody waits for its result."""
    try:
        await speaking
    except WebSocketDisconnect:
        # A client that goes away while we speak has said all it wants.
        return
    except TimeoutError:
        await _close(socket, CLOSE_TRY_LATER)
    except Exception:  # noqa: BLE001 - as told below
        # The outer door of one stream: the client hears that it ended, and comes back.
        _log.exception("a stream ended")
        await _close(socket, CLOSE_FAILED)


async def _speak(hub: Hub, socket: WebSocket, wanted: Subscription) -> None:
    """Tell what the subscription wants: the past out of the ledger, then live."""
    await _send(socket, {"op": "subscribed", "topics": list(wanted.topics), "since": wanted.since, "seq": hub.seq})
    client = await _catch_up(hub, socket, wanted)
    hub.join(client)
    try:
        await _follow(hub, socket, client)
    finally:
        hub.leave(client)


async def _catch_up(hub: Hub, socket: WebSocket, wanted: Subscription) -> Client:
    """Send the past, page by page at the client's own pace, until it has all that the hub has.

    Nothing is awaited between the last comparison and the caller's `join`, so no event falls in between.
    """
    seq = hub.seq if wanted.since is None else await _known(hub, socket, wanted.since)
    while seq < hub.seq:
        page = await hub.page(seq)
        if not page:
            break
        for past in page:
            if wanted.wants(past.type):
                await _send_text(socket, past.text)
        seq = page[-1].seq
    return Client(subscription=wanted, seq=seq)


async def _known(hub: Hub, socket: WebSocket, since: int) -> int:
    """`since`, or the newest number where the client knows one of another ledger, which it is told."""
    newest = await hub.newest() if since > hub.seq else since
    if since > newest:
        await _send(socket, {"op": "resync", "since": since, "seq": newest})
    return min(since, newest)


async def _follow(hub: Hub, socket: WebSocket, client: Client) -> None:
    while True:
        await client.news.wait()
        client.news.clear()
        if client.missed:
            client.missed = False
            await _send(socket, {"op": "resync", "since": client.seq, "seq": hub.seq})
            if client.overflows >= PATIENCE:
                await _close(socket, CLOSE_TRY_LATER)
                return
        # What came after a gap waits until the client was told of the gap.
        while client.waiting and not client.missed:
            new = client.waiting.popleft()
            await _send_text(socket, new.text)
            client.seq = new.seq


async def _send(socket: WebSocket, message: dict[str, Any]) -> None:
    await _send_text(socket, json.dumps(message))


async def _send_text(socket: WebSocket, text: str) -> None:
    async with asyncio.timeout(SEND_TIMEOUT):
        await socket.send_text(text)


async def attend(front: Front, socket: WebSocket, admit: Callable[[], Principal]) -> None:
    """Live events: `{"op": "subscribe", "topics": [], "since": 0}`."""
    if front.hub is None:
        await socket.close(CLOSE_TRY_LATER)
        return
    await serve(front.hub, socket, admit)
