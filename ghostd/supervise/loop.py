"""The engine's loop: descriptors that are registered once, the sockets of supervisor's HTTP server, one next deadline.

It sleeps until something happens or is due; there is no tick.
"""

from __future__ import annotations

import contextlib
import logging
import select
import time
from collections.abc import Callable
from typing import Any

from supervisor.medusa import asyncore_25 as asyncore

from ghostd.base.clock import Clock

_log = logging.getLogger("ghostd.supervise.loop")
#: After an unexpected exception: whatever raised may be raised again at once, and must not burn the core.
_BREATH = 0.05


class Loop:
    """An epoll set. `watch` what is ours; what lies in asyncore's socket map is taken along."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._epoll = select.epoll()
        self._watched: dict[int, Callable[[], None]] = {}
        self._taken: dict[int, tuple[Any, int]] = {}

    def watch(self, fd: int, act: Callable[[], None]) -> None:
        """Call `act` whenever this descriptor can be read."""
        self._epoll.register(fd, select.EPOLLIN)
        self._watched[fd] = act

    def forget(self, fd: int) -> None:
        """To be called before the descriptor is closed: the keeper holds copies, which would keep it in the set."""
        if self._watched.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def once(self, due: float | None) -> None:
        """Sleep until something happens, at the latest until `due` (monotonic), and let it be handled."""
        waits = [wait for wait in (self._until(due), self._take_asyncore()) if wait is not None]
        for fd, mask in self._epoll.poll(min(waits, default=None)):
            try:
                self._handle(fd, mask)
            except asyncore.ExitNow:
                raise
            except OSError:
                _log.exception("a descriptor could not be served")
                time.sleep(_BREATH)

    def hurry(self) -> None:
        """A service has changed: whoever waits for an answer over HTTP may have it now."""
        for channel in list(asyncore.socket_map.values()):
            if getattr(channel, "delay", 0):
                channel.last_writable_check = 0

    def close(self) -> None:
        for channel in list(asyncore.socket_map.values()):
            channel.close()
        self._epoll.close()

    def _handle(self, fd: int, mask: int) -> None:
        act = self._watched.get(fd)
        if act is not None:
            act()
            return
        channel = asyncore.socket_map.get(fd)
        if channel is None:
            return
        try:
            if mask & ~select.EPOLLOUT:
                channel.handle_read_event()
            if mask & select.EPOLLOUT and asyncore.socket_map.get(fd) is channel:
                channel.handle_write_event()
        except asyncore.ExitNow:
            raise
        except Exception:  # noqa: BLE001 - the door of a library that raises what it likes; it closes the channel
            channel.handle_error()

    def _until(self, due: float | None) -> float | None:
        return None if due is None else max(0.0, due - self._clock.monotonic())

    def _take_asyncore(self) -> float | None:
        """Bring the set in line with asyncore's map; seconds until the next answer that was put off, None without."""
        channels: dict[int, Any] = asyncore.socket_map
        for fd in [fd for fd, (channel, _) in self._taken.items() if channels.get(fd) is not channel]:
            del self._taken[fd]
            # Closed, so the kernel has taken it out, and its number may be one of ours by now.
            if fd not in self._watched:
                with contextlib.suppress(OSError):
                    self._epoll.unregister(fd)
        waits = []
        for fd, channel in channels.items():
            self._arrange(fd, channel)
            if getattr(channel, "delay", 0):
                waits.append(_put_off(channel))
        return min(waits, default=None)

    def _arrange(self, fd: int, channel: Any) -> None:
        mask = (select.EPOLLIN if channel.readable() else 0) | (select.EPOLLOUT if channel.writable() else 0)
        known = self._taken.get(fd)
        if known is None:
            self._epoll.register(fd, mask)
        elif known[1] != mask:
            self._epoll.modify(fd, mask)
        self._taken[fd] = (channel, mask)


def _put_off(channel: Any) -> float:
    """Seconds until a deferred answer; it is timed by the wall clock, a jump of which costs one delay at most."""
    passed = time.time() - channel.last_writable_check
    return float(min(max(channel.delay - passed, 0.0), channel.delay))
