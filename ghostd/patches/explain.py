"""What a refusal tells about a text that was not found, or too often, so that its author can mend it in one go."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any

from ghostd.patches.match import is_long, split_lines

#: Bytes of the file that a refusal quotes at most, and lines around the place.
MOST = 4096
AROUND = 3
#: How far around candidates it is looked for lines that tell them apart.
_FAR = 50
_MARKS = str.maketrans({"\t": "→", "\r": "␍", "\n": "␊", "\xa0": "⍽"})


def visible(line: bytes) -> str:
    """A line with its whitespace to be seen: tab →, CR ␍, LF ␊, trailing blanks ·, other bytes as `\\xNN`."""
    text = line.decode("utf-8", "backslashreplace")
    body = text.rstrip(" \t\r\n\xa0")
    tail = text[len(body) :].replace(" ", "·")
    return (body + tail).translate(_MARKS)


def candidates(data: bytes, places: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Details of a text that is at several places, given as ranges of lines (0-based, end excluded).

    Each candidate has the nearest line before it, and the nearest behind it, that are not the same at all of them.
    """
    if is_long(data):
        return {"line": places[0][0] + 1, "candidates": [{"line": a + 1, "end": b} for a, b in places]}
    lines = split_lines(data)
    found: list[dict[str, Any]] = [
        {"line": a + 1, "end": b, "text": visible(line_at(lines, a))[:200]} for a, b in places
    ]
    for key, sides in (
        ("before", _apart(lines, [a for a, _ in places], -1)),
        ("after", _apart(lines, [b - 1 for _, b in places], 1)),
    ):
        for each, side in zip(found, sides, strict=False):
            each[key] = side
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


def _apart(lines: Sequence[bytes], places: Sequence[int], step: int) -> Iterator[dict[str, Any]]:
    """For each place the nearest line in one direction that is not the same for all of them."""
    for far in range(step, step * _FAR, step):
        near = [line_at(lines, place + far) for place in places]
        if len({*near}) > 1:
            for place, line in zip(places, near, strict=True):
                yield {"line": place + far + 1 if line else None, "text": visible(line)[:200]}
            return


def line_at(lines: Sequence[bytes], index: int) -> bytes:
    """The line with a 0-based number, empty outside of the file."""
    return lines[index] if 0 <= index < len(lines) else b""
