"""Reads what was added to a transcript since the last time, through growth, truncation and replacement."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from ghostd.base.errors import Cannot
from ghostd.bridges import rules
from ghostd.bridges.fences import Mark
from ghostd.bridges.rules import Course, Look, Position
from ghostd.bridges.transcripts import HEAD, Reading, Shape, detect, read

#: A first line may be a long JSON record; more than this is no transcript.
_LONGEST_FIRST = 16 * 1024 * 1024
#: What editors leave beside a file is no transcript.
_DEBRIS = ("~", ".tmp", ".part", ".swp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """What one look at a transcript gave."""

    course: Course
    reading: Reading
    #: To be kept once everything in `reading` is settled.
    position: Position
    #: Its size and time of change at this look; the same later means that it rested.
    stamp: tuple[int, int]
    #: The last line has no line end yet and was not looked at.
    unfinished: bool


def follow(path: Path, position: Position | None, *, roles: Collection[str], ended: bool = False) -> Stretch:
    """Read on from `position`. Raises FileNotFoundError, another OSError, or Cannot(not-a-file).

    `ended`: the file has rested for a while, so a last line without line end counts.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise Cannot(f"follow {path}: it is no file", kind="not-a-file", hint="name a file or a folder of files")
        look = _look(fd, status, position)
        course = rules.course(position, look)
        known = position if position is not None and course is Course.ON else rules.first_position(look)
        data = _read(fd, known.mark.offset)
        reading = read(data, look.shape, roles=roles, start=known.mark, ended=ended)
        reached = rules.moved_to(look, reading.mark, _before(fd, reading.mark))
    finally:
        os.close(fd)
    cut = look.shape is Shape.PLAIN and not ended and bool(data) and not data.endswith(b"\n")
    return Stretch(
        course=course, reading=reading, position=reached, stamp=(status.st_size, status.st_mtime_ns), unfinished=cut
    )


def stamp(path: Path) -> tuple[int, int] | None:
    """Size and time of change of a file, None where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime_ns


def transcripts(path: Path) -> tuple[Path, ...]:
    """A file itself; of a folder the files in it, without hidden ones and editors' debris."""
    if not path.is_dir():
        return (path,)
    inside = (entry for entry in path.iterdir() if not entry.name.startswith("."))
    return tuple(sorted(entry for entry in inside if entry.is_file() and not entry.name.endswith(_DEBRIS)))


def folders(path: Path) -> frozenset[Path]:
    """The existing folders in which a change of `path` would show: its own, its file's, and that of a link's target."""
    candidates = (path,) if path.is_dir() else (path.parent, path.resolve().parent)
    return frozenset(folder for folder in candidates if folder.is_dir())


def _look(fd: int, status: os.stat_result, position: Position | None) -> Look:
    head = os.pread(fd, HEAD, 0)
    if len(head) == HEAD and b"\n" not in head:
        head = os.pread(fd, _LONGEST_FIRST, 0)
    before = os.pread(fd, position.tail_size, position.mark.offset - position.tail_size) if position else b""
    return Look(
        device=status.st_dev,
        inode=status.st_ino,
        size=status.st_size,
        head=head,
        before=before,
        shape=detect(head),
    )


def _before(fd: int, mark: Mark) -> bytes:
    size = min(rules.SAMPLE, mark.offset)
    return os.pread(fd, size, mark.offset - size)


def _read(fd: int, offset: int) -> bytes:
    with os.fdopen(os.dup(fd), "rb") as file:
        file.seek(offset)
        return file.read()
