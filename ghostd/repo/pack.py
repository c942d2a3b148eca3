"""Objects written as one pack: two files and at most three waits for the disk, however many objects there are.

So that many patches do not leave as many packs, a new pack takes in the objects of the small ones that this process has
written before, three or more of about its own size at a time: of n packs about 3·log4(n) are left, and each object is
written again about log4(n) times. A pack that has grown large is left to `git repack`.

With an ordered journal (`sync`) a new pack is not waited for by itself: nothing names its objects before a ref is
moved, and the wait for that ref brings the names of the pack to the disk first, and its bytes before them. So does the
order keep an old pack until the one that took it in is there.

A kill leaves a `tmp_ghost_…` beside the packs (`mend` and `git prune` remove it), a pack without its index, which no
Git sees, or objects that are in two packs: harmless. A pack goes only when the one that took it in is on the disk.

Formats: https://git-scm.com/docs/gitformat-pack
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, takewhile
from pathlib import Path

from pygit2.enums import ObjectType

from ghostd.repo.sync import Sync

#: Speed before size: `git repack` packs anew what stays.
_LEVEL = 1
#: An object up to this size needs no larger window, and so little memory that zlib is ready at once: asking the system
#: for what it takes by itself costs several times as much as compressing a small object.
_SMALL = 1 << 14
_WINDOW, _MEMORY = 14, 6
#: A pack that is larger is not written again by us.
_GROWN = 2 << 20
#: So many packs of a class are taken into the next one.
_ALIKE = 3
_INDEX_MAGIC = b"\377tOc\0\0\0\2"
PREFIX = "tmp_ghost_"
#: The index last: it is what makes a pack visible.
_ENDINGS = ("pack", "idx")


@dataclass(frozen=True, slots=True)
class Packed:
    """One object as it stands in a pack."""

    oid: bytes
    data: bytes
    crc: int


@dataclass(frozen=True, slots=True)
class _Written:
    """A small pack of ours."""

    name: str
    objects: Sequence[Packed]
    size: int


class OwnPacks:
    """Writes packs into one `objects/pack` and folds its own small ones together. For one process."""

    def __init__(self, folder: Path, sync: Sync) -> None:
        self._folder = folder
        self._sync = sync
        #: Where the refs are.
        self._device = folder.parent.parent.stat().st_dev
        self._small: list[_Written] = []
        self._midx = self._seen_midx()

    def write(self, objects: Iterable[tuple[str, ObjectType, bytes]]) -> None:
        """Put objects into a pack, on the disk before the next ref is. Raises OSError, and then has changed nothing."""
        new = [_packed(bytes.fromhex(oid), kind, data) for oid, kind, data in objects]
        taken = self._taken_in(len(new))
        unique = {packed.oid: packed for packed in (*(each for pack in taken for each in pack.objects), *new)}
        pack = self._stored(list(unique.values()))
        del self._small[len(self._small) - len(taken) :]
        if pack.size < _GROWN:
            self._small.append(pack)
        for old in taken:
            if old.name != pack.name:
                self._drop(old)

    def _taken_in(self, count: int) -> list[_Written]:
        """The small packs that go into the new one: whole classes of them, the smallest first."""
        midx = self._seen_midx()
        if midx != self._midx:
            # Somebody's index over all packs may name ours by now: these have to stay.
            self._midx = midx
            self._small.clear()
        taken = 0
        while len(like := self._like(count, taken)) >= _ALIKE:
            taken += len(like)
            count += sum(len(pack.objects) for pack in like)
        return self._small[len(self._small) - taken :]

    def _like(self, count: int, taken: int) -> list[_Written]:
        """The newest packs, but for those that are taken already, of no larger class than so many objects."""
        rest = reversed(self._small[: len(self._small) - taken])
        return list(takewhile(lambda pack: _class(len(pack.objects)) <= _class(count), rest))

    def _seen_midx(self) -> tuple[int, int]:
        try:
            info = os.stat(f"{self._folder}/multi-pack-index")  # noqa: PTH116 - as below
        except FileNotFoundError:
            return (0, 0)
        return info.st_ino, info.st_mtime_ns

    def _stored(self, objects: Sequence[Packed]) -> _Written:
        pack, checksum, offsets = _pack(objects)
        index = _index(objects, offsets, checksum)
        name = f"pack-{checksum.hex()}"
        # Not by their later endings: git looks into whatever ends in `.idx` here, half written or not.
        aside = [f"{self._folder}/{PREFIX}{os.getpid()}_{name}.{ending}~" for ending in _ENDINGS]
        try:
            self._placed(name, aside, (pack, index))
        except OSError:
            for path in aside:
                with contextlib.suppress(OSError):
                    os.unlink(path)
            raise
        return _Written(name=name, objects=objects, size=len(pack))

    def _placed(self, name: str, aside: Sequence[str], contents: Sequence[bytes]) -> None:
        """Both files whole and synced, then their names: the index last, since it is what makes a pack visible."""
        opened: list[int] = []
        try:
            for path, data in zip(aside, contents, strict=True):
                opened.append(_new_file(path))
                _write_all(opened[-1], data)
                self._sync.content(opened[-1])
            for path, ending in zip(aside, _ENDINGS, strict=True):
                os.rename(path, f"{self._folder}/{name}.{ending}")  # noqa: PTH104 - on plain names: done for each patch
            if not self._waits_later():
                self._sync.names(opened[-1], [self._folder])
        finally:
            for fd in opened:
                os.close(fd)

    def _waits_later(self) -> bool:
        """Whether the wait of the ref that comes next is enough: on one file system its journal keeps the order."""
        return self._sync.waits_later and self._folder.stat().st_dev == self._device

    def _drop(self, old: _Written) -> None:
        """The index first: a pack without one is seen by nobody. One that stays does no harm."""
        for suffix in (".idx", ".pack"):
            with contextlib.suppress(OSError):
                os.unlink(f"{self._folder}/{old.name}{suffix}")


def _class(count: int) -> int:
    """Each class holds packs up to four times as large as the one before."""
    return (count.bit_length() + 1) // 2


def _new_file(path: str) -> int:
    """A descriptor of a new file, whose folder is made where it is missing; what a killed process of our number left
    under its name goes first."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o444)
    except FileNotFoundError:
        Path(path).parent.mkdir(exist_ok=True)
    except FileExistsError:
        os.unlink(path)
    return os.open(path, flags, 0o444)


