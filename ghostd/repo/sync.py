"""What makes new files survive a power cut, with as few waits for the disk as the file system allows.

The rule everywhere: the bytes of a file are on the disk before it gets its name, and the names are before whoever asked
is told. On most file systems that is one fsync for each file and one for each folder.

ext4 with a journal keeps all changes of names and sizes in one log, whose transactions reach the disk in order and
whole. There it is enough to write the bytes out before the rename (`sync_file_range`, which waits for the device but
does not flush its cache) and to fsync one of the files after the last rename: that fsync commits the transaction with
all renames so far, and the flush that comes before its commit record covers the bytes of all files.
See https://docs.kernel.org/filesystems/ext4/journal.html and git's `core.fsyncMethod=batch`. An ext4 without a journal
has no such order and is treated as any other file system.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Iterable
from pathlib import Path

#: Wait for writes under way, start those of the rest, wait for them: SYNC_FILE_RANGE_WAIT_BEFORE | WRITE | WAIT_AFTER.
_WRITE_OUT = 7
#: Start them, wait for none: SYNC_FILE_RANGE_WRITE.
_START = 2
_MOUNTS = Path("/proc/self/mountinfo")
_JOURNALS = Path("/proc/fs/jbd2")


class Sync:
    """How files below one folder are made durable; does nothing where they need not be."""

    __slots__ = ("_durable", "_ordered")

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self._durable = durable
        self._ordered = durable and has_ordered_journal(folder)

    def content(self, fd: int) -> None:
        """Before a file gets its name: its bytes come to the disk before the name does."""
        if not self._durable:
            return
        if not self._ordered or _sync_file_range(fd, 0, 0, _WRITE_OUT) != 0:
            os.fsync(fd)

    def begin(self, fd: int) -> None:
        """Have the bytes of a file on their way, so that of several each waits for what is left."""
        if self._durable:
            _sync_file_range(fd, 0, 0, _START)

    def names(self, last: int, folders: Iterable[str | Path]) -> None:
        """After the renames: they are on the disk. `last` is a descriptor of the file that was renamed last."""
        if not self._durable:
            return
        if self._ordered:
            os.fsync(last)
            return
        for folder in dict.fromkeys(folders):
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    @property
    def waits_later(self) -> bool:
        """Whether one later `names` on the same file system covers all renames until then: these need no own wait."""
        return self._ordered or not self._durable


@functools.cache
def has_ordered_journal(folder: Path) -> bool:
    """True on an ext4 with a journal; False where that can not be seen, which costs time and nothing else."""
    device = folder.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = [line.split() for line in _MOUNTS.read_text(errors="replace").splitlines()]
        journals = [entry.name for entry in _JOURNALS.iterdir()]
    except OSError:
        return False
    # Fields: id, parent, major:minor, root, place, options, … "-", type, source, options of the file system.
    kinds = [words[words.index("-") + 1 :] for words in mounts if words[2] == wanted and "-" in words]
    sources = {Path(source).name for kind, source, *_ in kinds if kind == "ext4"}
    return any(journal.rpartition("-")[0] in sources for journal in journals)


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return libc


_sync_file_range = _libc().sync_file_range
