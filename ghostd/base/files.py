"""Files that are whole or not there: temp file, fsync, rename, fsync of the folder."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

PRIVATE_DIR = 0o700
PRIVATE_FILE = 0o600


def make_dir(path: Path) -> Path:
    """Make a folder (and its parents) for the owner only; an existing one keeps its mode."""
    path.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
    return path


def sync_dir(path: Path) -> None:
    """Make renames and unlinks in a folder survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def _aside(path: Path, data: bytes, mode: int) -> Iterator[str]:
    """A synced file with `data` beside `path`, for the block to put into place; removed if it does not."""
    fd, temporary = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            os.fchmod(fd, mode)
            file.write(data)
            file.flush()
            os.fsync(fd)
        yield temporary
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def write_atomic(path: Path, data: bytes, *, mode: int = PRIVATE_FILE) -> None:
    """Replace `path` by `data`. A kill at any line leaves the old file or the new, at worst with a `.tmp` beside."""
    with _aside(path, data, mode) as temporary:
        os.replace(temporary, path)
    sync_dir(path.parent)


def create_exclusive(path: Path, data: bytes, *, mode: int = PRIVATE_FILE) -> bool:
    """Write a file that must not exist yet, durable; False where it does. Two writers: one wins, whole."""
    if path.exists():
        return False
    with _aside(path, data, mode) as temporary:
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
    sync_dir(path.parent)
    return True
