"""Edits of one file's bytes: replace a text, replace what an expression matches, insert."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import regex

from ghostd.model.patch import Insert, Regex, Replace
from ghostd.patches import explain
from ghostd.patches.match import ENOUGH, exact_spans, overlapping, splice, split_lines
from ghostd.patches.overlay import MAX_FILE
from ghostd.patches.place import Place

#: Seconds for one expression on one file; an honest one needs milliseconds.
REGEX_TIME = 2.0
_LEAST_TIME, _UNSHARED = 0.02, 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    data: bytes
    level: str


def replace_text(place: Place, edit: Replace) -> Edited:
    """The search text, which stands exactly `count` times, replaced at each place."""
    limit = max(edit.count + 1, ENOUGH)
    found = place.source.text(edit.search, edit.replace, limit=limit)
    if not found.edits:
        raise place.refuse("no-match", "find the search text", **place.missing_text(edit.search, edit.replace))
    _check_count(place, found.places, edit.count, "the search text")
    if len(place.data) + sum(len(each.data) - each.end + each.start for each in found.edits) > MAX_FILE:
        raise place.refuse("too-large", f"make a file of more than {MAX_FILE >> 20} MiB")
    return Edited(data=splice(place.data, found.edits), level=found.level)


def insert_text(place: Place, edit: Insert) -> Edited:
    """The bytes right behind or before the one exact place of a text, or so that they begin a line."""
    if edit.line is not None:
        return Edited(data=_at_line(place, edit, edit.line), level="exact")
    anchor = edit.before if edit.after is None else edit.after
    assert anchor is not None
    spans = exact_spans(place.data, anchor)
    if not spans:
        raise place.refuse("no-match", "find the anchor text", **place.missing_text(anchor))
    _check_count(place, spans, 1, "the anchor text")
    at = spans[0][0] if edit.after is None else spans[0][1]
    return Edited(data=place.data[:at] + edit.data + place.data[at:], level="exact")


def replace_pattern(place: Place, edit: Regex, others: int = 0) -> Edited:
    """What the expression matches, replaced: every match, at least one, or exactly `count` of them.

    Beyond the first ten of a patch the time is shared, so that many slow expressions do not hold up a lane for hours.
    """
    seconds = max(_LEAST_TIME, REGEX_TIME * min(1.0, _UNSHARED / (others + 1)))
    # Bytes that are no UTF-8 travel through the expression as halves of pairs, and come back as they were.
    text = place.data.decode("utf-8", "surrogateescape")
    try:
        result, count = _substitute(edit, text, seconds)
    except TimeoutError:
        hint = "write a simpler pattern"
        raise place.refuse("no-match", f"match a pattern within {seconds:.2g} s", hint=hint) from None
    except _TooLargeError:
        raise place.refuse("too-large", f"make a file of more than {MAX_FILE >> 20} MiB") from None
    except (regex.error, IndexError, ValueError) as error:
        raise place.refuse("malformed", f"use the replacement ({error})", hint="write \\\\ for a backslash") from None
    if count == 0:
        near = explain.quote(split_lines(place.data), 0, 20)
        raise place.refuse(
            "no-match", "find a match of the pattern", hint="look at `current` and mend the pattern", **near
        )
    if edit.count and count != edit.count:
        kind = "ambiguous" if count > edit.count else "no-match"
        raise place.refuse(
            kind, f"find {edit.count} matches of the pattern, there are {count}", hint="mend pattern or count"
        )
    return Edited(data=result.encode("utf-8", "surrogateescape"), level="exact")


class _TooLargeError(Exception):
    pass


def _substitute(edit: Regex, text: str, seconds: float) -> tuple[str, int]:
    room = MAX_FILE

    def expand(match: regex.Match[str]) -> str:
        nonlocal room
        part = match.expand(edit.replacement)
        room -= len(part)
        if room < 0:
            raise _TooLargeError
        return part

    return regex.compile(edit.pattern).subn(expand, text, timeout=seconds, concurrent=False)


def _check_count(place: Place, places: Sequence[tuple[int, int]], count: int, what: str) -> None:
    """Refuse where a text stands not exactly `count` times, or over itself."""
    clear = not overlapping(places)
    if len(places) == count and clear:
        return
    near = explain.candidates(place.data, explain.line_ranges(place.data, places[:ENOUGH]))
    if len(places) < count and clear:
        message = f"find {what} {count} times, it is there {len(places)} times"
        raise place.refuse("no-match", message, hint="mend `count`", **near)
    raise place.refuse(
        "ambiguous", f"tell which place of {what} is meant", hint="quote more text around the place", **near
    )


def _at_line(place: Place, edit: Insert, line: int) -> bytes:
    at = _start(place.data, line)
    if at is not None:
        return place.data[:at] + edit.data + place.data[at:]
    lines = split_lines(place.data)
    if line > len(lines) + 1:
        hint = f"the file has {len(lines)} lines"
        raise place.refuse(
            "no-match", f"insert at line {line}", hint=hint, **explain.quote(lines, len(lines), len(lines))
        )
    hint = "use `after` with the last line's text"
    raise place.refuse("no-match", f"begin line {line}, the last line has no line end", hint=hint)


def _start(data: bytes, line: int) -> int | None:
    """Where a 1-based line begins, or would begin behind the last line end; None beyond that.

    Found by halves: counting line ends is many times quicker than cutting at them, and a patch may insert often.
    """
    ends, low, high = line - 1, 0, len(data)
    if ends == 0 or ends > data.count(b"\n"):
        return 0 if ends == 0 else None
    while high - low > 1:
        middle = (low + high) // 2
        before = data.count(b"\n", low, middle)
        low, high, ends = (low, middle, ends) if before >= ends else (middle, high, ends - before)
    return high
