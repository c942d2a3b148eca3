"""A search text and its replacement as a script: a line of both stays, so that the file keeps its own bytes there."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


def as_script(search: bytes, replace: bytes) -> list[tuple[str, bytes]] | None:
    """A search text and its replacement as lines that stay, go and come; None where they are not made of whole lines.

    A line stays that stands once in both, in the same order, or next to one that stays, from either end. A text without
    a last line end is about the line that it ends in.
    """
    if not search.endswith(b"\n"):
        search, replace = search + b"\n", replace + b"\n"
    elif replace and not replace.endswith(b"\n"):
        return None  # the line behind would be joined to the last one
    return aligned(_cut(search), _cut(replace))


def aligned(old: Sequence[bytes], new: Sequence[bytes]) -> list[tuple[str, bytes]]:
    """Two texts' lines as a script. Takes time in proportion to their length, whatever they are."""
    script: list[tuple[str, bytes]] = []
    at = (0, 0)
    for pair in [*_anchors(old, new), (len(old), len(new))]:
        script += _between(old[at[0] : pair[0]], new[at[1] : pair[1]])
        if pair[0] < len(old):
            script.append((" ", old[pair[0]]))
        at = (pair[0] + 1, pair[1] + 1)
    return script


def _anchors(old: Sequence[bytes], new: Sequence[bytes]) -> list[tuple[int, int]]:
    """Lines that stand once in each, the longest row of them that both have in the same order (patience diff)."""
    mine, theirs = _once(old), _once(new)
    pairs = [(a, theirs[line]) for line, a in mine.items() if line in theirs]
    tops: list[int] = []
    piles: list[tuple[int, int]] = []
    before: list[int] = []
    ends: list[int] = []
    for index, pair in enumerate(pairs):
        pile = bisect_left(tops, pair[1])
        before.append(ends[pile - 1] if pile else -1)
        tops[pile : pile + 1], ends[pile : pile + 1] = [pair[1]], [index]
    at = ends[-1] if ends else -1
    while at >= 0:
        piles.append(pairs[at])
        at = before[at]
    return piles[::-1]


def _once(lines: Sequence[bytes]) -> dict[bytes, int]:
    """Where each line stands that stands only once, in their order."""
    places: dict[bytes, int] = {}
    for number, line in enumerate(lines):
        places[line] = -1 if line in places else number
    return {line: number for line, number in places.items() if number >= 0}


def _between(old: Sequence[bytes], new: Sequence[bytes]) -> list[tuple[str, bytes]]:
    """Two pieces as a script: what they begin and end with alike stays."""
    most = min(len(old), len(new))
    head = next((i for i in range(most) if old[i] != new[i]), most)
    tail = next((i for i in range(most - head) if old[-1 - i] != new[-1 - i]), most - head)
    middle, rest = slice(head, len(old) - tail), slice(head, len(new) - tail)
    changed = [*(("-", line) for line in old[middle]), *(("+", line) for line in new[rest])]
    return [*((" ", line) for line in old[:head]), *changed, *((" ", line) for line in old[len(old) - tail :])]


def _cut(text: bytes) -> list[bytes]:
    *lines, _ = text.split(b"\n")
    return [line + b"\n" for line in lines]
