"""Putting the hunks of one file's diff in their places: all of them, or a Refusal that says why one has none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ghostd.patches import explain
from ghostd.patches.diff import Hunk
from ghostd.patches.match import ORDER, Edit, splice
from ghostd.patches.place import Place
from ghostd.patches.refusal import Refusal


@dataclass(frozen=True, slots=True)
class Placed:
    data: bytes
    #: The level of the loosest match.
    level: str


def place_hunks(place: Place, hunks: Sequence[Hunk]) -> Placed:
    """The bytes after all hunks. Each is sought in the whole file as it was, and has to come behind the one before."""
    starts = _Lines(place.data)
    edits: list[Edit] = []
    loosest = ORDER[0]
    for number, hunk in enumerate(hunks, 1):
        edit, level = _locate(place, starts, hunk, number)
        loosest = max(loosest, level, key=ORDER.index)
        if edits and edit.start < edits[-1].end:
            line = place.data.count(b"\n", 0, edit.start) + 1
            raise refused(place, "no-match", number, "comes before or overlaps the hunk before it", line=line)
        edits.append(edit)
    check_joints(place, edits)
    return Placed(splice(place.data, edits), loosest)


def refused(place: Place, kind: str, number: int, why: str, **details: object) -> Refusal:
    """The refusal of a hunk; hunks are counted from 1."""
    return place.refuse(kind, f"apply hunk {number} ({why})", hunk=number, **details)


def check_joints(place: Place, edits: Sequence[Edit]) -> None:
    """A line without its line end may only be the last one: else two lines would run into each other."""
    before, done = b"", 0
    for number, edit in enumerate([*edits, None], 1):
        kept = place.data[done : edit.start if edit else None]
        for part in (kept, edit.data if edit else b""):
            if before and part and not before.endswith((b"\n", b"\r")):
                text = explain.visible(before.splitlines()[-1])[:200]
                why = f"would join a line without a line end to the next: {text}"
                raise refused(place, "no-match", min(number, len(edits)), why)
            before = part or before
        done = edit.end if edit else done


class _Lines:
    """Where each line of a file begins, found only for hunks that state a line."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._at, self._line = 0, 0

    def start(self, line: int) -> int | None:
        """The byte at which a 0-based line begins, or would; None behind the end. Quick for lines in their order."""
        if line < self._line:
            self._at, self._line = 0, 0
        while self._line < line:
            end = self.data.find(b"\n", self._at)
            if end < 0:
                return len(self.data) if line == self._line + 1 and self._at < len(self.data) else None
            self._at, self._line = end + 1, self._line + 1
        return self._at


def _locate(place: Place, lines: _Lines, hunk: Hunk, number: int) -> tuple[Edit, str]:
    """The edit that a hunk makes, and the level at which its place was found."""
    if not hunk.old:
        return _insertion(place, lines, hunk, number), ORDER[0]
    if (edit := _as_stated(place, lines, hunk)) is not None:
        return edit, ORDER[0]
    found = place.source.block(hunk.lines)
    if len(found.edits) == 1:
        return found.edits[0], found.level
    if not found.edits:
        raise refused(place, "no-match", number, "context not found", **place.missing(hunk.lines))
    raise refused(
        place,
        "ambiguous",
        number,
        "context fits several places",
        hint="add context lines until only one place fits",
        **explain.candidates(place.data, explain.line_ranges(place.data, found.places)),
    )


def _as_stated(place: Place, lines: _Lines, hunk: Hunk) -> Edit | None:
    """The hunk where its head says that it is, if its old lines stand exactly there: the quick way of most hunks."""
    start = lines.start(hunk.old_start - 1) if hunk.old_start else None
    old = b"".join(hunk.old)
    if start is None or not place.data.startswith(old, start):
        return None
    end = start + len(old)
    whole = old.endswith(b"\n") or end == len(place.data)
    return Edit(start, end, b"".join(hunk.new)) if whole else None


def _insertion(place: Place, lines: _Lines, hunk: Hunk, number: int) -> Edit:
    """A hunk without old lines has no text to be found by: an empty file takes it, or the place its head states."""
    new = b"".join(hunk.new)
    if not place.data:
        return Edit(0, 0, new)
    start = lines.start(hunk.old_start) if hunk.old_count == 0 and hunk.old_start is not None else None
    if start is not None:
        return Edit(start, start, new)
    hint = "add a context line, or the head `@@ -LINE,0 +LINE,count @@`"
    raise refused(place, "no-match", number, "only adds lines and does not say where", hint=hint)
