"""A lane's drop folder: finds whole files, and puts them away with their result when they are done.

A file is moved last. Whatever dies before leaves it in its place, where it is found, submitted and known again.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ghostd.base.files import make_dir, sync_dir, write_atomic
from ghostd.bridges import rules
from ghostd.bridges.rules import Ripeness, Seen, Shelf, Watched

#: Made beside the shelves, for those who clear them by age.
ARCHIVE = ".archive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A whole file with its content."""

    seen: Seen
    data: bytes


class DropFolder:
    """One lane's folder and what was seen in it."""

    def __init__(self, folder: Path, *, limit: int) -> None:
        self.folder = folder
        #: One byte more than a patch may have is read, so that whoever reads it can tell.
        self._limit = limit
        self._watched: dict[str, Watched] = {}
        self._told: set[Seen] = set()
        #: A file is waiting to be still; look again after `rules.STILL`.
        self.restless = False

    def make(self) -> bool:
        """Make the folder and its shelves where they are missing; True when the folder itself was."""
        missing = not self.folder.is_dir()
        for path in (self.folder, *(self.folder / shelf for shelf in Shelf), self.folder / ARCHIVE):
            make_dir(path)
        return missing

    def look(self, now: float) -> tuple[list[Seen], list[Seen]]:
        """The files that are whole, in the order of their names, and the foreign ones that were not told before."""
        seen = sorted(_entries(self.folder), key=lambda one: one.name)
        self._watched = {one.name: rules.look_again(self._watched.get(one.name), one, now) for one in seen}
        ripe = {name: rules.ripeness(watched, now) for name, watched in self._watched.items()}
        self.restless = Ripeness.WAIT in ripe.values()
        foreign = [one for one in seen if ripe[one.name] is Ripeness.FOREIGN and one not in self._told]
        self._told = (self._told & set(seen)) | set(foreign)
        return [one for one in seen if ripe[one.name] is Ripeness.TAKE], foreign

    def take(self, seen: Seen) -> Dropped | None:
        """Its content; None where it changed or went since it was seen. A link is never followed."""
        try:
            fd = os.open(self.folder / seen.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        with os.fdopen(fd, "rb") as file:
            data = file.read(self._limit + 1)
            same = _seen(seen.name, os.fstat(fd)) == seen
        return Dropped(seen=seen, data=data) if same else None

    def shelve(self, seen: Seen, shelf: Shelf, result: Mapping[str, Any]) -> Path | None:
        """Write the result, then move the file. None where somebody changed or took it: a new file is a new patch."""
        source = self.folder / seen.name
        try:
            if _seen(seen.name, source.lstat()) != seen:
                return None
        except FileNotFoundError:
            return None
        there = make_dir(self.folder / shelf)
        target = there / rules.free_name(seen.name, {path.name for path in there.iterdir()})
        write_atomic(target.with_name(target.name + rules.RESULT), json.dumps(result, indent=2).encode() + b"\n")
        os.replace(source, target)
        sync_dir(there)
        sync_dir(self.folder)
        return target


def _entries(folder: Path) -> Iterator[Seen]:
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                yield _seen(entry.name, entry.stat(follow_symlinks=False))
            except FileNotFoundError:
                continue


def _seen(name: str, status: os.stat_result) -> Seen:
    return Seen(
        name=name,
        device=status.st_dev,
        inode=status.st_ino,
        size=status.st_size,
        modified_ns=status.st_mtime_ns,
        regular=stat.S_ISREG(status.st_mode),
    )
