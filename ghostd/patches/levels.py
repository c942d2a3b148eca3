"""The matching levels above `exact`, as a table. All work on whole lines, and all leave to the file what a patch keeps.

| level        | a line of the patch fits a line of the file where                          | lines that come       |
|--------------|----------------------------------------------------------------------------|-----------------------|
| `whitespace` | they are equal but for line end and trailing blanks                        | get the usual end     |
| `unicode`    | so, or punctuation and spaces look alike, in lines that stay or only go    | get the usual end     |
| `indent`     | as for `whitespace`, and all are shifted by one prefix of blanks or tabs   | are shifted as well   |

A line that stays keeps the file's own bytes at every level. The rule of `unicode`: a line that is replaced has to fit
by `whitespace`, for its new text was written without knowing the file's characters, and would change them unasked. So
one that only goes may fit, what goes being the file's own line; and in a search text a line counts as staying where the
replacement has it, too, at the same place (see `align.as_script`).

The usual line end is the one that most lines of the file have. A line ends at `\\n`, `\\r\\n` or a lone `\\r`. A
byte order mark stays.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, groupby

from ghostd.patches import rows
from ghostd.patches.line import BLANKS, body, has_end, line_end, margin, plain, trimmed
from ghostd.patches.match import ANYWHERE, ENOUGH, NOWHERE, Edit, Found, Scope, Script
from ghostd.patches.rows import Rows

_BOM = b"\xef\xbb\xbf"
#: Comparisons of lines that one search may spend beyond those of the file itself, before it counts as ambiguous.
PATIENCE = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One row: how a line is compared, and what else one place has to fulfil.

    `fits` gives the prefix that lines which come have to get (`+`) or lose (`-`), None where the place does not fit.
    """

    name: str
    key: Callable[[bytes], bytes]
    fits: Callable[[Sequence[bytes], Block], Shift | None]


@dataclass(frozen=True, slots=True)
class Shift:
    """How far a block is moved in a file: `prefix` is put before each line that is not blank, or taken from it."""

    prefix: bytes = b""
    remove: bool = False

    def __call__(self, line: bytes) -> bytes:
        if not self.prefix or not line.strip():
            return line
        return line.removeprefix(self.prefix) if self.remove else self.prefix + line


@dataclass(frozen=True, slots=True)
class Block:
    """A script made ready for the levels: lines that stay or go cut at every kind of line end."""

    script: tuple[tuple[str, bytes], ...]
    old: tuple[bytes, ...]
    #: Numbers of old lines that are replaced by others.
    replaced: tuple[int, ...]

    @property
    def new(self) -> Iterator[bytes]:
        return (line for tag, line in self.script if tag == "+")

    @property
    def open_ended(self) -> bool:
        """True where it says of a line that it has no line end, which only a file's last line can be."""
        return not all(line.endswith((b"\n", b"\r")) for _, line in self.script)


