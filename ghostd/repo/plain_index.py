"""An index through libgit2, where it is of the plain kind: without the two starts of git that it costs elsewhere.

Plain is version 2, which has no flags that keep a path out of the work tree, without conflicts, and without caches that
libgit2 would drop. Whatever is not plain is None here, and the git binary does it. The index is opened by its path and
has no repository behind it, so libgit2 never looks at people's files.

Format: https://git-scm.com/docs/index-format
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pygit2
from pygit2.enums import FileMode

from ghostd.base.errors import Cannot
from ghostd.base.log import one_line
from ghostd.model.tree import Entry, Mode

_PLAIN = b"DIRC\0\0\0\2"
#: Extensions: the untracked cache and the monitor's, which a person switched on to be quick, and those of split and
#: sparse indexes, which libgit2 does not know. A path that looks like one costs time and nothing else.
_EXTENSIONS = (b"UNTR", b"FSMN", b"link\0", b"sdir\0")


def opened(path: Path) -> pygit2.Index | None:
    """The index at `path`; None where it is not plain, or not there."""
    try:
        data = path.read_bytes()
        index = pygit2.Index(str(path)) if data.startswith(_PLAIN) and not _extended(data) else None
    except (OSError, pygit2.GitError):
        # Missing or broken: the git binary knows better what to say.
        return None
    return None if index is None or index.conflicts is not None else index


def _extended(data: bytes) -> bool:
    return any(mark in data for mark in _EXTENSIONS)


def entries(path: Path, wanted: Iterable[bytes]) -> dict[bytes, Entry] | None:
    """The entries at and below the wanted paths; None where the index or a name in it is not plain."""
    index = opened(path)
    try:
        return None if index is None else dict(found for each in wanted for found in _found(index, each.decode()))
    except UnicodeDecodeError:
        return None


def _found(index: pygit2.Index, path: str) -> Iterator[tuple[bytes, Entry]]:
    for start in (path, path + "/"):
        for number in range(_first(index, start.encode()), len(index)):
            entry = index[number]
            name = _name(entry)
            if name != path.encode() and not name.startswith(path.encode() + b"/"):
                break
            yield name, Entry(mode=Mode(entry.mode), oid=str(entry.id))


def _name(entry: pygit2.IndexEntry) -> bytes:
    return str(entry.path).encode()


def _first(index: pygit2.Index, path: bytes) -> int:
    """Number of the first entry that is not before `path`: an index is sorted by the bytes of its paths."""
    low, high = 0, len(index)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if _name(index[middle]) < path else (low, middle)
    return low


def replace(aside: Path, changes: Mapping[bytes, Entry | None]) -> bool:
    """Set (None: remove) entries in a copy of an index, whole and synced; False where it is not plain and untouched.

    A set entry has no times in it, which tells git to look at the content. Raises Cannot of kind git-failed.
    """
    index = opened(aside)
    try:
        named = {path.decode(): entry for path, entry in changes.items()}
    except UnicodeDecodeError:
        return False
    if index is None:
        return False
    for path in (path for path, entry in named.items() if entry is None and path in index):
        index.remove(path)
    for path, entry in named.items():
        if entry is not None:
            # libgit2 overlooks what stands below a new file where `path-x` is sorted in between.
            for below in [name.decode() for name, _ in _found(index, path) if name != path.encode()]:
                index.remove(below)
            index.add(pygit2.IndexEntry(path, pygit2.Oid(hex=entry.oid), FileMode(entry.mode)))
    try:
        index.write()
    except (OSError, pygit2.GitError) as error:
        raise Cannot(
            f"write {aside}: {one_line(str(error))}", kind="git-failed", hint="see to the disk and its permissions"
        ) from error
    return True
