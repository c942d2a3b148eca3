"""What a command made of a tree's files: the difference of a folder on disk from the tree, as changes.

In a copy of the pool, files whose marks are still the noted ones are not read; elsewhere every file is.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ghostd.base.errors import Cannot, of_os_error
from ghostd.model.tree import Change, Entry, File, Mode
from ghostd.repo import noted
from ghostd.repo.bring import DEPTH, blob_id, file_id, read_file
from ghostd.repo.git import Repository
from ghostd.repo.noted import Note, marks_of
from ghostd.repo.objects import Folder, Slot, load_folder
from ghostd.repo.rubbish import opened_folder

#: More than this is no source code.
LIMIT = 64 << 20
_MANY = 50_000


def read_back(repo: Repository, folder: Path, tree: str, *, limit: int = LIMIT) -> tuple[Change, ...]:
    """Every path at which `folder` differs from the tree, sorted; empty folders are nothing, symlinks are not followed.

    Raises Cannot of kind odd-file for a socket, pipe or device, too-large where the changes hold more than `limit`
    bytes or 50,000 paths, and os-error for what can not be read. Whether a name may be committed is the caller's
    business.
    """
    note = noted.read(folder.parent / "note")
    look = _Look(repo, note if note is not None and note.tree == tree else None, limit)
    try:
        with opened_folder(os.fsencode(folder)) as top:
            found = list(look.folder(top, b"", load_folder(repo, tree), 0))
    except OSError as error:
        raise of_os_error(error, f"read back {folder}") from error
    return tuple(sorted(found, key=lambda change: change.path))


class _Look:
    def __init__(self, repo: Repository, note: Note | None, limit: int) -> None:
        self._repo = repo
        self._note = note
        self._left = limit
        self._count = 0

    def folder(self, fd: int, above: bytes, slots: Folder, depth: int) -> Iterator[Change]:
        if depth > DEPTH:
            raise _refused(above, "too deep", kind="too-large")
        with os.scandir(fd) as entries:
            found = {os.fsencode(entry.name): entry.stat(follow_symlinks=False) for entry in entries}
        for name, info in found.items():
            if stat.S_ISDIR(info.st_mode):
                yield from self._below(fd, above, name, slots.get(name), depth)
            else:
                yield from self._file(fd, above, name, slots.get(name), info)
        for name, slot in slots.items():
            if name not in found or _is_kept_apart(slot) != stat.S_ISDIR(found[name].st_mode):
                yield from self._gone(above + name, slot, onto_file=name in found)

    def _below(self, fd: int, above: bytes, name: bytes, slot: Slot | None, depth: int) -> Iterator[Change]:
        slots = load_folder(self._repo, slot.oid.hex()) if slot is not None and slot.is_folder else {}
        with opened_folder(name, fd) as below:
            yield from self.folder(below, above + name + b"/", slots, depth + 1)

    def _gone(self, path: bytes, slot: Slot, *, onto_file: bool) -> Iterator[Change]:
        """What is no more where the tree has a file, or all that was in a folder."""
        if slot.is_folder:
            for name, below in load_folder(self._repo, slot.oid.hex()).items():
                yield from self._gone(path + b"/" + name, below, onto_file=False)
        elif not onto_file or slot.mode != Mode.GITLINK:
            yield self._counted(Change(path=path, before=slot.entry(), after=None))

    def _file(self, fd: int, above: bytes, name: bytes, slot: Slot | None, info: os.stat_result) -> Iterator[Change]:
        path = above + name
        if not stat.S_ISREG(info.st_mode) and not stat.S_ISLNK(info.st_mode):
            raise _refused(path, "it is a socket, a pipe or a device", kind="odd-file")
        entry = slot.entry() if slot is not None and not slot.is_folder else None
        mode = _mode(info)
        same = entry is not None and entry.mode == mode
        if same and entry is not None and (self._as_noted(path, entry, info) or _id(fd, name, info) == entry.oid):
            return
        data = self._bytes(fd, name, path, info)
        self._left -= len(data)
        yield self._counted(Change(path=path, before=entry, after=File(mode=mode, data=data)))

    def _as_noted(self, path: bytes, entry: Entry, info: os.stat_result) -> bool:
        if self._note is None:
            return False
        kept, marks = self._note.files.get(path), marks_of(info)
        return kept is not None and kept.marks == marks and kept.oid.hex() == entry.oid and not self._note.young(marks)

    def _bytes(self, fd: int, name: bytes, path: bytes, info: os.stat_result) -> bytes:
        if info.st_size > self._left:
            raise _refused(path, "there is too much of it", kind="too-large")
        return os.readlink(name, dir_fd=fd) if stat.S_ISLNK(info.st_mode) else read_file(fd, name)

    def _counted(self, change: Change) -> Change:
        self._count += 1
        if self._count > _MANY:
            raise _refused(change.path, "there are too many changes", kind="too-large")
        return change


def _id(fd: int, name: bytes, info: os.stat_result) -> str:
    link = stat.S_ISLNK(info.st_mode)
    return (blob_id(os.readlink(name, dir_fd=fd)) if link else file_id(fd, name, info.st_size)).hex()


def _is_kept_apart(slot: Slot) -> bool:
    """A folder, or a submodule, which is one on the disk."""
    return slot.is_folder or slot.mode == Mode.GITLINK


def _mode(info: os.stat_result) -> Mode:
    if stat.S_ISLNK(info.st_mode):
        return Mode.SYMLINK
    return Mode.EXECUTABLE if info.st_mode & 0o100 else Mode.FILE


def _refused(path: bytes, why: str, *, kind: str) -> Cannot:
    shown = os.fsdecode(path[:1000]).encode("utf-8", "backslashreplace").decode()
    return Cannot(
        f"take over {shown}: {why}", kind=kind, hint="have the command remove what it does not need", path=shown
    )
