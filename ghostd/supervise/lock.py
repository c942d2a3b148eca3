"""One engine for each workspace: a lock that ends with the process, and tells who holds it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from ghostd.base.errors import Cannot

LOCK = "ghostd.lock"


@contextlib.contextmanager
def only_engine(folder: Path) -> Iterator[None]:
    """Be the engine of this run folder. Raises Cannot(already-running) with the pid of the one that is."""
    fd = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(fd, 20, 0).decode("ascii", "replace").strip()
            raise Cannot(
                f"start a second ghostd in {folder.parent.parent}: one runs already, with pid {pid or 'unknown'}",
                kind="already-running",
                hint="ghostd status shows it, ghostd stop ends it",
                pid=int(pid) if pid.isdigit() else None,
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
        os.ftruncate(fd, 0)
    finally:
        os.close(fd)


def holder(folder: Path) -> int | None:
    """The pid of the engine that holds the lock now, None where none does."""
    try:
        fd = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(fd, 20, 0).decode("ascii", "replace").strip()
        return int(pid) if pid.isdigit() else 0
    else:
        return None
    finally:
        os.close(fd)
