"""Where a text stands in a file: level by level, of which each counts only where exactly one place fits.

The level `exact` is here, for it is the way of nearly every patch; `levels.py` has the looser ones, which are not even
imported before a text was not found. A lane may cap the levels, and a file's kind may: see `allowed`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from ghostd.patches import rows
from ghostd.patches.rows import Rows

if TYPE_CHECKING:
    from ghostd.patches.levels import Sheet

#: From the strictest to the loosest; a lane may cap them.
ORDER = ("exact", "whitespace", "unicode", "indent")

#: Candidates of a refusal; more than these help nobody.
ENOUGH = 10

#: A file of more lines is only matched exactly: what the looser levels keep in memory grows with the lines.
MOST_LINES = 500_000

# Where indentation is meaning, or a tab is: Python and its kin, YAML, Makefiles.
_INDENTED = re.compile(
    rb"(?:.*/)?(?:[^/]*\.(?:py|pyi|pyw|pyx|pxd|bzl|star|ya?ml|mk|mak)|(?:gnu)?makefile(?:\.[^/]*)?)",
    re.IGNORECASE | re.DOTALL,
)

#: Lines of an edit in their order: (`" "` stays, `"-"` goes, `"+"` comes; the line with its line end).
Script = Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Edit:
    """A range of a file's bytes, and what shall stand there."""

    start: int
    end: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Found:
    """The places of a text, as the edits that would be made there, and the level at which they were found."""

    level: str
    edits: tuple[Edit, ...]

    @property
    def places(self) -> list[tuple[int, int]]:
        """The byte ranges of the places."""
        return [(edit.start, edit.end) for edit in self.edits]


NOWHERE = Found(ORDER[0], ())


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a block may begin: from the byte `since` on, before the byte `until`. `tail`: it ends with the file."""

    since: int = 0
    until: int | None = None
    tail: bool = False

    def has(self, start: int) -> bool:
        return start >= self.since and (self.until is None or start < self.until)


ANYWHERE = Scope()


class Source:
    """One file's bytes, in which texts are sought. What looser levels need is made once, when one is first missed."""

    def __init__(self, data: bytes, *, path: bytes = b"", cap: str = ORDER[-1]) -> None:
        self.data = data
        self.path = path
        self.cap = cap
        self._sheet: Sheet | None = None
        self._rows: Rows | None = None
        self._searches = 0

    def text(self, search: bytes, replace: bytes, *, limit: int = ENOUGH) -> Found:
        """The places of a text, at most `limit`: any part of the file exactly, else whole lines at a looser level."""
        spans = exact_spans(self.data, search, limit)
        if spans:
            return Found(ORDER[0], tuple(Edit(start, end, replace) for start, end in spans))
        if self.cap == ORDER[0]:
            return NOWHERE
        from ghostd.patches.align import as_script

        script = as_script(search, replace)
        return NOWHERE if script is None else self._seek(allowed(self.path, self.cap)[1:], script, limit=limit)

    def block(self, script: Script, scope: Scope = ANYWHERE, *, whole: bool = False) -> Found:
        """The places of a block of whole lines: those of a script that stay or go.

        `whole`: a line that comes always gets a line end; else a file's last line goes on having, or lacking, one.
        """
        old = [line for tag, line in script if tag != "+"]
        size = sum(map(len, old))
        starts = self._exactly(old, scope)
        if starts:
            new = b"".join(line for tag, line in script if tag != "-")
            return Found(ORDER[0], tuple(Edit(start, start + size, new) for start in starts))
        return self._seek(allowed(self.path, self.cap)[1:], script, scope, whole=whole)

    def lines(self, search: Sequence[bytes], replace: Sequence[bytes]) -> Found:
        """The places of some whole lines for which others shall stand; what both have stays, see `align.aligned`."""
        gone: Script = [("-", line) for line in search]
        if self._exactly(search, ANYWHERE) or self.cap == ORDER[0]:
            return self.block([*gone, *(("+", line) for line in replace)])
        from ghostd.patches.align import aligned

        return self.block(aligned(search, replace))

    def beyond(self, script: Script) -> str | None:
        """The level at which a block would have one place, if lane and kind of file allowed it; None for none."""
        names = ORDER[len(allowed(self.path, self.cap)) :]
        found = self._seek(names, script, limit=2)
        return found.level if len(found.edits) == 1 else None

    @property
    def end(self) -> bytes:
        """The line end that most lines of the file have."""
        return self._lines().end

    def _exactly(self, block: Sequence[bytes], scope: Scope) -> list[int]:
        """Where whole lines stand exactly: the bytes at which they begin, in order, at most ENOUGH."""
        whole = b"".join(block)
        if scope.tail or not whole.endswith(b"\n") or self.is_long or not self._is_indexed():
            return _exact_blocks(self.data, whole, scope)
        self._rows = self._rows or Rows(split_lines(self.data))
        numbers = self._rows.starts(block)
        if numbers is None:
            return _exact_blocks(self.data, whole, scope)
        starts = [self._rows.offsets[number] for number in numbers]
        return [start for start in starts if scope.has(start)][:ENOUGH]

    def _is_indexed(self) -> bool:
        self._searches += 1
        return self._searches > rows.MANY

    @cached_property
    def is_long(self) -> bool:
        """True for a file of too many lines to look at each."""
        return is_long(self.data)

    def _seek(
        self,
        names: Sequence[str],
        script: Script,
        scope: Scope = ANYWHERE,
        *,
        whole: bool = False,
        limit: int = ENOUGH,
    ) -> Found:
        if not names or self.is_long:
            return NOWHERE
        from ghostd.patches import levels

        return levels.find(self._lines(), script, names, scope, whole=whole, limit=limit)

    def _lines(self) -> Sheet:
        from ghostd.patches.levels import Sheet

        self._sheet = self._sheet or Sheet(self.data)
        return self._sheet


