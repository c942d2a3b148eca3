"""The trees that an index knows to be its folders': those of changed folders are forgotten, all others are kept.

So git computes only these anew, and `git status` skips the folders that are as they were committed.

Format: https://git-scm.com/docs/index-format#_cache_tree
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

#: Name, number of entries (-1: not known), number of folders in it, and the tree where it is known.
_NODE = re.compile(rb"([^\0]*)\0(?:-1 (\d+)\n|\d+ (\d+)\n.{20})", re.DOTALL)


@dataclass(slots=True)
class _Level:
    """A folder on the way down: its path, None where nothing below is to be forgotten; how many of its own are left."""

    path: bytes | None
    left: int


def above(path: bytes) -> list[bytes]:
    """The folders that a path lies in, without the top."""
    found = []
    at = path.find(b"/")
    while at >= 0:
        found.append(path[:at])
        at = path.find(b"/", at + 1)
    return found


def without(data: bytes, paths: Iterable[bytes]) -> bytes:
    """The extension's bytes, with nothing known of the folders above these paths; empty where it can not be read.

    The folders stand in it from the top down, each right before those that are in it.
    """
    wanted = {folder for path in paths for folder in above(path)} | {b""}
    parts: list[bytes] = []
    levels: list[_Level] = []
    at = done = 0
    while at < len(data) and wanted:
        node = _NODE.match(data, at)
        if node is None:
            return b""
        path = _entered(levels, node[1])
        path = path if path in wanted else None
        levels.append(_Level(path, int(node[2] or node[3])))
        at = node.end()
        if path is not None:
            wanted.discard(path)
            parts += [data[done : node.start()], b"%s\0-1 %d\n" % (node[1], levels[-1].left)]
            done = at
    return b"".join([*parts, data[done:]])


def _entered(levels: list[_Level], name: bytes) -> bytes | None:
    """The path of the next folder, inside of the deepest one that has any left."""
    while levels and not levels[-1].left:
        levels.pop()
    if not levels:
        return b""
    levels[-1].left -= 1
    within = levels[-1].path
    return b"%s/%s" % (within, name) if within else name if within is not None else None
