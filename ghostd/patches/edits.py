"""Edits of one file's bytes: replace a text, replace what an expression matches, insert."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import regex

from ghostd.model.patch import Insert, Regex, Replace
from ghostd.model.tree import Entry
from ghostd.patches import explain
from ghostd.patches.match import ENOUGH, find_text, overlapping, split_lines
from ghostd.patches.overlay import MAX_FILE
from ghostd.patches.refusal import Refusal, refuse

#: Seconds for one expression on one file; an honest one needs milliseconds.
REGEX_TIME = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    data: bytes
    level: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What an edit works on: the path for messages, the bytes, and the blob where the patch has not touched it yet."""

    path: bytes
    data: bytes
    entry: Entry | None
    cap: str

    def refuse(self, kind: str, message: str, **details: Any) -> Refusal:
        blob = self.entry.oid if self.entry else None
        return refuse(kind, self.path, message, blob=blob, **details)


def replace_text(place: Place, edit: Replace) -> Edited:
    """The search text, which stands exactly `count` times, replaced at each place."""
    spans, level = _occurrences(place, edit.search, edit.count, "the search text", edit.replace)
    if len(place.data) + len(spans) * (len(edit.replace) - len(edit.search)) > MAX_FILE:
        raise place.refuse("too-large", f"make a file of more than {MAX_FILE >> 20} MiB")
    parts, done = [], 0
    for start, end in spans:
        parts += [place.data[done:start], edit.replace]
        done = end
    return Edited(data=b"".join([*parts, place.data[done:]]), level=level)


def insert_text(place: Place, edit: Insert) -> Edited:
    """The bytes right behind or before the one place of a text, or so that they begin a line."""
    if edit.line is not None:
        return Edited(data=_at_line(place, edit, edit.line), level="exact")
    anchor = edit.before if edit.after is None else edit.after
    assert anchor is not None
    spans, level = _occurrences(place, anchor, 1, "the anchor text")
    at = spans[0][0] if edit.after is None else spans[0][1]
    return Edited(data=place.data[:at] + edit.data + place.data[at:], level=level)


def replace_pattern(place: Place, edit: Regex) -> Edited:
    """What the expression matches, replaced: every match, at least one, or exactly `count` of them."""
    # Bytes that are no UTF-8 travel through the expression as halves of pairs, and come back as they were.
    text = place.data.decode("utf-8", "surrogateescape")
    try:
        result, count = _substitute(edit, text)
    except TimeoutError:
        hint = "write a simpler pattern"
        raise place.refuse("no-match", f"match a pattern within {REGEX_TIME:g} s", hint=hint) from None
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


def _substitute(edit: Regex, text: str) -> tuple[str, int]:
    room = MAX_FILE

    def expand(match: regex.Match[str]) -> str:
        nonlocal room
        part = match.expand(edit.replacement)
        room -= len(part)
        if room < 0:
            raise _TooLargeError
        return part

    return regex.compile(edit.pattern).subn(expand, text, timeout=REGEX_TIME, concurrent=False)


def _occurrences(
    place: Place, wanted: bytes, count: int, what: str, replacement: bytes = b""
) -> tuple[tuple[tuple[int, int], ...], str]:
    """The places of a text, which have to be exactly `count`."""
    found = find_text(place.data, wanted, cap=place.cap, limit=max(count + 1, ENOUGH))
    if not found.places:
        details = explain.missing(place.data, wanted, replacement)
        raise place.refuse("no-match", f"find {what}", **details)
    if len(found.places) == count and not overlapping(found.places):
        return found.places, found.level
    near = explain.candidates(place.data, explain.line_ranges(place.data, found.places[:ENOUGH]))
    number = f"{len(found.places)}" + ("" if len(found.places) <= count else " or more")
    if len(found.places) < count and not overlapping(found.places):
        raise place.refuse(
            "no-match", f"find {what} {count} times, it is there {number} times", hint="mend `count`", **near
        )
    raise place.refuse(
        "ambiguous", f"tell which place of {what} is meant", hint="quote more text around the place", **near
    )


def _at_line(place: Place, edit: Insert, line: int) -> bytes:
    lines = split_lines(place.data)
    if line > len(lines) + 1:
        hint = f"the file has {len(lines)} lines"
        raise place.refuse(
            "no-match", f"insert at line {line}", hint=hint, **explain.quote(lines, len(lines), len(lines))
        )
    if line == len(lines) + 1 and lines and not lines[-1].endswith(b"\n"):
        hint = "use `after` with the last line's text"
        raise place.refuse("no-match", f"begin line {line}, the last line has no line end", hint=hint)
    return b"".join([*lines[: line - 1], edit.data, *lines[line - 1 :]])
