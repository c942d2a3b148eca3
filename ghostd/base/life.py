"""The life of a service process: it tells that it is ready, sleeps until something happens, and ends when asked to."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Collection, Iterator

from ghostd.base.notify import notify, watchdog_interval

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Life:
    """What a service's loop asks: shall I end, what woke me. Feeds the watchdog each time it is asked to sleep."""

    def __init__(self, wakeup: int) -> None:
        self._wakeup = wakeup
        self._interval = watchdog_interval()
        self._beaten = 0.0
        self.ending = False

    def end(self, *_: object) -> None:
        """Ask the loop to end; also the handler of SIGTERM and SIGINT."""
        self.ending = True

    def ready(self, *assignments: str) -> None:
        """Tell the supervisor that the work has begun."""
        notify(*assignments, "READY=1")

    def beat(self) -> None:
        """Feed the watchdog where one is set, no more often than needed. For long work between two sleeps."""
        now = time.monotonic()
        if self._interval is not None and now - self._beaten >= self._interval / 2:
            self._beaten = now
            notify("WATCHDOG=1")

    def sleep(self, descriptors: Collection[int], timeout: float) -> frozenset[int]:
        """Wait for one of them to be readable, for the end, or for `timeout` seconds; tells what is readable."""
        deadline = time.monotonic() + timeout
        ready: frozenset[int] = frozenset()
        while not self.ending and not ready:
            self.beat()
            left = max(0.0, deadline - time.monotonic())
            nap = left if self._interval is None else min(left, self._interval)
            readable = select.select([*descriptors, self._wakeup], [], [], nap)[0]
            ready = frozenset(readable) - {self._wakeup}
            if left == 0.0:
                break
        return ready


@contextlib.contextmanager
def life() -> Iterator[Life]:
    """The life of this process, for its main thread only; inside the block SIGTERM and SIGINT ask it to end."""
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    here = Life(read)
    before = {number: signal.signal(number, here.end) for number in _SIGNALS}
    fd = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    try:
        yield here
    finally:
        signal.set_wakeup_fd(fd)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(read)
        os.close(write)
