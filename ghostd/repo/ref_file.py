"""One ref in its file, moved as Git moves it: lock, compare, write, rename, reflog; each step synced once.

libgit2 does the same with twice the waits for the disk and a dozen looks at files. What is not a plain file with an id
in it (a packed ref, a symbolic one) is left to it.

A kill leaves `<ref>.lock` (`mend` removes it) or a ref that has moved without a line in its reflog.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from ghostd.base.log import one_line
from ghostd.repo import seal
from ghostd.repo.sync import Sync

_LOG = logging.getLogger("repo")
_ID = re.compile(rb"[0-9a-f]{40}\n?")
_NEW_LOCK = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def move(common: str | Path, name: str, new: str, expect: str, *, why: str, sync: Sync) -> bool:
    """Move a ref from `expect` to `new`; False where it is no plain file, or holds something else: nothing is done.

    Raises OSError (FileExistsError where somebody holds its lock).
    """
    path = f"{common}/{name}"
    if _read(path) is None:
        return False
    lock = f"{path}.lock"
    fd = os.open(lock, _NEW_LOCK, 0o666)
    try:
        with _given_back(lock) as held:
            # Under the lock: whoever moves it now has to wait for us.
            if _read(path) != expect:
                return False
            os.write(fd, f"{new}\n".encode())
            sync.content(fd)
            os.rename(lock, path)  # noqa: PTH104 - as everything here, on plain names: this is done for each patch
            held.pop_all()
        _settle(sync, fd, path)
    finally:
        os.close(fd)
    _tell(common, name, f"{expect} {new} {seal.NAME} <{seal.MAIL}> {int(time.time())} +0000\t{one_line(why)}\n")
    return True


def _settle(sync: Sync, fd: int, path: str) -> None:
    """Wait until the new name is on the disk. It has moved, whatever comes of that: to call it a failure now would have
    the same change made twice. `git pack-refs` may have taken the file and its folder away again by then.
    """
    try:
        sync.names(fd, [path.rpartition("/")[0]])
    except OSError as error:
        _LOG.warning("%s has moved, and may not survive a power cut yet: %s", path, error)


def set_behind(common: str | Path, name: str, new: str, expect: str) -> bool:
    """As `move`, for a ref that may be older than the truth after a power cut: nothing is waited for, nothing logged.

    Its file is written over, under the lock. The new id is as long as the old one and lies in one sector of the disk,
    which is written whole or not at all: there is no moment at which a power cut leaves half of it.
    """
    path = f"{common}/{name}"
    lock = f"{path}.lock"
    os.close(os.open(lock, _NEW_LOCK, 0o666))
    try:
        if _read(path) != expect:
            return False
        fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if os.fstat(fd).st_nlink != 1:
                # A copy that shares its files with this one shall keep its own.
                return False
            os.pwrite(fd, new.encode(), 0)
        finally:
            os.close(fd)
    finally:
        os.unlink(lock)
    return True


@contextlib.contextmanager
def _given_back(lock: str) -> Iterator[contextlib.ExitStack]:
    """Remove the lock at the end, unless it has become the ref: then that name may be another's already."""
    with contextlib.ExitStack() as held:
        held.callback(os.unlink, lock)
        yield held


def _read(path: str) -> str | None:
    data = _content(path)
    return data[:40].decode("ascii") if data is not None and _ID.fullmatch(data) else None


def _content(path: str) -> bytes | None:
    """The first bytes of a small file; None where there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return os.read(fd, 4096)
    except IsADirectoryError:
        return None
    finally:
        os.close(fd)


def _tell(common: str | Path, name: str, line: str) -> None:
    """Write the move into the reflogs that are kept: the ref's own, and HEAD's where HEAD is this ref.

    A log that can not be written is no reason to call a move that has happened a failure.
    """
    with contextlib.suppress(OSError):
        _append(f"{common}/logs/{name}", line)
        if _content(f"{common}/HEAD") == f"ref: {name}\n".encode():
            _append(f"{common}/logs/HEAD", line)


def _append(log: str, line: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        fd = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.write(fd, line.encode())
        finally:
            os.close(fd)
