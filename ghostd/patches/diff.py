"""Unified diffs as data: files, their Git headers, their hunks, all in exact bytes. Whether they fit is not asked here.

Wrong counts in a hunk's head are mended by counting again, for people and models miscount; nothing else is forgiven.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from ghostd.model.tree import Mode
from ghostd.patches.binary import BadBinaryError, Binary, read
from ghostd.patches.match import split_lines
from ghostd.patches.quoted import header_name, two_names


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunk:
    """One place of a change. Lines are whole, with their `\\n`, but for a last line without one."""

    #: 1-based lines of the whole diff's text, for messages.
    at: int
    #: What the head states: first line and number of lines of the old side; None where it states none.
    old_start: int | None
    old_count: int | None
    #: (`" "`, `"-"` or `"+"`, line)
    lines: tuple[tuple[str, bytes], ...]

    @property
    def old(self) -> tuple[bytes, ...]:
        return tuple(line for tag, line in self.lines if tag != "+")

    @property
    def new(self) -> tuple[bytes, ...]:
        return tuple(line for tag, line in self.lines if tag != "-")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDiff:
    """One file of a diff. `old` is None where it is made, `new` is None where it goes."""

    at: int
    old: bytes | None
    new: bytes | None
    copy: bool = False
    old_mode: Mode | None = None
    new_mode: Mode | None = None
    hunks: tuple[Hunk, ...] = ()
    #: Instead of hunks.
    binary: Binary | None = None


class BadDiffError(ValueError):
    """A text is no unified diff; `line` is its 1-based line."""

    def __init__(self, problem: str, line: int) -> None:
        super().__init__(problem)
        self.line = line


# `@@` and `@@ ... @@` without numbers are taken too: then the text alone has to tell the place.
_HUNK = re.compile(
    rb"@@(?: -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@.*| \.\.\.(?: @@)?| @@)?\s*", re.DOTALL
)
_BETWEEN = (b"Index: ", b"=====", b"diff ", b"Only in ")
_SIGNATURE = b"--"
_MODES = {b"100644": Mode.FILE, b"100755": Mode.EXECUTABLE, b"120000": Mode.SYMLINK, b"160000": Mode.GITLINK}
_BINARY = b"GIT binary patch"
#: What `git diff` writes without --binary, which nobody can apply.
_NO_BYTES = b"Binary files "
_SIMILAR = (b"similarity", b"dissimilarity")
_NO_END = b"\\"
_NOWHERE = b"/dev/null"


def parse(diff: bytes) -> tuple[FileDiff, ...]:
    """The files of a diff, at least one; the name of a file without header is empty. Raises BadDiffError."""
    reader = _Reader(split_lines(diff))
    files = tuple(reader.files())
    if not files:
        raise BadDiffError("no hunk (`@@ … @@`) and no Git header in it", 1)
    for file in files:
        moved = file.old != file.new or file.new_mode is not None
        if (file.old, file.new) == (None, None) or not (file.hunks or file.binary or moved):
            raise BadDiffError("nothing happens to this file", file.at)
    return files


class _Reader:
    def __init__(self, lines: list[bytes]) -> None:
        self.lines = lines
        self.at = 0
        #: Behind the signature of a mail, until its next file.
        self.signed = False

    def peek(self, ahead: int = 0) -> bytes:
        """The line there, empty behind the end."""
        index = self.at + ahead
        return self.lines[index] if index < len(self.lines) else b""

    def files(self) -> list[FileDiff]:
        found: list[FileDiff] = []
        while self.at < len(self.lines):
            if self.peek().startswith(b"diff --git "):
                found.append(self.git_file())
            elif self.has_names():
                found.append(self.plain_file())
            elif self.peek().startswith(b"@@"):
                if found:
                    raise BadDiffError("a hunk without a file", self.at + 1)
                found.append(FileDiff(at=1, old=b"", new=b"", hunks=self.hunks()))
            else:
                self.skip_talk(found)
        return found

    def skip_talk(self, found: list[FileDiff]) -> None:
        """Past a line of no file: a commit message, a mail's end. Right behind a hunk it is a part of a broken hunk."""
        line = self.peek()
        if line.startswith((_BINARY, _NO_BYTES)):
            raise BadDiffError("a binary diff without its bytes; make it with `git diff --binary`", self.at + 1)
        self.signed = self.signed or line.rstrip() == _SIGNATURE
        inside = bool(found and found[-1].hunks) and not self.signed
        if inside and line.strip() and not line.startswith(_BETWEEN):
            raise BadDiffError("a line that belongs to no hunk; a context line begins with a blank", self.at + 1)
        self.at += 1

    def has_names(self) -> bool:
        return self.peek().startswith(b"--- ") and self.peek(1).startswith(b"+++ ")

    def names(self) -> tuple[bytes | None, bytes | None]:
        """Both names of a `---`/`+++` pair, without the prefixes a/ and b/; None for /dev/null."""
        old, new = (header_name(self.peek(ahead)[4:]) for ahead in (0, 1))
        self.at += 2
        before, after = (None if name == _NOWHERE else name for name in (old, new))
        prefixed = (before is None or before.startswith(b"a/")) and (after is None or after.startswith(b"b/"))
        if prefixed:
            before, after = (name and name[2:] for name in (before, after))
        return before, after

    def plain_file(self) -> FileDiff:
        at = self.at + 1
        old, new = self.names()
        return FileDiff(at=at, old=old, new=new, hunks=self.hunks())

    def git_file(self) -> FileDiff:
        at = self.at + 1
        old, new = two_names(self.peek()[len(b"diff --git ") :])
        file = FileDiff(at=at, old=old, new=new)
        self.at += 1
        made = gone = False
        index = b""
        while self.at < len(self.lines) and not self.peek().startswith((b"@@", b"diff --git ", b"--- ")):
            word, _, rest = self.peek().rstrip(b"\r\n").partition(b" ")
            if self.peek().startswith(_BINARY):
                file = replace(file, binary=self.binary(index))
                break
            match word, rest.rpartition(b" ")[0], rest.rpartition(b" ")[2]:
                case b"old", b"mode", mode:
                    file = replace(file, old_mode=self.mode(mode))
                case b"new", b"mode", mode:
                    file = replace(file, new_mode=self.mode(mode))
                case b"new", b"file mode", mode:
                    made, file = True, replace(file, new_mode=self.mode(mode))
                case b"deleted", b"file mode", mode:
                    gone, file = True, replace(file, old_mode=self.mode(mode))
                case ((b"rename" | b"copy"), _, _):
                    file = self.moved(file, word, rest)
                case b"index", _, _:
                    index = rest
                case _ if word not in _SIMILAR:
                    break
            self.at += 1
        return self.with_hunks(file, made=made, gone=gone)

    def with_hunks(self, file: FileDiff, *, made: bool, gone: bool) -> FileDiff:
        before, after = file.old, file.new
        if self.has_names():
            old, new = self.names()
            before, after = old if old is None else before or old, new if new is None else after or new
        before, after = None if made else before, None if gone else after
        if b"" in (before, after):
            raise BadDiffError("the names of this file can not be told apart", file.at)
        return replace(file, old=before, new=after, hunks=self.hunks())

    def moved(self, file: FileDiff, word: bytes, rest: bytes) -> FileDiff:
        side, _, name = rest.partition(b" ")
        if side == b"from":
            return replace(file, old=header_name(name), copy=word == b"copy")
        return replace(file, new=header_name(name), copy=word == b"copy")

    def binary(self, index: bytes) -> Binary:
        try:
            binary, self.at = read(self.lines, self.at + 1, index)
        except BadBinaryError as error:
            raise BadDiffError(str(error), (self.at if error.line is None else error.line) + 1) from None
        return binary

    def mode(self, text: bytes) -> Mode:
        if text not in _MODES:
            raise BadDiffError(f"mode {text.decode('ascii', 'replace')} is not supported", self.at + 1)
        return _MODES[text]

    def hunks(self) -> tuple[Hunk, ...]:
        self.signed = False
        found: list[Hunk] = []
        while self.peek().startswith(b"@@"):
            found.append(self.hunk())
        return tuple(found)

    def hunk(self) -> Hunk:
        at, head = self.at + 1, _HUNK.fullmatch(self.peek())
        if head is None:
            raise BadDiffError("not the head of a hunk: `@@ -line,count +line,count @@`", at)
        self.at += 1
        start, count, _, new_count = (None if group is None else int(group) for group in head.groups())
        counts = None if start is None else (1 if count is None else count, 1 if new_count is None else new_count)
        lines = (self.counted(*counts) if counts else None) or self.recounted()
        if not any(tag != " " for tag, _ in lines):
            raise BadDiffError("a hunk that changes nothing", at)
        return Hunk(at=at, old_start=start, old_count=counts and counts[0], lines=tuple(lines))

    def counted(self, old: int, new: int) -> list[tuple[str, bytes]] | None:
        """The lines of a hunk by its stated counts; None, and nothing consumed, where they can not be right."""
        start, lines = self.at, list[tuple[str, bytes]]()
        while (old or new) and self.at < len(self.lines):
            tag = self.tag(self.peek())
            if tag is None:
                break
            old, new = old - (tag != "+"), new - (tag != "-")
            if old < 0 or new < 0:
                break
            lines.append(self.take(tag))
        if old or new or not self.at_border():
            self.at = start
            return None
        return lines

    def recounted(self) -> list[tuple[str, bytes]]:
        """The lines of a hunk up to the next head; blank lines at its end are the text's, not the file's."""
        lines: list[tuple[str, bytes]] = []
        blanks = 0
        while self.at < len(self.lines) and not self.has_next_head():
            line = self.peek()
            tag = self.tag(line)
            if tag is None:
                break
            blanks = blanks + 1 if line in (b"\n", b"\r\n") else 0
            lines.append(self.take(tag))
        return lines[: len(lines) - blanks]

    def take(self, tag: str) -> tuple[str, bytes]:
        """This line's content, and past it and the mark that it has no line end."""
        line = self.peek()
        content = line if line in (b"\n", b"\r\n") else line[1:]
        content = content if content.endswith(b"\n") else content + b"\n"
        self.at += 1
        if self.peek().startswith(_NO_END):
            self.at += 1
            content = content[:-1]
        return tag, content

    @staticmethod
    def tag(line: bytes) -> str | None:
        """The tag of a hunk's line; editors strip the blank of an empty context line."""
        if line in (b"\n", b"\r\n"):
            return " "
        return line[:1].decode() if line[:1] in (b" ", b"+", b"-") else None

    def has_next_head(self) -> bool:
        return self.has_names() and self.peek(2).startswith(b"@@")

    def at_border(self) -> bool:
        """True where a hunk may have ended."""
        ended = self.tag(self.peek()) is None or self.peek().rstrip() == _SIGNATURE
        return ended or self.has_names() or not b"".join(self.lines[self.at :]).strip()
