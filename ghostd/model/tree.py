"""A tree of files as the patch algebra sees it: bytes under byte paths, nothing of Git's storage."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol, runtime_checkable


class Mode(IntEnum):
    """The four kinds of entry that Git can hold beside folders, by Git's own numbers."""

    FILE = 0o100644
    EXECUTABLE = 0o100755
    SYMLINK = 0o120000
    GITLINK = 0o160000


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What stands at a path: `oid` is Git's object id in hex."""

    mode: Mode
    oid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """What shall stand at a path. A symlink's data is its target."""

    mode: Mode
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One path of a change: `before` is None where the path is new, `after` is None where it goes."""

    path: bytes
    before: Entry | None
    after: File | None


class Tree(Protocol):
    """A read-only tree. Paths are relative, `/`-separated, without `.` and `..`."""

    def entry(self, path: bytes) -> Entry | None:
        """The file, symlink or submodule at `path`; None where there is none or a folder."""
        ...

    def is_folder(self, path: bytes) -> bool:
        """True where `path` is a folder of the tree."""
        ...

    def read(self, path: bytes) -> bytes:
        """The exact bytes of the file at `path`. Raises KeyError where there is no file."""
        ...


@runtime_checkable
class Listed(Tree, Protocol):
    """A tree that can also tell what a folder holds, which turning a folder into a file needs to know."""

    def below(self, folder: bytes) -> Iterable[bytes]:
        """The path of every file, symlink and submodule below `folder`, at any depth."""
        ...
