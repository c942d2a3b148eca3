"""The one reader of the event log for all streams of a process, and the bounded queue that each of them has."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import deque
from dataclasses import dataclass, field

from ghostd.api.desk import Desk
from ghostd.model.event import Event
from ghostd.store.ports import Waiter

_log = logging.getLogger("ghost.api.hub")
#: Enough for a burst of a minute at the speed of a busy lane; 256 frames are some 100 kB.
QUEUE = 256
PAGE = 500
#: The bell is a hint; this is what finds an event whose bell was lost.
SAFETY_CHECK = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """What a client wants: types beginning with one of `topics` (none: all), after `since` (None: from now on)."""

    topics: tuple[str, ...] = ()
    since: int | None = None

    def wants(self, type: str) -> bool:
        """A topic covers its own type and everything below it: `ghost.patch` also `ghost.patch.applied`."""
        return not self.topics or any(type == topic or type.startswith(f"{topic}.") for topic in self.topics)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """An event as it goes over the wire, encoded once."""

    seq: int
    type: str
    text: str


def frame(event: Event) -> Frame:
    """Encode an event, in ASCII, so that a stranger's half of a character breaks no connection."""
    text = json.dumps({"op": "event", "event": event.as_json()}, ensure_ascii=True, default=str)
    return Frame(seq=event.seq, type=event.type, text=text)


@dataclass(slots=True, kw_only=True, eq=False)
class Client:
    """One live reader: what waits for it, and how often it was too slow."""

    subscription: Subscription
    #: The last event that it has, or that it was told it missed.
    seq: int
    waiting: deque[Frame] = field(default_factory=deque)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    overflows: int = 0
    missed: bool = False

    def offer(self, new: Frame) -> None:
        """Queue an event. A full queue is thrown away as a whole: a gap that is told is better than a silent one."""
        if new.seq <= self.seq or not self.subscription.wants(new.type):
            return
        if len(self.waiting) >= QUEUE:
            self.waiting.clear()
            self.missed = True
            self.overflows += 1
        else:
            self.waiting.append(new)
        self.news.set()


class Hub:
    """The one reader of the event log for all clients of this process."""

    def __init__(self, desk: Desk, waiter: Waiter) -> None:
        self._desk = desk
        self._waiter = waiter
        self._rung = asyncio.Event()
        self._clients: set[Client] = set()
        self.closing = asyncio.Event()
        self.seq = 0
        self.running = False

    async def run(self) -> None:
        """Follow the log until `closing` is set. A ledger that can not be read is told, and tried again."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._waiter.fileno(), self._ring)
        try:
            self.seq = await self.newest()
            self.running = True
            while not self.closing.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(SAFETY_CHECK):
                        await self._rung.wait()
                self._rung.clear()
                await self._pump()
        finally:
            self.running = False
            loop.remove_reader(self._waiter.fileno())

    def close(self) -> None:
        """End all streams; their clients are told to come back."""
        self.closing.set()
        self._rung.set()

    def _ring(self) -> None:
        self._waiter.drain()
        self._rung.set()

    async def _pump(self) -> None:
        try:
            while page := await self.page(self.seq):
                self._spread(page)
        except Exception:  # noqa: BLE001 - as told below
            # The pump is an outer door: whatever the ledger raises, the next bell or the safety check tries again.
            self.running = False
            _log.exception("cannot read the event log; trying again")
        else:
            self.running = True

    def _spread(self, page: list[Frame]) -> None:
        for new in page:
            for client in self._clients:
                client.offer(new)
        self.seq = page[-1].seq

    async def newest(self) -> int:
        """The number of the ledger's newest event."""
        return await self._desk.ask(lambda ledger: ledger.newest())

    async def page(self, since: int) -> list[Frame]:
        """Events after `since`, encoded."""
        return await self._desk.ask(lambda ledger: [frame(event) for event in ledger.events(since, limit=PAGE)])

    def join(self, client: Client) -> None:
        self._clients.add(client)

    def leave(self, client: Client) -> None:
        self._clients.discard(client)
