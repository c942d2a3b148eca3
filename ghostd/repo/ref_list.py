"""Names of refs that begin alike, found without listing all the others.

A repository may hold a tag for each patch. libgit2's iterator reads every ref there is; here the folder is read in
which such names lie, and a sorted `packed-refs` is searched by halves. Format: https://git-scm.com/docs/git-pack-refs,
and the header that refs/packed-backend.c writes.
"""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pygit2

from ghostd.repo.git import Repository

_NAMED = re.compile(rb"[0-9a-f]{40} (.+)")
_SORTED = re.compile(rb"#[^\n]* sorted\b")


def beginning(repo: Repository, prefix: str) -> list[str]:
    """Full names of the refs that begin with `prefix` (`refs/…`), in order.

    What is packed meanwhile is seen in its file or in `packed-refs`: Git writes the one before it removes the other.
    """
    loose = set(_loose(Path(repo.identity), prefix))
    names = loose.union(_packed(Path(repo.identity) / "packed-refs", os.fsencode(prefix)))
    return sorted(filter(_valid, names))


def _valid(name: str) -> bool:
    """Locks lie among the refs as well; and of a name that is not UTF-8 nobody can ask libgit2."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return bool(pygit2.reference_is_valid_name(name))


def _loose(common: Path, prefix: str) -> Iterator[str]:
    top = common / prefix.rpartition("/")[0]
    for folder, _, files in os.walk(top):
        below = Path(folder).relative_to(common).as_posix()
        yield from (name for file in files if (name := f"{below}/{file}").startswith(prefix))


def _packed(file: Path, prefix: bytes) -> Iterator[str]:
    try:
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield from (os.fsdecode(name) for name in _from(data, prefix))
    except (FileNotFoundError, ValueError):
        # ValueError: the file is empty, which no mapping can be.
        return


def _from(data: mmap.mmap, prefix: bytes) -> Iterator[bytes]:
    in_order = _SORTED.match(data) is not None
    at = _first(data, prefix) if in_order else 0
    while at < len(data):
        name, at = _line(data, at)
        if name.startswith(prefix):
            yield name
        elif in_order and name > prefix:
            return


def _first(data: mmap.mmap, prefix: bytes) -> int:
    """Where the first line with a name not before `prefix` begins, or a line or two before it."""
    low, high = 0, len(data)
    while low < high:
        middle = data.rfind(b"\n", low, (low + high) // 2) + 1 or low
        name, end = _line(data, middle)
        # A line without a name (the header, what a tag leads to) says nothing: the next one that has a name does.
        while not name and end < high:
            name, end = _line(data, end)
        if name and name < prefix:
            low = end
        elif middle == low:
            return low
        else:
            high = middle
    return low


def _line(data: mmap.mmap, start: int) -> tuple[bytes, int]:
    """The name on a line, empty where it has none, and where the next line begins."""
    end = data.find(b"\n", start)
    end = len(data) if end < 0 else end
    found = _NAMED.fullmatch(data[start:end])
    return (found[1] if found else b""), end + 1
