"""What the services use, read without waiting: two looks make a share of the CPU, none blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class Meter:
    """Remembers each process between two looks. Not for two threads at once; whoever calls it sees to that."""

    def __init__(self) -> None:
        self._known: dict[int, Any] = {}

    def services(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The supervisor's rows with the CPU and memory of those that run."""
        seen = {pid: known for pid, known in self._known.items() if pid in {row.get("pid") for row in rows}}
        self._known = seen
        return [{**row, **self._use(row["pid"])} if row.get("pid") else dict(row) for row in rows]

    def _use(self, pid: int) -> dict[str, Any]:
        import psutil

        try:
            process = self._known.setdefault(pid, psutil.Process(pid))
            with process.oneshot():
                return {"cpu_percent": process.cpu_percent(None), "memory_bytes": process.memory_info().rss}
        except psutil.Error:
            # It ended since the supervisor told of it, or is another user's.
            self._known.pop(pid, None)
            return {}
