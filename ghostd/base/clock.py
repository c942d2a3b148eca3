"""Time as an argument: a monotonic clock measures, a wall clock only labels."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the shells around pure decisions read the time from; tests bring their own."""

    def wall(self) -> float:
        """Seconds since 1970-01-01 UTC. For labels and dates, never for durations."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start that never jump. For durations and deadlines."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def wall(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


def rfc3339(wall: float) -> str:
    """A wall time as RFC 3339 in UTC with milliseconds: `2025-07-29T06:30:00.000Z`."""
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
