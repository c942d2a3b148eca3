"""Search/replace blocks as data, and their places in a file. The form is the one that Aider made known:

    path/to/file.py
    <<<<<<< SEARCH
    lines as they are
    =======
    lines as they shall be
    >>>>>>> REPLACE

A block stands behind its path, with a code fence around it or none; one without a path is about the file of the block
before it. Other text is left alone, but for a line that looks like a marker: a block would go unseen. The three markers
of a block are equally long, 5 to 60 characters; a block whose lines look like its markers takes longer ones. An empty
search text makes a file, or fills an empty one. The blocks about one file follow one another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ghostd.patches import explain
from ghostd.patches.hunks import Placed, refused
from ghostd.patches.match import ORDER, splice, split_lines
from ghostd.patches.place import Place

_HEAD = re.compile(rb"(<{5,60}) SEARCH\s*")
_MARKERS = re.compile(rb"(?:<{5,60} ?SEARCH|={5,60}|>{5,60} ?REPLACE)\s*")
_FENCE = re.compile(rb"\s*(?:`{3,}|~{3,})[^`]*\s*")
# How people and models dress a path: as a heading, in bold, as code, with a colon.
_DRESS = b"#*`: \t\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One replacement; `at` is the 1-based line of its head in the whole text. Both sides are whole lines."""

    at: int
    path: bytes
    search: tuple[bytes, ...]
    replace: tuple[bytes, ...]


class BadBlockError(ValueError):
    """A text holds no block, or a broken one; `line` is its 1-based line."""

    def __init__(self, problem: str, line: int) -> None:
        super().__init__(problem)
        self.line = line


def parse(text: bytes) -> tuple[Block, ...]:
    """The blocks of a text, at least one. Raises BadBlockError."""
    blocks = tuple(_Reader(text).blocks())
    if not blocks:
        raise BadBlockError("no `<<<<<<< SEARCH` in it", 1)
    return blocks


def check(text: bytes) -> str | None:
    """Why a text holds no usable blocks, None where it does."""
    try:
        parse(text)
    except BadBlockError as error:
        return f"has no usable blocks (its line {error.line}: {error})"
    return None


def paths(text: bytes) -> tuple[bytes, ...]:
    """Every path that the blocks name, in their order. Raises BadBlockError."""
    return tuple(dict.fromkeys(block.path for block in parse(text)))


class _Reader:
    def __init__(self, text: bytes) -> None:
        self.lines = split_lines(text)
        self.at = 0
        #: The last line that may be a path, and the path of the last block.
        self.spoken = b""
        self.path = b""

    def blocks(self) -> Iterator[Block]:
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if head := _HEAD.fullmatch(line):
                yield self.block(head[1])
            elif _MARKERS.fullmatch(line):
                raise self.bad("a marker outside of a block")
            else:
                self.spoken = line if line.strip() and not _FENCE.fullmatch(line) else self.spoken
                self.at += 1

    def bad(self, problem: str) -> BadBlockError:
        return BadBlockError(problem, self.at + 1)

    def block(self, head: bytes) -> Block:
        path = self.spoken.strip().strip(_DRESS) or self.path
        if not path:
            raise self.bad("the line before a block names its file")
        self.spoken, self.path = b"", path
        at, size = self.at + 1, len(head)
        self.at += 1
        search = self.side(b"=" * size, at)
        replace = self.side(b">" * size + b" REPLACE", at)
        return Block(at=at, path=path, search=search, replace=replace)

    def side(self, marker: bytes, at: int) -> tuple[bytes, ...]:
        """The lines up to a marker, and past it. Any marker of another kind, of this length, is in the wrong place."""
        start, size = self.at, len(marker.split()[0])
        while self.at < len(self.lines):
            line = self.lines[self.at].rstrip()
            self.at += 1
            if line == marker:
                return tuple(self.lines[start : self.at - 1])
            if line in (b"<" * size + b" SEARCH", b"=" * size, b">" * size + b" REPLACE"):
                self.at -= 1
                raise self.bad(
                    f"this marker is out of turn, here {marker.decode()!r} is due; if it is text, use longer ones"
                )
        raise BadBlockError(f"the block is not ended with {marker.decode()!r}", at)


def place_blocks(place: Place, blocks: Sequence[Block]) -> Placed:
    """The bytes after all blocks about one file, one after the other. Raises Refusal."""
    data, loosest = place.data, ORDER[0]
    for number, block in enumerate(blocks, 1):
        now = place if data == place.data else Place(path=place.path, data=data, entry=None, cap=place.cap)
        data, level = _placed(now, block, number)
        loosest = max(loosest, level, key=ORDER.index)
    return Placed(data, loosest)


def _placed(place: Place, block: Block, number: int) -> tuple[bytes, str]:
    if not block.search:
        if place.data:
            hint = "quote the lines that shall go, or stay, in SEARCH"
            raise refused(place, "path-exists", number, "an empty SEARCH makes a file, this one is there", hint=hint)
        return b"".join(block.replace), ORDER[0]
    found = place.source.lines(block.search, block.replace)
    if len(found.edits) == 1:
        return splice(place.data, found.edits), found.level
    if not found.edits:
        missing = place.missing_text(b"".join(block.search), b"".join(block.replace))
        raise refused(place, "no-match", number, "the search text is not found", **missing)
    near = explain.candidates(place.data, explain.line_ranges(place.data, found.places))
    hint = "quote more lines around the place"
    raise refused(place, "ambiguous", number, "the search text fits several places", hint=hint, **near)
