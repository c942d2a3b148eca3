"""Where a text stands in a file: a table of matching levels, of which each counts only where exactly one place fits.

This version knows the level `exact`. A further level is one more row: how it finds a text, and how it finds lines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

#: From the strictest to the loosest; a lane may cap them.
ORDER = ("exact", "whitespace", "unicode", "indent")

#: Candidates of a refusal; more than these help nobody.
ENOUGH = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One way to find a text: `spans` yields byte ranges of a file, `lines` the line numbers (0-based) of a block."""

    name: str
    #: All places, at most `limit` of them.
    spans: Callable[[bytes, bytes, int], list[tuple[int, int]]]
    lines: Callable[[bytes, Sequence[bytes], int], list[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """Where a text was found, and at which level."""

    level: str
    places: tuple[tuple[int, int], ...]


def find_text(data: bytes, wanted: bytes, *, cap: str, limit: int = ENOUGH) -> Spans:
    """The places of a text at the first level that finds any, the level being at most `cap`."""
    for level in levels(cap):
        places = level.spans(data, wanted, limit)
        if places:
            return Spans(level=level.name, places=tuple(places))
    return Spans(level=LEVELS[0].name, places=())


def find_lines(data: bytes, wanted: Sequence[bytes], *, cap: str, limit: int = ENOUGH) -> Spans:
    """The same for a block of whole lines; places are ranges of 0-based line numbers."""
    for level in levels(cap):
        found = level.lines(data, wanted, limit)
        if found:
            return Spans(level=level.name, places=tuple((start, start + len(wanted)) for start in found))
    return Spans(level=LEVELS[0].name, places=())


def levels(cap: str) -> tuple[Level, ...]:
    """The levels that a cap allows."""
    return tuple(level for level in LEVELS if ORDER.index(level.name) <= ORDER.index(cap))


def overlapping(places: Sequence[tuple[int, int]]) -> bool:
    """True where two places share a byte: which of them is meant can not be told."""
    return any(later[0] < earlier[1] for earlier, later in pairwise(places))


def split_lines(data: bytes) -> list[bytes]:
    """The lines of a file with their `\\n`; only that ends a line, so that every other byte is kept."""
    *lines, last = data.split(b"\n")
    return [*(line + b"\n" for line in lines), *([last] if last else [])]


def _exact_spans(data: bytes, wanted: bytes, limit: int) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    at = data.find(wanted)
    while at >= 0 and len(found) < limit:
        found.append((at, at + len(wanted)))
        if overlapping(found[-2:]):
            break  # two that overlap are too many already, and going on would take quadratic time
        at = data.find(wanted, at + 1)
    return found


def _exact_lines(data: bytes, wanted: Sequence[bytes], limit: int) -> list[int]:
    block = b"".join(wanted)
    # A line end in front of both makes every hit one at the start of a line.
    text, needle = b"\n" + data, b"\n" + block
    if not block.endswith(b"\n"):
        # It stands at the end of a file without a last line end, and nowhere else.
        return [data.count(b"\n", 0, len(data) - len(block))] if text.endswith(needle) else []
    found: list[int] = []
    at = text.find(needle)
    while at >= 0 and len(found) < limit:
        found.append(data.count(b"\n", 0, at))
        at = text.find(needle, at + 1)
    return found


LEVELS: tuple[Level, ...] = (Level(name="exact", spans=_exact_spans, lines=_exact_lines),)
