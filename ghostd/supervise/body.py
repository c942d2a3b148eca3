"""The process of a service as the engine sees it: pid, age, output, and what it says about itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ghostd.base.clock import Clock
from ghostd.supervise.birth import PIPE_BYTES
from ghostd.supervise.link import Kept
from ghostd.supervise.logs import LogFile, Pump
from ghostd.supervise.loop import Loop
from ghostd.supervise.probes import Ear, Told


class Body:
    """At most one process at a time. It decides nothing; what it hears it keeps and hands on."""

    def __init__(self, *, log: LogFile, loop: Loop, clock: Clock) -> None:
        self.log = log
        self._loop = loop
        self._clock = clock
        self.pid = 0
        #: Start time in ticks since boot.
        self.start = 0
        self.laststart = 0.0
        #: Listener → `host:port`, as told.
        self.listen: dict[str, str] = {}
        #: Its last STATUS=.
        self.said = ""
        self.last_watchdog: float | None = None
        self._born = 0.0
        self._pumps: list[Pump] = []
        self._ear: Ear | None = None

    def take(self, kept: Kept, *, age: float = 0.0) -> None:
        """This is our process now, `age` seconds old."""
        self.pid, self.start = kept.pid, kept.start
        self._born = self._clock.monotonic() - age
        self.laststart = self._clock.wall() - age
        self.log.touch()
        self._pumps = [Pump(fd, self.log) for fd in kept.pipes]
        for pump in self._pumps:
            self._loop.watch(pump.fd, partial(self._pour, pump))

    def let_go(self) -> None:
        """It has ended: read what it left in its pipes, and close all that was for it."""
        for pump in self._pumps:
            self._loop.forget(pump.fd)
            pump.drain(PIPE_BYTES)
            pump.close()
        self._pumps = []
        self.deafen()
        self.pid = 0

    def age(self) -> float:
        """Seconds since its start, 0 where nothing runs."""
        return max(0.0, self._clock.monotonic() - self._born) if self.pid else 0.0

    def hearken(self, ear: Ear | None, heard: Callable[[Told], None]) -> None:
        """Listen for a new process; what the last one said is forgotten."""
        self.deafen()
        self.said, self.listen, self.last_watchdog = "", {}, None
        self._ear = ear
        if ear is not None:
            self._loop.watch(ear.fileno(), partial(self._hear, ear, heard))

    def deafen(self) -> None:
        if self._ear is not None:
            self._loop.forget(self._ear.fileno())
            self._ear.close()
            self._ear = None

    def _pour(self, pump: Pump) -> None:
        if not pump.pour():
            # It closed its output, or ended; the news of an end comes from the keeper.
            self._loop.forget(pump.fd)
            self._pumps.remove(pump)
            pump.close()

    def _hear(self, ear: Ear, heard: Callable[[Told], None]) -> None:
        for told in ear.hear():
            self.said = self.said if told.status is None else told.status
            self.listen |= told.listen
            if told.watchdog:
                self.last_watchdog = self._clock.monotonic()
            heard(told)
