"""Objects that are made and not written yet: an attempt that comes to nothing leaves nothing behind on the disk."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

from pygit2.enums import ObjectType

Value = TypeVar("Value")

#: Git's words for its four kinds.
NAMES = {
    ObjectType.COMMIT: b"commit",
    ObjectType.TREE: b"tree",
    ObjectType.BLOB: b"blob",
    ObjectType.TAG: b"tag",
}


class Pending:
    """Objects in memory by their id, in the order in which they were made: what an object names comes before it."""

    __slots__ = ("_objects",)

    def __init__(self) -> None:
        self._objects: dict[str, tuple[ObjectType, bytes]] = {}

    def add(self, kind: ObjectType, data: bytes) -> str:
        """Keep an object; its id."""
        oid = object_id(kind, data)
        self._objects.setdefault(oid, (kind, data))
        return oid

    def get(self, oid: str) -> tuple[ObjectType, bytes] | None:
        return self._objects.get(oid)

    def mark(self) -> int:
        """A place in the order, for `forget`."""
        return len(self._objects)

    def forget(self, mark: int = 0) -> None:
        """Drop what was made since a mark."""
        for oid in list(self._objects)[mark:]:
            del self._objects[oid]

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[tuple[str, ObjectType, bytes]]:
        return ((oid, kind, data) for oid, (kind, data) in self._objects.items())


class Recent(Generic[Value]):
    """What was read or made lately, by object id: the next patch often begins with what the last one made."""

    __slots__ = ("_limit", "_size", "_values")

    def __init__(self, limit: int) -> None:
        self._values: OrderedDict[str, tuple[Value, int]] = OrderedDict()
        #: Bytes that are kept, and how many may be.
        self._size = 0
        self._limit = limit

    def get(self, oid: str) -> Value | None:
        found = self._values.get(oid)
        if found is None:
            return None
        self._values.move_to_end(oid)
        return found[0]

    def add(self, oid: str, value: Value, size: int) -> None:
        # A large one would push out all the others.
        if size > self._limit // 8:
            return
        self._size -= self._values.pop(oid, (value, 0))[1]
        self._values[oid] = (value, size)
        self._size += size
        while self._size > self._limit:
            _, (_, old) = self._values.popitem(last=False)
            self._size -= old


def object_id(kind: ObjectType, data: bytes) -> str:
    """The id that Git gives to these bytes."""
    head = b"%s %d\0" % (NAMES[kind], len(data))
    return hashlib.sha1(head + data, usedforsecurity=False).hexdigest()