class Sheet:
    """A file's lines, and for each level the text in which a block can be sought in one go."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.lines = data.splitlines(keepends=True)
        self.starts = array("Q", accumulate(map(len, self.lines), initial=0))
        self._texts: dict[str, tuple[bytes, array[int]]] = {}
        self._rows: dict[str, Rows] = {}
        self._searches: Counter[str] = Counter()

    @cached_property
    def end(self) -> bytes:
        """The line end that most lines have; `\\n` where there are none, or as many of each."""
        both = self.data.count(b"\r\n")
        counts = {b"\n": self.data.count(b"\n") - both, b"\r\n": both, b"\r": self.data.count(b"\r") - both}
        return max(counts, key=lambda end: counts[end])

    def hits(self, level: Level, keys: Sequence[bytes], first: int) -> Iterator[int]:
        """The numbers of lines, from `first` on, where all keys of a block follow one another."""
        indexed = self._indexed(level, keys)
        if indexed is not None:
            yield from (number for number in indexed if number >= first)
            return
        if level.name not in self._texts:
            self._texts[level.name] = _joined([level.key(line) for line in _without_mark(self.lines)])
        text, offsets = self._texts[level.name]
        needle = b"\n" + b"\n".join(keys) + b"\n"
        at = text.find(needle, offsets[first])
        while at >= 0:
            yield bisect_left(offsets, at)
            at = text.find(needle, at + 1)

    def _indexed(self, level: Level, keys: Sequence[bytes]) -> list[int] | None:
        """All places by the index, once there is one; None where a plain search is as good."""
        self._searches[level.name] += 1
        if self._searches[level.name] <= rows.MANY:
            return None
        if level.name not in self._rows:
            self._rows[level.name] = Rows(level.key(line) for line in _without_mark(self.lines))
        return self._rows[level.name].starts(keys)


def find(
    sheet: Sheet,
    script: Script,
    names: Sequence[str],
    scope: Scope = ANYWHERE,
    *,
    whole: bool = False,
    limit: int = ENOUGH,
) -> Found:
    """The places of a block at the first of the named levels that finds any; see `match.Source.block`."""
    block = as_block(script)
    if not block.old or len(block.old) > len(sheet.lines):
        return NOWHERE
    at_end = len(sheet.lines) - len(block.old)
    first = at_end if scope.tail or block.open_ended else bisect_left(sheet.starts, scope.since)
    for name in names:
        places = _places(sheet, LEVELS[name], block, first, scope, limit)
        if places:
            return Found(name, tuple(_edit(sheet, block, start, shift, whole=whole) for start, shift in places))
    return NOWHERE


def _places(sheet: Sheet, level: Level, block: Block, first: int, scope: Scope, limit: int) -> list[tuple[int, Shift]]:
    found: list[tuple[int, Shift]] = []
    spent, size = 0, len(block.old)
    keys = [level.key(line) for line in _without_mark(block.old)]
    for start in sheet.hits(level, keys, first):
        if not scope.has(sheet.starts[start]):
            break
        spent += size
        shift = level.fits(sheet.lines[start : start + size], block)
        if shift is None and spent < PATIENCE + len(sheet.lines):
            continue
        if shift is None:
            # Out of patience: two that overlap stand for "can not be told", which is refused.
            return [(start, Shift()), (start, Shift())]
        found.append((start, shift))
        if len(found) == limit or (len(found) > 1 and start < found[-2][0] + size):
            break
    return found


def as_block(script: Script) -> Block:
    """A script for the levels."""
    lines: list[tuple[str, bytes]] = []
    for tag, line in script:
        lines += [(tag, line)] if tag == "+" else [(tag, part) for part in line.splitlines(keepends=True)]
    replaced: list[int] = []
    number = 0
    for stays, run in groupby(lines, key=lambda each: each[0] == " "):
        tags = [tag for tag, _ in run]
        gone = len(tags) if stays else tags.count("-")
        if not stays and "+" in tags:
            replaced += range(number, number + gone)
        number += gone
    return Block(tuple(lines), tuple(line for tag, line in lines if tag != "+"), tuple(replaced))


def _edit(sheet: Sheet, block: Block, start: int, shift: Shift, *, whole: bool) -> Edit:
    """What a place becomes."""
    end = start + len(block.old)
    lines = _rewritten(sheet.lines[start:end], block.script, shift, sheet.end)
    lines = [*(line if has_end(line) else line + sheet.end for line in lines[:-1]), *lines[-1:]]
    if end == len(sheet.lines) and lines and not whole:
        lines[-1] = _last(lines[-1], sheet, block)
    data = b"".join(lines)
    rest = bool(data) or end < len(sheet.lines)
    if start == 0 and rest and sheet.data.startswith(_BOM) and not data.startswith(_BOM):
        data = _BOM + data
    return Edit(sheet.starts[start], sheet.starts[end], data)


def _rewritten(lines: Sequence[bytes], script: Script, shift: Shift, usual: bytes) -> list[bytes]:
    """A place after a script: the file's own lines where they stay, the script's with the usual end elsewhere."""
    result: list[bytes] = []
    kept = iter(lines)
    for tag, line in script:
        if tag == "+":
            result.append(shift(body(line)) + usual)
        elif tag == "-":
            next(kept)
        else:
            result.append(next(kept))
    return result


def _last(line: bytes, sheet: Sheet, block: Block) -> bytes:
    """The last line of the file: it has a line end as it had one before, unless the patch changes just that."""
    old, new = (has_end(lines[-1]) for lines in (block.old, [each for tag, each in block.script if tag != "-"]))
    wanted = new if old != new else has_end(sheet.lines[-1])
    return body(line) + ((line_end(line) or sheet.end) if wanted else b"")


def _anything(_lines: Sequence[bytes], _block: Block) -> Shift:
    return Shift()


def _kept_characters(lines: Sequence[bytes], block: Block) -> Shift | None:
    """The rule of `unicode`: what is replaced fits by whitespace alone."""
    same = all(trimmed(lines[number]) == trimmed(block.old[number]) for number in block.replaced)
    return Shift() if same else None


def _one_shift(lines: Sequence[bytes], block: Block) -> Shift | None:
    """The rule of `indent`: one prefix for all lines, of blanks or of tabs, and no line in which the two are mixed."""
    pairs = [(margin(a), margin(b)) for a, b in zip(lines, block.old, strict=True) if b.strip()]
    if not pairs:
        return None
    theirs, ours = pairs[0]
    shift = Shift(theirs[: len(theirs) - len(ours)], remove=False)
    if len(ours) > len(theirs):
        shift = Shift(ours[: len(ours) - len(theirs)], remove=True)
    moved = all(theirs == (shift.prefix + ours if not shift.remove else ours.removeprefix(shift.prefix))
                and (not shift.remove or ours.startswith(shift.prefix)) for theirs, ours in pairs)  # fmt: skip
    margins = [margin(line) for line in block.new if line.strip()]
    known = {*b"".join([shift.prefix, *margins, *(each for pair in pairs for each in pair)])}
    loses = not shift.remove or all(each.startswith(shift.prefix) for each in margins)
    return shift if moved and shift.prefix and len(known) == 1 and loses else None


def _without_mark(lines: Sequence[bytes]) -> Iterator[bytes]:
    for number, line in enumerate(lines):
        yield line.removeprefix(_BOM) if number == 0 else line


def _joined(keys: Sequence[bytes]) -> tuple[bytes, array[int]]:
    """The keys in one text, each behind a line end, and where each of these line ends is, and the one behind all."""
    return b"\n" + b"\n".join(keys) + b"\n" * bool(keys), array(
        "Q", accumulate((len(key) + 1 for key in keys), initial=0)
    )


LEVELS: Mapping[str, Level] = {
    level.name: level
    for level in (
        Level(name="whitespace", key=trimmed, fits=_anything),
        Level(name="unicode", key=plain, fits=_kept_characters),
        Level(name="indent", key=lambda line: trimmed(line).lstrip(BLANKS), fits=_one_shift),
    )
}
