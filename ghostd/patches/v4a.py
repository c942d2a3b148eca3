"""Patches in the V4A form as data: files that come, go and change, by lines. Whether they fit is not asked here.

The form is the one that OpenAI's models write (`*** Begin Patch` …) and its Codex program reads. Where those leave
room, this reader does not: what is no part of the form is refused, with its line. Taken as they are meant: blanks
around a marker, a shell's here-document around the whole, blank lines between the parts.

All files are as they were before the patch, so a file may move away and another take its place, and two may trade
places. Only changes of one file in several parts follow one another. A file that is added, or moved, takes the place of
one that is there, as it does in Codex.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ghostd.patches.match import split_lines

_BEGIN, _END = b"*** Begin Patch", b"*** End Patch"
_ADD, _DELETE, _UPDATE = b"*** Add File:", b"*** Delete File:", b"*** Update File:"
_MOVE, _TAIL = b"*** Move to:", b"*** End of File"
_HERE = re.compile(rb"(?:apply_patch\s+)?<<\s*(['\"]?)(\w+)\1\s*")
_NUMBERS = re.compile(rb"-\d+(?:,\d+)? \+\d+(?:,\d+)? @@.*", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One place of a change. `anchors` are lines in front of it, from the outside in; `tail`: it ends the file."""

    at: int
    anchors: tuple[bytes, ...]
    lines: tuple[tuple[str, bytes], ...]
    tail: bool = False

    @property
    def only_adds(self) -> bool:
        return all(tag == "+" for tag, _ in self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    at: int
    path: bytes
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    at: int
    path: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Updated:
    """A file that changes, and moves where `to` is another path."""

    at: int
    path: bytes
    to: bytes
    chunks: tuple[Chunk, ...]


Part = Added | Deleted | Updated


class BadPatchError(ValueError):
    """A text is no V4A patch; `line` is its 1-based line."""

    def __init__(self, problem: str, line: int) -> None:
        super().__init__(problem)
        self.line = line


def parse(patch: bytes) -> tuple[Part, ...]:
    """The parts of a patch, at least one. Raises BadPatchError."""
    parts = tuple(_Reader(patch).parts())
    if not parts:
        raise BadPatchError("no file in it", 1)
    _check_apart(parts)
    return parts


def check(patch: bytes) -> str | None:
    """Why a text is no V4A patch, None where it is one."""
    try:
        parse(patch)
    except BadPatchError as error:
        return f"is no V4A patch (its line {error.line}: {error})"
    return None


def paths(patch: bytes) -> tuple[bytes, ...]:
    """Every path that a patch names, in its order. Raises BadPatchError."""
    named = (name for part in parse(patch) for name in (part.path, getattr(part, "to", part.path)))
    return tuple(dict.fromkeys(named))


class _Reader:
    def __init__(self, patch: bytes) -> None:
        self.lines = split_lines(patch)
        self.at, self.end = _envelope(self.lines)

    def peek(self) -> bytes:
        """The line there, empty at the end."""
        return self.lines[self.at] if self.at < self.end else b""

    def parts(self) -> Iterator[Part]:
        while self.at < self.end:
            line = self.peek().strip()
            if line.startswith(_ADD):
                yield self.added(self.named(_ADD))
            elif line.startswith(_DELETE):
                yield Deleted(path=self.named(_DELETE), at=self.at)
            elif line.startswith(_UPDATE):
                yield self.updated(self.named(_UPDATE))
            elif line:
                raise self.bad("here a file begins, with `*** Add File:`, `*** Delete File:` or `*** Update File:`")
            else:
                self.at += 1

    def bad(self, problem: str) -> BadPatchError:
        return BadPatchError(problem, self.at + 1)

    def named(self, marker: bytes) -> bytes:
        """The path behind a marker, and past its line."""
        path = self.peek().strip()[len(marker) :].strip()
        if not path:
            raise self.bad("a path is missing")
        self.at += 1
        return path

    def added(self, path: bytes) -> Added:
        at, taken = self.at, list[bytes]()
        while self.peek().startswith(b"+"):
            taken.append(_ended(self.peek()[1:]))
            self.at += 1
        return Added(at=at, path=path, data=b"".join(taken))

    def updated(self, path: bytes) -> Updated:
        at, to = self.at, path
        if self.peek().strip().startswith(_MOVE):
            to = self.named(_MOVE)
        chunks = tuple(self.chunks())
        if not chunks and to == path:
            raise BadPatchError("nothing happens to this file", at)
        return Updated(at=at, path=path, to=to, chunks=chunks)

    def chunks(self) -> Iterator[Chunk]:
        while self.at < self.end and not self.peek().strip().startswith(b"***"):
            if not self.peek().strip():
                self.at += 1
            else:
                yield self.chunk()

    def chunk(self) -> Chunk:
        at, anchors = self.at + 1, tuple(self.anchors())
        lines = tuple(self.body())
        tail = self.peek().strip() == _TAIL
        self.at += tail
        if not tail:
            # Blank lines at the end are the text's, not the file's.
            lines = lines[: len(lines) - next((i for i, each in enumerate(lines[::-1]) if each[0]), len(lines))]
        script = tuple((tag or " ", line) for tag, line in lines)
        if not any(tag != " " for tag, _ in script):
            raise BadPatchError("a chunk that changes nothing; its lines begin with a blank, + or -", at)
        return Chunk(at=at, anchors=anchors, lines=script, tail=tail)

    def anchors(self) -> Iterator[bytes]:
        while self.peek().startswith(b"@@"):
            text = self.peek()[2:].rstrip(b"\r\n").removeprefix(b" ")
            if _NUMBERS.fullmatch(text):
                raise self.bad("`@@` takes a line of the file in this form, no line numbers")
            if text.strip():
                yield text
            self.at += 1

    def body(self) -> Iterator[tuple[str, bytes]]:
        """The lines of a chunk; the tag is empty for a blank line without one."""
        while self.at < self.end and not self.peek().startswith((b"***", b"@@")):
            line = self.peek()
            if not line.strip(b"\r\n"):
                yield "", _ended(line)
            elif line[:1] in (b" ", b"+", b"-"):
                yield line[:1].decode(), _ended(line[1:])
            else:
                raise self.bad("a line of a chunk begins with a blank, + or -")
            self.at += 1


def _envelope(lines: list[bytes]) -> tuple[int, int]:
    """The numbers of the first line inside a patch, and of its last marker."""
    full = [number for number, line in enumerate(lines) if line.strip()]
    here = _HERE.fullmatch(lines[full[0]]) if full else None
    if here and lines[full[-1]].strip() == here[2]:
        full = full[1:-1]
    if not full or lines[full[0]].strip() != _BEGIN:
        raise BadPatchError(f"the first line has to be `{_BEGIN.decode()}`", full[0] + 1 if full else 1)
    if lines[full[-1]].strip() != _END:
        raise BadPatchError(f"the last line has to be `{_END.decode()}`", full[-1] + 1)
    return full[0] + 1, full[-1]


def _check_apart(parts: tuple[Part, ...]) -> None:
    """Two parts about one file have to make clear what is meant: see the module's docstring."""
    gone: dict[bytes, Part] = {}
    there: dict[bytes, Part] = {}
    for part in parts:
        source = None if isinstance(part, Added) or _stays(part) else part.path
        target = None if isinstance(part, Deleted) else part.to if isinstance(part, Updated) else part.path
        if source is not None:
            _refuse_second(part, gone.get(source), there.get(source), may=_moves)
            gone[source] = part
        if target is not None:
            _refuse_second(part, gone.get(target) if _stays(part) else None, there.get(target), may=_stays)
            there[target] = part


def _refuse_second(part: Part, gone: Part | None, there: Part | None, *, may: Callable[[Part], bool]) -> None:
    """A path goes once; one that was written may be a part's again only where both parts do the same with it."""
    other = gone or (None if there is None or (may(there) and may(part)) else there)
    if other is not None:
        raise BadPatchError(f"two parts are about one file, see line {other.at}", part.at)


def _stays(part: Part) -> bool:
    return isinstance(part, Updated) and part.to == part.path


def _moves(part: Part) -> bool:
    return isinstance(part, Updated) and part.to != part.path


def _ended(line: bytes) -> bytes:
    return line if line.endswith(b"\n") else line + b"\n"
