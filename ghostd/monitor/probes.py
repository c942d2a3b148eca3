"""Measures the machine, the disk, a listener and our processes."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

#: Local connections succeed or fail at once; one that does not is as good as down.
TIMEOUT = 1.0


def machine(folder: Path) -> dict[str, Any]:
    """The original's `system_metrics`: CPU since the last call, memory, network, and the disk of `folder`."""
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


def free_bytes(folder: Path) -> int:
    """What we may still write on the disk of `folder`."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def answers(address: str) -> tuple[bool, bool]:
    """Whether `host:port` takes a connection, and whether GET /livez there answers 200."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), TIMEOUT) as connection:
            return True, _livez(connection, host)
    except (OSError, ValueError):
        return False, False


def _livez(connection: socket.socket, host: str) -> bool:
    try:
        connection.sendall(f"GET /livez HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        return connection.recv(64).startswith((b"HTTP/1.1 200", b"HTTP/1.0 200"))
    except OSError:
        return False


class Processes:
    """CPU and memory of processes by name. CPU counts from one look to the next, so the first one tells 0."""

    def __init__(self) -> None:
        self._known: dict[int, psutil.Process] = {}

    def look(self, pids: Mapping[str, int]) -> dict[str, dict[str, float]]:
        """One look at the processes that are still there."""
        self._known = {pid: known for pid, known in self._known.items() if pid in pids.values()}
        found = {}
        for name, pid in pids.items():
            with contextlib.suppress(psutil.Error):
                process = self._known.setdefault(pid, psutil.Process(pid))
                memory = process.memory_info().rss
                found[name] = {"cpu_percent": process.cpu_percent(interval=None), "memory_bytes": memory}
        return found
