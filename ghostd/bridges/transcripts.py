"""Transcripts of chats, read from bytes: whose words they are, and the fenced blocks in them.

Two shapes are known: plain text and Markdown, where everything counts as the assistant's, and JSON Lines of
`{"role", "content"}`. Which one it is, its content tells.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ghostd.bridges.fences import BOM, START, Block, Mark, scan, scan_on

#: Detection looks at so many bytes of a file's beginning, and at so many of its lines.
HEAD = 64 * 1024
_HEAD_LINES = 20
#: Everything in a plain transcript counts as said by this role.
ASSISTANT = "assistant"


class Shape(StrEnum):
    """How a transcript is written."""

    PLAIN = "plain"
    JSONL = "jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A fenced block and where it stands: `place` is "3" for the third of a text, "17.1" for the first of record 17."""

    place: str
    #: Line of the transcript: of the opening fence, or of the record that holds it.
    line: int
    text: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A record that could not be read."""

    line: int
    reason: str
    text: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a stretch of a transcript held; `mark` is where the next stretch begins."""

    passages: tuple[Passage, ...]
    unread: tuple[Unread, ...]
    mark: Mark


def detect(head: bytes) -> Shape:
    """The shape by the first bytes of a transcript. It may change once, while a short one grows."""
    whole = head.removeprefix(BOM)[: head.rfind(b"\n") + 1]
    lines = [line for line in whole.split(b"\n", _HEAD_LINES)[:_HEAD_LINES] if line.strip()]
    records = [_record(line) for line in lines]
    if records and records[0] is not None and any(record is not None and _is_message(record) for record in records):
        return Shape.JSONL
    return Shape.PLAIN


def read(data: bytes, shape: Shape, *, roles: Collection[str], start: Mark = START, ended: bool = False) -> Reading:
    """The blocks that speakers of `roles` wrote in `data`, the bytes of a transcript after `start.offset`.

    `ended`: nothing was added for a while, so a last line of plain text counts although no line end follows. A JSON
    record without its line end is never complete.
    """
    if shape is Shape.JSONL:
        return _read_records(data, roles, start)
    found, mark = scan_on(data, start, ended=ended)
    counts = ASSISTANT in roles
    return Reading(passages=tuple(_passage(block) for block in found if counts), unread=(), mark=mark)


def _passage(block: Block) -> Passage:
    return Passage(place=str(block.index), line=block.line, text=block.text)


def _read_records(data: bytes, roles: Collection[str], start: Mark) -> Reading:
    passages: list[Passage] = []
    unread: list[Unread] = []
    complete = data.rfind(b"\n") + 1
    number = start.line
    for number, line in enumerate(data[:complete].split(b"\n")[:-1], start.line + 1):
        record = _record(line.removeprefix(BOM) if number == 1 else line)
        if record is None and line.strip():
            unread.append(Unread(line=number, reason="not a JSON object on one line", text=line))
        elif record is not None and _is_message(record) and record["role"] in roles:
            passages.extend(_passages(record["content"], number))
    mark = Mark(offset=start.offset + complete, line=number, index=0)
    return Reading(passages=tuple(passages), unread=tuple(unread), mark=mark)


def _passages(content: Any, number: int) -> Iterator[Passage]:
    for text in _texts(content):
        for block in scan(text):
            yield Passage(place=f"{number}.{block.index}", line=number, text=block.text)


def _texts(content: Any) -> Iterator[bytes]:
    """The text of a message: a string, or a list of parts of which those of type `text` count, joined."""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        content = "\n".join(part for part in parts if isinstance(part, str))
    if isinstance(content, str):
        # Half a surrogate pair can stand in JSON; as bytes it is no UTF-8, which the reader of patches then tells.
        yield content.encode(errors="surrogatepass")


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _is_message(record: dict[str, Any]) -> bool:
    return isinstance(record.get("role"), str) and "content" in record
