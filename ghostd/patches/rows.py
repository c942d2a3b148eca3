"""An index of a file's lines, for a patch that seeks many texts in one file: a search then costs only its own size."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate

#: Searches in one file before its lines are indexed; so many cost no more than the index.
MANY = 16
#: Places of a block's rarest line that are looked at; with more of them a plain search is as good.
_FEW = 32


class Rows:
    """Lines, or what is left of them at some level of matching, and where each of them stands."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self.lines = list(lines)
        #: Where each line begins, and the last one ends, in bytes.
        self.offsets = array("Q", accumulate(map(len, self.lines), initial=0))
        self._where: dict[bytes, list[int]] = {}
        for number, line in enumerate(self.lines):
            self._where.setdefault(line, []).append(number)

    def starts(self, block: Sequence[bytes]) -> list[int] | None:
        """Every line number at which a block stands, in order; None where all its lines are too common to tell."""
        places = [self._where.get(line, []) for line in block]
        rarest = min(range(len(block)), key=lambda number: len(places[number]))
        if len(places[rarest]) > _FEW:
            return None
        starts = (number - rarest for number in places[rarest] if number >= rarest)
        return [start for start in starts if self.lines[start : start + len(block)] == list(block)]
