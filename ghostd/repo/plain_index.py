"""An index by its bytes, where it is of the plain kind: some entries are read, some replaced, and no other is seen.

Plain is version 2, which has no flags that keep a path out of the work tree, without the extensions that a person has
switched on to be quick (untracked cache, monitor) or that put entries elsewhere (split and sparse indexes). Whatever is
not plain is None here, and the git binary does it.

An entry says nothing of its length but its name's, so that only a walk finds where each begins. It is made once; what
it found (`Layout`) holds for the file that is written here too, so that the next patch costs what its paths cost, the
copying of the bytes, and their sum from the first change on.

Format: https://git-scm.com/docs/index-format
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ghostd.model.tree import Entry, Mode
from ghostd.repo import cache_tree

_PLAIN = b"DIRC\0\0\0\2"
_HEAD = 12
_SUM = 20
#: Bytes of an entry before its name: times, device, inode, mode, owner, size, object, flags.
_FIXED = 62
_FLAGS = 60
#: Of these: the mode, the object, and the flags; all else is about the file on disk.
_ENTRY = struct.Struct(">24xI12x20sH")
_MODES = frozenset(Mode)
_STAGE = 0x3000
#: Names of this length and more end at their NUL only.
_LONG = 0xFFF
#: One entry in so many is noted in the layout, and the sum at one place in so many bytes.
_STEP, _BLOCK = 32, 1 << 17
#: So many places are kept in mind.
_PLACES = 4096

#: Extensions that are kept as they are, and those that may be left out: they only help to read in parallel.
_KEPT = (b"REUC",)
_LEFT_OUT = (b"EOIE", b"IEOT")
_TREE = b"TREE"


#: The library has no public name for a running sum.
Sums = list[tuple[int, Any]]


class Layout(NamedTuple):
    """What a walk has found out about the bytes of one index; it holds for these bytes only."""

    #: Where some of the entries begin, in order; the first one is among them.
    begins: list[int]
    #: Where the entries end and the extensions begin.
    end: int
    #: Places, and the sum of all bytes before each; there may be none.
    sums: Sums


class Located(NamedTuple):
    """An entry, and where it stands."""

    begin: int
    end: int
    name: bytes


class Edit(NamedTuple):
    """Bytes that come in the place of others, or between two entries."""

    begin: int
    end: int
    new: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """An index in memory."""

    data: bytes
    layout: Layout
    #: What was looked for, and where that begins: a patch asks for its paths three times.
    places: dict[bytes, int] = field(default_factory=dict, compare=False, repr=False)

    @property
    def count(self) -> int:
        return int.from_bytes(self.data[8:_HEAD], "big")

    def at(self, begin: int) -> Located:
        """The entry that begins at an offset."""
        name = begin + _FIXED
        length = int.from_bytes(self.data[begin + _FLAGS : name], "big") & _LONG
        if length == _LONG:
            length = self.data.index(b"\0", name) - name
        return Located(begin, begin + _padded(_FIXED + length), self.data[name : name + length])

    def since(self, path: bytes) -> Iterator[Located]:
        """The entries from the first whose name is not before `path`: an index is sorted by the bytes of its names."""
        begin = self.place(path)
        while begin < self.layout.end:
            entry = self.at(begin)
            yield entry
            begin = entry.end

    def place(self, path: bytes) -> int:
        """Where the first of them begins, or all entries end."""
        found = self.places.get(path)
        if found is None:
            if len(self.places) >= _PLACES:
                self.places.clear()
            found = self.places[path] = self._sought(path)
        return found

    def _sought(self, path: bytes) -> int:
        # Not through `at`: it goes over up to as many entries as there are in a step.
        data, begin, end = self.data, self._near(path), self.layout.end
        while begin < end:
            length = (data[begin + _FLAGS] << 8 | data[begin + _FLAGS + 1]) & _LONG
            if length == _LONG:
                length = data.index(b"\0", begin + _FIXED) - begin - _FIXED
            if data[begin + _FIXED : begin + _FIXED + length] >= path:
                return begin
            begin += (_FIXED + length + 8) & ~7
        return end

    def _near(self, path: bytes) -> int:
        """A noted entry that is not after `path`, the last such."""
        begins = self.layout.begins
        low, high = 0, len(begins)
        while low + 1 < high:
            middle = (low + high) // 2
            low, high = (middle, high) if self.at(begins[middle]).name < path else (low, middle)
        return begins[low] if begins else self.layout.end

    def named(self, path: bytes) -> list[Located]:
        """The entries at a path: none, one, or the sides of a conflict."""
        return list(itertools.takewhile(lambda entry: entry.name == path, self.since(path)))

    def below(self, path: bytes) -> list[Located]:
        """The entries below a folder."""
        inside = path + b"/"
        after = next((entry for entry in self.since(path) if entry.name != path), None)
        # What follows a path tells most often that nothing is below it, without another search.
        if after is None or (after.name > inside and not after.name.startswith(inside)):
            return []
        return list(itertools.takewhile(lambda entry: entry.name.startswith(inside), self.since(inside)))

    def entry(self, found: Located) -> Entry | None:
        """What an entry says; None for a side of a conflict, and for a mode that Git does not have."""
        mode, oid, flags = _ENTRY.unpack_from(self.data, found.begin)
        return None if flags & _STAGE or mode not in _MODES else Entry(mode=Mode(mode), oid=oid.hex())


def _padded(length: int) -> int:
    """An entry ends with one to eight NULs, at a multiple of eight."""
    return (length + 8) & ~7


def parse(data: bytes, layout: Layout | None = None) -> Plain | None:
    """The index that these bytes are, where it is plain and whole. `layout` is what is known of these very bytes."""
    if not data.startswith(_PLAIN) or len(data) < _HEAD + _SUM:
        return None
    if layout is None:
        layout = _walked(data)
    if layout is None or _extensions(data, layout.end) is None:
        return None
    return Plain(data=data, layout=layout)


def _walked(data: bytes) -> Layout | None:
    """Find where entries begin, and check the sum; None for bytes that are no whole index."""
    begins, at, stop = [], _HEAD, len(data) - _SUM
    for number in range(int.from_bytes(data[8:_HEAD], "big")):
        if at + _FIXED > stop:
            return None
        if number % _STEP == 0:
            begins.append(at)
        # Not through `Plain.at`: this is the one loop that goes over all entries.
        length = (data[at + _FLAGS] << 8 | data[at + _FLAGS + 1]) & _LONG
        if length == _LONG:
            length = data.find(b"\0", at + _FIXED) - at - _FIXED
        at += (_FIXED + length + 8) & ~7
    sums, total = _summed(memoryview(data)[:stop], [])
    return Layout(begins, at, sums) if at <= stop and total == data[stop:] else None


def _summed(data: memoryview, known: Sums) -> tuple[Sums, bytes]:
    """The sum of all bytes, and the sums on the way; `known` are those of an unchanged beginning."""
    sums = list(known)
    at, running = (sums[-1][0], sums[-1][1].copy()) if sums else (0, hashlib.sha1(usedforsecurity=False))
    while at + _BLOCK < len(data):
        running.update(data[at : at + _BLOCK])
        at += _BLOCK
        sums.append((at, running.copy()))
    running.update(data[at:])
    return sums, running.digest()


def _extensions(data: bytes, at: int) -> list[tuple[bytes, bytes]] | None:
    """The extensions by name; None where one of them is none that we know how to keep true."""
    found = []
    while at < len(data) - _SUM:
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "big")
        if name not in (_TREE, *_KEPT, *_LEFT_OUT) or at + 8 + size > len(data) - _SUM:
            return None
        found.append((name, data[at + 8 : at + 8 + size]))
        at += 8 + size
    return found


def entries(plain: Plain, wanted: Iterable[bytes]) -> dict[bytes, Entry] | None:
    """The entries at and below the wanted paths; None where one of them is in conflict."""
    found: dict[bytes, Entry] = {}
    for path in wanted:
        for located in (*plain.named(path), *plain.below(path)):
            entry = plain.entry(located)
            if entry is None:
                return None
            found[located.name] = entry
    return found


def replaced(plain: Plain, changes: Iterable[tuple[bytes, Entry | None]]) -> Plain | None:
    """The index with entries set (None: removed), in this order; None where a path of them is in conflict.

    A file pushes out what is below its name, and the files that its folders were. A set entry has no times in it: they
    tell git to look at the content once, whereas true times would make it look each time, since the file is younger
    than the index (`index.replace` says why that keeps its age).
    """
    gone, fresh = _plan(plain, changes)
    if any(plain.entry(located) is None for located in gone.values()):
        return None
    edits = _edits(plain, gone, fresh)
    count = plain.count - len(gone) + len(fresh)
    body, begins, end = _spliced(plain, edits)
    extensions = _extensions(plain.data, plain.layout.end) or []
    tail = [_extension(name, data, {*gone, *fresh}) for name, data in extensions]
    whole = b"".join([_PLAIN, count.to_bytes(4, "big"), *body, *tail])
    # The number of entries stands in front of all of them.
    same = edits[0][0] if edits and count == plain.count else 0
    sums, total = _summed(memoryview(whole), [each for each in plain.layout.sums if each[0] <= same])
    return Plain(data=whole + total, layout=Layout(begins, end, sums))


def _plan(
    plain: Plain, changes: Iterable[tuple[bytes, Entry | None]]
) -> tuple[dict[bytes, Located], dict[bytes, Entry]]:
    """The entries that go, and those that come."""
    gone: dict[bytes, Located] = {}
    fresh: dict[bytes, Entry] = {}
    folders: set[bytes] = set()
    for path, entry in changes:
        here = plain.named(path)
        gone |= {located.name: located for located in here}
        fresh.pop(path, None)
        if entry is None:
            continue
        above = cache_tree.above(path)
        if not here:
            # Where it stands already, nothing is in its way.
            pushed = [*plain.below(path), *(located for folder in above for located in plain.named(folder))]
            gone |= {located.name: located for located in pushed}
        if path in folders:
            fresh = {name: each for name, each in fresh.items() if not name.startswith(path + b"/")}
        for folder in above:
            fresh.pop(folder, None)
        fresh[path] = entry
        folders.update(above)
    return gone, fresh


def _edits(plain: Plain, gone: dict[bytes, Located], fresh: dict[bytes, Entry]) -> list[Edit]:
    """What goes and what comes, in the order of the bytes."""
    edits = [Edit(each.begin, each.end, b"") for name, each in gone.items() if name not in fresh]
    for path, entry in sorted(fresh.items()):
        here = gone.get(path)
        begin = here.begin if here else plain.place(path)
        edits.append(Edit(begin, here.end if here else begin, _entry_bytes(path, entry)))
    return sorted(edits, key=lambda edit: (edit.begin, edit.end))


def _entry_bytes(path: bytes, entry: Entry) -> bytes:
    data = _ENTRY.pack(int(entry.mode), bytes.fromhex(entry.oid), min(len(path), _LONG)) + path
    return data.ljust(_padded(len(data)), b"\0")


def _spliced(plain: Plain, edits: list[Edit]) -> tuple[list[bytes], list[int], int]:
    """All entries after the edits, in pieces, where the noted ones begin now, and where the last one ends."""
    pieces: list[bytes] = []
    begins: list[int] = []
    at, shift, number = _HEAD, 0, 0
    old = [*plain.layout.begins, plain.layout.end]
    for begin, end, new in [*edits, Edit(plain.layout.end, plain.layout.end, b"")]:
        until = bisect.bisect_left(old, begin, number)
        begins += [each + shift for each in old[number:until]]
        number = until
        pieces += [plain.data[at:begin], new]
        if new and (begin in (end, old[number]) or begin == _HEAD):
            begins.append(begin + shift)
        number = bisect.bisect_left(old, end, number)
        at, shift = end, shift + len(new) - (end - begin)
    stop = plain.layout.end + shift
    # A path is looked for from the noted one before it: the first of all has to be among them.
    if stop > _HEAD and begins[:1] != [_HEAD]:
        begins.insert(0, _HEAD)
    return pieces, begins, stop


def _extension(name: bytes, data: bytes, paths: set[bytes]) -> bytes:
    if name in _LEFT_OUT:
        return b""
    if name == _TREE:
        data = cache_tree.without(data, paths)
    return name + len(data).to_bytes(4, "big") + data
