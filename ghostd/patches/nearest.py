"""Where a text that was not found most likely belongs, and what is amiss there: told to its author, never applied."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

from ghostd.patches.align import as_script
from ghostd.patches.explain import line_at, quote, visible
from ghostd.patches.levels import as_block
from ghostd.patches.line import loosest, plain, trimmed
from ghostd.patches.match import MOST_LINES, Script, Source, is_indented, is_long, split_lines

#: How much of a file is searched for a line that only looks alike, and how alike it has to look.
_SEARCHED, _COMPARED, _LIKE_ENOUGH = 5000, 200, 0.5
#: Lines that are compared in full; the rest is judged by its letters alone.
_IN_FULL = 100
#: A line that stands this often says nothing about the place.
_COMMON = 50
_ONLY = "which may only be in lines that stay"
_THERE = "the new text is there already"


def missing_text(source: Source, wanted: bytes, replacement: bytes) -> dict[str, Any]:
    """Details of a search text that is nowhere. A part of a line is looked for as if it were a whole one."""
    script = as_script(wanted, replacement) or [("-", line) for line in split_lines(wanted)]
    details = missing(source, script)
    if replacement.strip() and replacement in source.data:
        details["hint"] = _THERE
    return details


def missing(source: Source, script: Script) -> dict[str, Any]:
    """Details of a block that is nowhere: the nearest place, its first difference, the bytes around, one hint."""
    if is_long(source.data):
        return {"hint": f"the file has more than {MOST_LINES} lines; quote it exactly"}
    lines = split_lines(source.data)
    block = [line for tag, line in script if tag != "+"]
    new = b"".join(line for tag, line in script if tag != "-")
    start = _nearest(lines, block)
    hint = _hint(source, script, new)
    if start is None:
        return {"hint": hint or "look at `current` and quote it exactly", **quote(lines, 0, len(lines))}
    first, words = _first_difference(lines, script, start)
    line = max(1, start + first + 1)
    expected, actual = block[first], line_at(lines, start + first)
    return {
        "line": line,
        "first_diff": {"expected": visible(expected), "actual": visible(actual)},
        "best": {"line": max(1, start + 1), "matched": _matched(lines, block, start), "of": len(block)},
        "hint": hint or f"line {line} differs{words}; quote it exactly",
        **quote(lines, start, start + len(block)),
    }


def _hint(source: Source, script: Script, new: bytes) -> str:
    """What is most likely amiss, where more is known than that a line differs."""
    if new.strip() and new in source.data:
        return _THERE
    level = source.beyond(script)
    if level == "indent" and is_indented(source.path):
        return "only the indentation differs, which is meaning in this kind of file; quote it exactly"
    if level:
        return f"it would fit at level `{level}`, the lane allows `{source.cap}` at most; quote the file exactly"
    return ""


def _first_difference(lines: Sequence[bytes], script: Script, start: int) -> tuple[int, str]:
    """The first line of a block that keeps it from fitting, and in what it differs where that is hard to see."""
    old = [line for tag, line in script if tag != "+"]
    replaced = as_block(script).replaced
    for key, words, numbers in (
        (loosest, "", range(len(old))),
        (plain, " in its indentation", range(len(old))),
        (trimmed, f" in punctuation or spaces, {_ONLY}", replaced),
        (bytes, "", range(len(old))),
    ):
        for number in numbers:
            if number < len(old) and key(line_at(lines, start + number)) != key(old[number]):
                return number, words
    return 0, ""


def _matched(lines: Sequence[bytes], block: Sequence[bytes], start: int) -> int:
    """How many of a block's first lines are there, whitespace and punctuation aside."""
    pairs = enumerate(block)
    return next((i for i, line in pairs if loosest(line_at(lines, start + i)) != loosest(line)), len(block))


def _nearest(lines: Sequence[bytes], block: Sequence[bytes]) -> int | None:
    """Where the block most likely belongs: where most of its lines are, or the longest row of its first lines is."""
    keys, wanted = [loosest(line) for line in lines], [loosest(line) for line in block]
    places = {_voted(keys, wanted), _longest_prefix(keys, wanted)} - {None}
    if places:
        return max(places, key=lambda start: (_common(keys, wanted, start or 0), -(start or 0)))
    # A part of one line: look for it inside the lines.
    part = wanted[0] if len(block) == 1 else b""
    inside = (number for number, key in enumerate(keys) if part and part in key)
    return next(inside, None if not any(block) else _likest(lines, block))


def _common(keys: Sequence[bytes], wanted: Sequence[bytes], start: int) -> int:
    """How many lines of a block are at a place, those that are not blank."""
    return sum(bool(key) and line_at(keys, start + number) == key for number, key in enumerate(wanted))


def _voted(keys: Sequence[bytes], wanted: Sequence[bytes]) -> int | None:
    """Where most lines of a block are: each line votes for the place that it would give the block."""
    where: dict[bytes, list[int]] = {}
    for number, key in enumerate(keys):
        where.setdefault(key, []).append(number)
    votes: Counter[int] = Counter()
    for index, key in enumerate(wanted):
        places = where.get(key, []) if key else []
        if len(places) <= _COMMON:
            votes.update(number - index for number in places)
    return max(votes, key=lambda start: (votes[start], -start)) if votes else None


def _longest_prefix(keys: Sequence[bytes], wanted: Sequence[bytes]) -> int | None:
    """Where the longest row of a block's first lines is, in one pass over the file (Knuth, Morris and Pratt, 1977)."""
    # A row of blank lines alone says nothing.
    best = next((number for number, key in enumerate(wanted) if key), len(wanted))
    fallback, place, length = [0], None, 0
    for key in wanted[1:]:
        while length and wanted[length] != key:
            length = fallback[length - 1]
        length += wanted[length] == key
        fallback.append(length)
    length = 0
    for number, key in enumerate(keys):
        while length and (length == len(wanted) or wanted[length] != key):
            length = fallback[length - 1]
        length += bool(wanted) and wanted[length] == key
        if length > best:
            best, place = length, number - length + 1
    return place


def _likest(lines: Sequence[bytes], block: Sequence[bytes]) -> int | None:
    """Where the line looks most like the first full one of the block: told, never used to apply anything."""
    index, wanted = next(((i, line) for i, line in enumerate(block) if line.strip()), (0, b""))
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(wanted.decode("latin-1")[:_COMPARED])
    best, place, compared = _LIKE_ENOUGH, None, 0
    for number, line in enumerate(lines[:_SEARCHED]):
        matcher.set_seq1(line.decode("latin-1")[:_COMPARED])
        # Each bound is dearer than the one before it.
        if matcher.real_quick_ratio() <= best or matcher.quick_ratio() <= best:
            continue
        compared += 1
        if compared <= _IN_FULL and (ratio := matcher.ratio()) > best:
            best, place = ratio, number - index
    return place
