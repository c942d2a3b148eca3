"""What the machine and the services use, read without waiting: two looks make a share of the CPU, none blocks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
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


def machine(folder: Path) -> dict[str, Any]:
    """The original's `system_metrics`, of the machine and of the disk that holds `folder`."""
    import psutil

    # None on a machine without any interface.
    network = psutil.net_io_counters()
    return {
        "cpu": {"count": os.cpu_count() or 1, "percent": psutil.cpu_percent(interval=None)},
        "memory": {"percent": psutil.virtual_memory().percent},
        "disk": {"percent": psutil.disk_usage(str(folder)).percent},
        "network": {
            "bytes_recv": getattr(network, "bytes_recv", 0),
            "bytes_sent": getattr(network, "bytes_sent", 0),
        },
    }
