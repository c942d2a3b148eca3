"""What a refusal tells about a text that was not found, or too often, so that its author can mend it in one go."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

from ghostd.patches.match import split_lines

#: Bytes of the file that a refusal quotes at most, and lines around the place.
MOST = 4096
AROUND = 3
#: How much of a file is searched for a line that only looks alike, and how alike it has to look.
_SEARCHED, _COMPARED, _LIKE_ENOUGH = 5000, 200, 0.5
#: A line that stands this often says nothing about the place.
_COMMON = 50
_MARKS = str.maketrans({"\t": "→", "\r": "␍", "\n": "␊", "\xa0": "⍽"})


def visible(line: bytes) -> str:
    """A line with its whitespace to be seen: tab →, CR ␍, LF ␊, trailing blanks ·, other bytes as `\\xNN`."""
    text = line.decode("utf-8", "backslashreplace")
    body = text.rstrip(" \t\r\n\xa0")
    tail = text[len(body) :].replace(" ", "·")
    return (body + tail).translate(_MARKS)


def missing(data: bytes, wanted: bytes, replacement: bytes = b"") -> dict[str, Any]:
    """Details of a text that is nowhere: the nearest place, its first difference, the bytes around, one hint."""
    lines, block = split_lines(data), split_lines(wanted)
    start = _nearest(lines, block)
    there = "the new text is there already" if replacement.strip() and replacement in data else ""
    if start is None:
        return {"hint": there or "look at `current` and quote it exactly", **quote(lines, 0, len(lines))}
    first = next((i for i, line in enumerate(block) if _at(lines, start + i) != line), 0)
    line = max(1, start + first + 1)
    expected, actual = block[first], _at(lines, start + first)
    return {
        "line": line,
        "first_diff": {"expected": visible(expected), "actual": visible(actual)},
        "hint": there or f"line {line} differs; quote it exactly",
        **quote(lines, start, start + len(block)),
    }


def candidates(data: bytes, places: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Details of a text that is at several places, given as ranges of lines (0-based, end excluded)."""
    lines = split_lines(data)
    found = [{"line": a + 1, "end": b, "text": visible(_at(lines, a))[:200]} for a, b in places]
    near = quote(lines, *places[0]) if places else {}
    return {"line": found[0]["line"] if found else None, "candidates": found, **near}


def line_ranges(data: bytes, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Byte ranges as ranges of lines."""
    return [(data.count(b"\n", 0, a), data.count(b"\n", 0, max(a, b - 1)) + 1) for a, b in spans]


def quote(lines: Sequence[bytes], start: int, end: int) -> dict[str, Any]:
    """The file's own bytes around some lines: `current`, or `current_b64` where they are no UTF-8."""
    first, last = max(0, start - AROUND), min(len(lines), end + AROUND)
    taken, size = [], 0
    for line in lines[first:last]:
        size += len(line)
        if size > MOST:
            break
        taken.append(line)
    data = b"".join(taken) or b"".join(lines[first:last])[:MOST]
    try:
        return {"current": data.decode()}
    except UnicodeDecodeError:
        return {"current_b64": base64.b64encode(data).decode()}


def _at(lines: Sequence[bytes], index: int) -> bytes:
    return lines[index] if 0 <= index < len(lines) else b""


def _bare(line: bytes) -> bytes:
    return b"".join(line.split())


def _nearest(lines: Sequence[bytes], block: Sequence[bytes]) -> int | None:
    """Where most lines of a block are, whitespace aside: each line votes for the place that it would give the block."""
    where: dict[bytes, list[int]] = {}
    for number, line in enumerate(lines):
        where.setdefault(_bare(line), []).append(number)
    votes: Counter[int] = Counter()
    for index, line in enumerate(block):
        places = where.get(_bare(line), []) if line.strip() else []
        if len(places) <= _COMMON:
            votes.update(number - index for number in places)
    if votes:
        return max(votes, key=lambda start: (votes[start], -start))
    # A part of one line: look for it inside the lines.
    wanted = _bare(block[0]) if len(block) == 1 else b""
    inside = (number for number, line in enumerate(lines) if wanted and wanted in _bare(line))
    return next(inside, None if not any(block) else _likest(lines, block))


def _likest(lines: Sequence[bytes], block: Sequence[bytes]) -> int | None:
    """Where the line looks most like the first full one of the block: told, never used to apply anything."""
    index, wanted = next(((i, line) for i, line in enumerate(block) if line.strip()), (0, b""))
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(wanted.decode("latin-1")[:_COMPARED])
    best, place = _LIKE_ENOUGH, None
    for number, line in enumerate(lines[:_SEARCHED]):
        matcher.set_seq1(line.decode("latin-1")[:_COMPARED])
        # Each bound is dearer than the one before it.
        if min(matcher.real_quick_ratio(), matcher.quick_ratio()) > best and (ratio := matcher.ratio()) > best:
            best, place = ratio, number - index
    return place
