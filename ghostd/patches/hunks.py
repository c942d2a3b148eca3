"""Putting the hunks of one file's diff in their places: all of them, or BadPlace that says why one has none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ghostd.patches import explain
from ghostd.patches.diff import Hunk
from ghostd.patches.match import ORDER, find_lines, split_lines


class BadPlace(Exception):  # noqa: N818 - turned into a Refusal by the caller, who knows the path
    """A hunk has no place, or more than one. `number` counts hunks from 1."""

    def __init__(self, kind: str, number: int, message: str, **details: Any) -> None:
        super().__init__(message)
        self.kind = kind
        self.number = number
        self.details = details


@dataclass(frozen=True, slots=True)
class Placed:
    data: bytes
    #: The level of the loosest match.
    level: str


def place(data: bytes, hunks: Sequence[Hunk], cap: str) -> Placed:
    """The bytes after all hunks. Each is sought in the whole file as it was, and has to come behind the one before."""
    lines = split_lines(data)
    result: list[bytes] = []
    done = 0
    loosest = ORDER[0]
    for number, hunk in enumerate(hunks, 1):
        start, level = _locate(data, len(lines), hunk, number, cap)
        loosest = max(loosest, level, key=ORDER.index)
        if start < done:
            raise BadPlace("no-match", number, "comes before or overlaps the hunk before it", line=start + 1)
        result += [*lines[done:start], *hunk.new]
        done = start + len(hunk.old)
    result += lines[done:]
    _check_joints(result)
    return Placed(b"".join(result), loosest)


def _locate(data: bytes, length: int, hunk: Hunk, number: int, cap: str) -> tuple[int, str]:
    """The 0-based line where a hunk begins, and the level at which it was found."""
    if not hunk.old:
        return _insertion(length, hunk, number), "exact"
    found = find_lines(data, hunk.old, cap=cap)
    starts = [start for start, _ in found.places]
    stated = None if hunk.old_start is None else hunk.old_start - 1
    if len(starts) == 1:
        return starts[0], found.level
    if stated is not None and _stands_at(data, hunk.old, stated):
        return stated, found.level
    old, new = b"".join(hunk.old), b"".join(hunk.new)
    if not starts:
        raise BadPlace("no-match", number, "context not found", **explain.missing(data, old, new))
    hint = "add context lines until only one place fits"
    raise BadPlace(
        "ambiguous", number, "context fits several places", hint=hint, **explain.candidates(data, found.places)
    )


def _stands_at(data: bytes, wanted: Sequence[bytes], start: int) -> bool:
    """True where the lines stand exactly at a 0-based line."""
    return split_lines(data)[start : start + len(wanted)] == list(wanted) if start >= 0 else False


def _insertion(length: int, hunk: Hunk, number: int) -> int:
    """A hunk without old lines has no text to be found by: an empty file takes it, or the place its head states."""
    if length == 0:
        return 0
    if hunk.old_count == 0 and hunk.old_start is not None and hunk.old_start <= length:
        return hunk.old_start
    hint = "add a context line, or the head `@@ -LINE,0 +LINE,count @@`"
    raise BadPlace("no-match", number, "only adds lines and does not say where", hint=hint)


def _check_joints(lines: Sequence[bytes]) -> None:
    """A line without its line end may only be the last one: else two lines would run into each other."""
    for line in lines[:-1]:
        if not line.endswith(b"\n"):
            raise BadPlace(
                "no-match", 1, f"would join a line without a line end to the next: {explain.visible(line)[:200]}"
            )