def allowed(path: bytes, cap: str) -> tuple[str, ...]:
    """The levels for a file: up to the lane's cap, and never `indent` where indentation is meaning."""
    last = ORDER.index(cap)
    return ORDER[: last if cap == ORDER[-1] and is_indented(path) else last + 1]


def is_indented(path: bytes) -> bool:
    """True for a file whose indentation is meaning, by its name."""
    return _INDENTED.fullmatch(path) is not None


def is_long(data: bytes) -> bool:
    """True for a file of too many lines to look at each."""
    return data.count(b"\n") + data.count(b"\r") > MOST_LINES


def splice(data: bytes, edits: Sequence[Edit]) -> bytes:
    """The bytes after edits that are in their order and do not overlap."""
    parts, done = [], 0
    for edit in edits:
        parts += [data[done : edit.start], edit.data]
        done = edit.end
    return b"".join([*parts, data[done:]])


def overlapping(places: Sequence[tuple[int, int]]) -> bool:
    """True where two places share a byte: which of them is meant can not be told."""
    return any(later[0] < earlier[1] for earlier, later in pairwise(places))


def split_lines(data: bytes) -> list[bytes]:
    """The lines of a file with their `\\n`; only that ends a line, so that every other byte is kept."""
    *lines, last = data.split(b"\n")
    return [*(line + b"\n" for line in lines), *([last] if last else [])]


def exact_spans(data: bytes, wanted: bytes, limit: int = ENOUGH) -> list[tuple[int, int]]:
    """Every place of some bytes, at most `limit`, as byte ranges."""
    found: list[tuple[int, int]] = []
    at = data.find(wanted)
    while at >= 0 and len(found) < limit:
        found.append((at, at + len(wanted)))
        if overlapping(found[-2:]):
            break  # two that overlap are too many already, and going on would take quadratic time
        at = data.find(wanted, at + 1)
    return found


def _exact_blocks(data: bytes, block: bytes, scope: Scope) -> list[int]:
    """Where a block of whole lines begins; one without a last line end stands at the end of the file or nowhere."""
    if scope.tail or not block.endswith(b"\n"):
        start = len(data) - len(block)
        return [start] if scope.has(start) and data.endswith(block) and _begins_line(data, start) else []
    found = [scope.since] if _begins_line(data, scope.since) and data.startswith(block, scope.since) else []
    # The line end in front makes every hit one at the start of a line.
    needle = b"\n" + block
    at = data.find(needle, scope.since)
    while at >= 0 and len(found) < ENOUGH and scope.has(at + 1):
        found.append(at + 1)
        if len(found) > 1 and found[-1] < found[-2] + len(block):
            break
        at = data.find(needle, at + 1)
    return found


def _begins_line(data: bytes, at: int) -> bool:
    return at == 0 or data[at - 1 : at] == b"\n"
