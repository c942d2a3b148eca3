"""Finds the fenced code blocks of Markdown text as CommonMark does, with one exception: an open fence yields nothing.

CommonMark lets the end of a document close a fence. A transcript that is still being written ends anywhere, so here
only a closing fence closes. Block quotes are left out on purpose: in a chat they hold somebody else's words.

Spec: https://spec.commonmark.org/0.31.2/#fenced-code-blocks
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

BOM = b"\xef\xbb\xbf"
_LEAST = 3
#: Four columns of indent are an indented code block, which no fence opens or closes.
_DEEPEST = 3
_TAB = 4
_LONGEST_NUMBER = 9
#: Nobody nests lists deeper; a line of nothing but markers would cost the square of its length.
_DEEPEST_LIST = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block. `text` is its content as it came, line ends included, without the fence's own indent."""

    #: 1 for the first block of the text.
    index: int
    #: What stands behind the opening fence, as `json` in "```json".
    info: str
    text: bytes
    #: 1-based line of the opening fence.
    line: int
    #: False only for the last block of `survey`, whose closing fence is missing.
    closed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A place of a text from which the scan may go on: no fence and no list is open there."""

    #: Bytes before it.
    offset: int = 0
    #: Complete lines before it.
    line: int = 0
    #: Blocks before it.
    index: int = 0


START = Mark()


@dataclass(slots=True)
class _Open:
    """A fence that waits for its end."""

    character: bytes
    length: int
    indent: int
    #: Column at which the content of the list item around it begins; 0 outside of lists.
    column: int
    info: str
    line: int
    content: list[bytes] = field(default_factory=list)

    def block(self, index: int, *, closed: bool) -> Block:
        return Block(index=index, info=self.info, text=b"".join(self.content), line=self.line, closed=closed)


def scan(text: bytes) -> tuple[Block, ...]:
    """The closed blocks of a whole text; its last line counts although no line end follows."""
    return scan_on(text, ended=True)[0]


def survey(text: bytes) -> tuple[Block, ...]:
    """The blocks of a whole text, with an unclosed one at the end: for telling people, never for submitting."""
    scanner = _Scanner(START)
    found = tuple(scanner.feed(_lines(text, ended=True)))
    rest = scanner.open
    return found if rest is None else (*found, rest.block(len(found) + 1, closed=False))


def scan_on(text: bytes, start: Mark = START, *, ended: bool = False) -> tuple[tuple[Block, ...], Mark]:
    """The closed blocks of a text that may still grow, from `start` on, and the mark from which to go on later.

    `text` holds the bytes after `start.offset`. A last line without a line end is not looked at unless the text has
    `ended`; the mark never passes it, because it may become longer.
    """
    scanner = _Scanner(start)
    found = tuple(scanner.feed(_lines(text, ended=ended)))
    return found, scanner.mark


def _lines(text: bytes, *, ended: bool) -> Iterator[bytes]:
    """Lines with their line feeds. Other separators of Unicode are content."""
    at = 0
    while (end := text.find(b"\n", at)) >= 0:
        yield text[at : end + 1]
        at = end + 1
    if ended and at < len(text):
        yield text[at:]


class _Scanner:
    """Goes through lines; `mark` follows behind."""

    def __init__(self, start: Mark) -> None:
        self.mark = start
        self.open: _Open | None = None
        #: Content columns of the list items that are open, outermost first.
        self._lists: list[int] = []
        self._offset = start.offset
        self._line = start.line
        self._index = start.index

    def feed(self, lines: Iterator[bytes]) -> Iterator[Block]:
        for raw in lines:
            self._line += 1
            line = raw.removeprefix(BOM) if self._offset == 0 else raw
            block = self._take(line)
            self._offset += len(raw)
            if block:
                yield block
            if raw.endswith(b"\n") and self.open is None and not self._lists:
                self.mark = Mark(offset=self._offset, line=self._line, index=self._index)

    def _take(self, line: bytes) -> Block | None:
        if self.open is not None and not self._left(line, self.open):
            return self._inside(line, self.open)
        self.open = None
        self._outside(line)
        return None

    def _left(self, line: bytes, fence: _Open) -> bool:
        """Whether the list item around the fence ends here, and so the fence, without a closing one."""
        return fence.column > 0 and bool(line.strip()) and _indent(line) < fence.column

    def _inside(self, line: bytes, fence: _Open) -> Block | None:
        inner = _unindent(line, fence.column)
        if not _closes(inner, fence):
            fence.content.append(_unindent(inner, fence.indent))
            return None
        self._index += 1
        self.open = None
        return fence.block(self._index, closed=True)

    def _outside(self, line: bytes) -> None:
        bare = line.strip(b" \t\r\n")
        if not bare:
            return
        column = _indent(line)
        while self._lists and column < self._lists[-1]:
            self._lists.pop()
        outer = self._lists[-1] if self._lists else 0
        while self._may_nest(column - outer) and (marker := _list_marker(bare)):
            # What follows a marker on its line may be a marker again, or a fence: "1. - ```json".
            outer = column + marker
            self._lists.append(outer)
            rest = bare[marker:]
            column, bare = outer + _indent(rest), rest.lstrip(b" \t")
        self.open = self._opening(bare, column - outer, outer)

    def _may_nest(self, indent: int) -> bool:
        return indent <= _DEEPEST and len(self._lists) < _DEEPEST_LIST

    def _opening(self, bare: bytes, indent: int, column: int) -> _Open | None:
        character = bare[:1]
        if character not in (b"`", b"~") or indent > _DEEPEST:
            return None
        length = len(bare) - len(bare.lstrip(character))
        info = bare[length:].strip()
        if length < _LEAST or (character == b"`" and b"`" in info):
            return None
        told = info.decode(errors="backslashreplace")
        return _Open(character=character, length=length, indent=indent, column=column, info=told, line=self._line)


def _closes(line: bytes, fence: _Open) -> bool:
    bare = line.strip(b" \t\r\n")
    return len(bare) >= fence.length and not bare.strip(fence.character) and _indent(line) <= _DEEPEST


def _indent(line: bytes) -> int:
    """Columns of blanks in front; a tab goes to the next multiple of four."""
    column = 0
    for byte in line:
        if byte == 0x20:  # noqa: PLR2004 - a blank
            column += 1
        elif byte == 0x09:  # noqa: PLR2004 - a tab
            column += _TAB - column % _TAB
        else:
            break
    return column


def _unindent(line: bytes, columns: int) -> bytes:
    """The line without at most `columns` columns of blanks; a tab that is cut leaves its rest as blanks."""
    if columns == 0:
        return line
    rest = line.lstrip(b" \t")
    found = _indent(line)
    if b"\t" in line[: len(line) - len(rest)]:
        return b" " * max(0, found - columns) + rest
    return line[min(columns, found) :]


def _list_marker(bare: bytes) -> int:
    """Columns from a list marker to its item's content ("- " is 2, "10. " is 4); 0 where there is none."""
    digits = len(bare) - len(bare.lstrip(b"0123456789"))
    if digits:
        width = digits + 1 if digits <= _LONGEST_NUMBER and bare[digits : digits + 1] in (b".", b")") else 0
    else:
        width = 1 if bare[:1] in (b"-", b"+", b"*") else 0
    if not width:
        return 0
    blanks = len(bare[width:]) - len(bare[width:].lstrip(b" \t"))
    if blanks == 0:
        return width + 1 if len(bare) == width else 0
    # Five blanks and more: the item begins with indented code, one blank behind its marker.
    return width + (blanks if blanks <= _TAB else 1)
