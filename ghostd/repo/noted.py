"""What a copy of a tree looked like when it was made: which object stands at each path, and the file's marks.

The marks are what `lstat` tells: whoever changes a file afterwards changes its ctime, which nobody can set. Only within
one tick of the file system's clock two changes look alike; a file as young as the note itself is `young`, and its bytes
have to be looked at. (Git calls such an entry racy: https://git-scm.com/docs/racy-git.)

A note is good for one boot of the machine: after a power cut marks say nothing about bytes.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ghostd.base.files import PRIVATE_FILE

_MAGIC = b"ghost-note-1\n"
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_HEAD = struct.Struct("<40s36sQQ")
_ROW = struct.Struct("<I20sIQQqq")


class Marks(NamedTuple):
    """What tells one state of a file from another."""

    st_mode: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


class Noted(NamedTuple):
    """A file of a copy: Git's mode and object, and its marks."""

    mode: int
    oid: bytes
    marks: Marks


def marks_of(info: os.stat_result) -> Marks:
    """The marks in what `lstat` tells."""
    return Marks(info.st_mode, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A copy as it was made."""

    tree: str
    #: Time of the note by the clock of its file system, in nanoseconds.
    taken: int
    #: By path; folders and submodules are not among them.
    files: Mapping[bytes, Noted]

    def young(self, marks: Marks) -> bool:
        """True where a later change might have left the same marks."""
        return marks.ctime_ns >= self.taken


def read(file: Path) -> Note | None:
    """The note in a file; None where there is none, or one of another boot, or something else."""
    try:
        data = file.read_bytes()
        boot = _BOOT.read_bytes()[:36]
    except OSError:
        return None
    start = len(_MAGIC)
    if not data.startswith(_MAGIC) or len(data) < start + _HEAD.size:
        return None
    tree, when, taken, count = _HEAD.unpack_from(data, start)
    rows = data[start + _HEAD.size :][: count * _ROW.size]
    paths = data[start + _HEAD.size + len(rows) :].split(b"\0")[:-1]
    if when != boot or len(rows) != count * _ROW.size or len(paths) != count:
        return None
    files = {
        path: Noted(mode, oid, Marks._make(marks))
        for path, (mode, oid, *marks) in zip(paths, _ROW.iter_unpack(rows), strict=True)
    }
    return Note(tree=tree.decode("ascii", "replace"), taken=taken, files=files)


def write(file: Path, tree: str, files: Mapping[bytes, Noted]) -> None:
    """Put a note into a file, in one step; a kill leaves the old one, or none, and at worst a `.tmp` beside.

    It is not synced: it is not believed after a power cut. Where the machine has no id of its boot, no note is made.
    """
    with contextlib.suppress(FileNotFoundError):
        boot = _BOOT.read_bytes()[:36]
        aside = file.with_name(file.name + ".tmp")
        aside.unlink(missing_ok=True)
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE_FILE)
        with os.fdopen(fd, "wb") as stream:
            # The file is made after all of the copy, so its time is not before that of any file in it.
            taken = os.fstat(fd).st_ctime_ns
            stream.write(_MAGIC + _HEAD.pack(tree.encode(), boot, taken, len(files)))
            stream.writelines(_ROW.pack(noted.mode, noted.oid, *noted.marks) for noted in files.values())
            stream.writelines(path + b"\0" for path in files)
        aside.replace(file)
