"""A tree in memory for tests of the patch algebra: real bytes, Git's own blob ids, nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from ghostd.model.tree import Change, Entry, File, Mode


def blob_id(data: bytes) -> str:
    """The object id that Git gives to these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class MemoryTree:
    """Implements `model.tree.Listed` on a dictionary; `bare()` hides the listing."""

    def __init__(self, files: Mapping[bytes, File | bytes] = {}) -> None:
        self.files = {
            path: file if isinstance(file, File) else File(mode=Mode.FILE, data=file) for path, file in files.items()
        }

    def entry(self, path: bytes) -> Entry | None:
        file = self.files.get(path)
        return None if file is None else Entry(mode=file.mode, oid=blob_id(file.data))

    def is_folder(self, path: bytes) -> bool:
        return any(each.startswith(path + b"/") for each in self.files)

    def read(self, path: bytes) -> bytes:
        if self.files[path].mode is Mode.GITLINK:
            raise KeyError(path)
        return self.files[path].data

    def below(self, folder: bytes) -> Iterable[bytes]:
        return [each for each in self.files if each.startswith(folder + b"/")]

    def after(self, changes: Iterable[Change]) -> MemoryTree:
        """A tree with changes made, each of which has to be what it says and to leave a tree that can exist."""
        files = dict(self.files)
        for change in changes:
            assert change.before == self.entry(change.path)
            assert change.before is not None or change.after is not None
            files.pop(change.path, None)
        for change in changes:
            if change.after is not None:
                files[change.path] = change.after
        for path in files:
            parts = path.split(b"/")
            assert not any(b"/".join(parts[:n]) in files for n in range(1, len(parts))), f"{path!r} is below a file"
        return MemoryTree(files)

    @classmethod
    def of(cls, folder: Path) -> MemoryTree:
        """The files of a real folder: executables and symlinks by their modes, `.keep` of an empty one left out."""
        found: dict[bytes, File | bytes] = {}
        for path in sorted(folder.rglob("*")):
            name = bytes(path.relative_to(folder))
            if path.is_symlink():
                found[name] = File(mode=Mode.SYMLINK, data=bytes(path.readlink()))
            elif path.is_file() and path.name != ".keep":
                mode = Mode.EXECUTABLE if path.stat().st_mode & 0o100 else Mode.FILE
                found[name] = File(mode=mode, data=path.read_bytes())
        return cls(found)