def _write_all(fd: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


def _packed(oid: bytes, kind: ObjectType, data: bytes) -> Packed:
    entry = _head(int(kind), len(data)) + _compressed(data)
    return Packed(oid, entry, zlib.crc32(entry))


def _compressed(data: bytes) -> bytes:
    if len(data) > _SMALL:
        return zlib.compress(data, _LEVEL)
    made = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY)
    return made.compress(data) + made.flush()


def _head(kind: int, size: int) -> bytes:
    """Kind and size: four bits of the size in the first byte, seven in each further one, the lowest first."""
    byte, size = kind << 4 | size & 15, size >> 4
    head = bytearray()
    while size:
        head.append(byte | 0x80)
        byte, size = size & 0x7F, size >> 7
    head.append(byte)
    return bytes(head)


def _pack(objects: Sequence[Packed]) -> tuple[bytes, bytes, list[int]]:
    """A pack, its checksum, and where each object stands in it."""
    parts = [b"PACK" + struct.pack(">II", 2, len(objects))]
    offsets, at = [], len(parts[0])
    for packed in objects:
        offsets.append(at)
        parts.append(packed.data)
        at += len(packed.data)
    body = b"".join(parts)
    checksum = hashlib.sha1(body, usedforsecurity=False).digest()
    return body + checksum, checksum, offsets


def _index(objects: Sequence[Packed], offsets: Sequence[int], checksum: bytes) -> bytes:
    """The index of a pack, version 2."""
    rows = sorted((packed.oid, packed.crc, offset) for packed, offset in zip(objects, offsets, strict=True))
    below = [0] * 256
    for oid, _, _ in rows:
        below[oid[0]] += 1
    parts = [_INDEX_MAGIC, struct.pack(">256I", *accumulate(below)), *(oid for oid, _, _ in rows)]
    parts.append(struct.pack(f">{len(rows)}I", *(crc for _, crc, _ in rows)))
    parts.append(struct.pack(f">{len(rows)}I", *(offset for _, _, offset in rows)))
    body = b"".join(parts) + checksum
    return body + hashlib.sha1(body, usedforsecurity=False).digest()
