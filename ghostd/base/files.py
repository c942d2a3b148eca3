"""Files that are whole or not there: temp file, fsync, rename, fsync of the folder."""

from __future__ import annotations

import contextlib
import os
import threading
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
    temporary = _written_aside(path, data, mode)
    try:
        yield temporary
    finally:
        _gone(temporary)


def _gone(temporary: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)


def _written_aside(path: Path, data: bytes, mode: int, *, synced: bool = True) -> str:
    """A new file with `data` beside `path`; nothing is left where that fails."""
    # One name for each thread of each process; whatever a killed one left under it is written over.
    temporary = f"{path.parent}/.{path.name[:100]}.{os.getpid()}-{threading.get_ident()}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(fd, "wb", buffering=0) as file:
            os.fchmod(fd, mode)
            left = memoryview(data)
            while left:
                left = left[file.write(left) :]
            if synced:
                os.fsync(fd)
    except BaseException:
        _gone(temporary)
        raise
    return temporary


def write_atomic(path: Path, data: bytes, *, mode: int = PRIVATE_FILE, synced: bool = True) -> None:
    """Replace `path` by `data`. A kill at any line leaves the old file or the new, at worst with a `.tmp` beside.

    One that is not `synced` may be lost or empty after a power cut: for what can be written anew.
    """
    temporary = _written_aside(path, data, mode, synced=synced)
    try:
        os.replace(temporary, path)
    except BaseException:
        _gone(temporary)
        raise
    if synced:
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
