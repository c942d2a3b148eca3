"""Git's binary patches: lines of base 85 that hold a deflated whole file (`literal`) or steps that make it (`delta`).

The form is that of Git's `diff --binary` (gitformat in `diff.c` and `patch-delta.c`): each line begins with a letter
for its number of bytes, A to Z for 1 to 26 and a to z for 27 to 52, followed by groups of five characters.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

#: What a binary patch may unpack to, and a delta make.
MAX_BINARY = 64 << 20

_HEAD = re.compile(rb"(literal|delta) (\d{1,12})\r?\n?")
_INDEX = re.compile(rb"([0-9a-f]{40}|[0-9a-f]{64})\.\.([0-9a-f]{40}|[0-9a-f]{64})(?: \d+)?")
_LENGTHS = {letter: number for number, letter in enumerate(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", 1)}
_HASHES = {40: hashlib.sha1, 64: hashlib.sha256}


class BadBinaryError(ValueError):
    """A text is no binary patch, or does not fit the bytes; `line` is an index into the lines that were given."""

    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(problem)
        self.line = line


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """The forward half of a binary patch, and the blobs between which it leads, as the index line names them."""

    delta: bool
    data: bytes
    old: str
    new: str

    def applied(self, before: bytes) -> bytes:
        """The bytes after the patch. Raises BadBinaryError where `before` is not what it was made from."""
        if not _is_blob(before, self.old):
            raise BadBinaryError("the file is another than the one that the diff was made from")
        after = _steps(before, self.data) if self.delta else self.data
        if not _is_blob(after, self.new):
            raise BadBinaryError("the bytes in it are not those that its index line names")
        return after


def read(lines: Sequence[bytes], at: int, index: bytes) -> tuple[Binary, int]:
    """The binary patch whose `literal` or `delta` line is at `at`, and where it ends. `index` is the index line's rest.

    Raises BadBinaryError with the number of the line.
    """
    names = _INDEX.fullmatch(index.strip())
    if names is None:
        raise BadBinaryError("a binary diff needs the full index line (`git diff --binary --full-index`)", at)
    delta, data, at = _half(lines, at)
    if at < len(lines) and _HEAD.fullmatch(lines[at]):
        at = _skip(lines, at + 1)  # the way back, for `git apply --reverse`
    return Binary(delta=delta, data=data, old=names[1].decode(), new=names[2].decode()), at


def _half(lines: Sequence[bytes], at: int) -> tuple[bool, bytes, int]:
    head = _HEAD.fullmatch(lines[at]) if at < len(lines) else None
    if head is None:
        raise BadBinaryError("`literal SIZE` or `delta SIZE` is missing here", at)
    size = int(head[2])
    if size > MAX_BINARY:
        raise BadBinaryError(f"more than {MAX_BINARY >> 20} MiB", at)
    end = _skip(lines, at + 1)
    packed = b"".join(_decoded(lines[number], number) for number in range(at + 1, end) if lines[number].strip())
    return head[1] == b"delta", _inflated(packed, size, at), end


def _skip(lines: Sequence[bytes], at: int) -> int:
    """Behind the lines of one half and the empty line that ends it."""
    while at < len(lines) and lines[at].strip():
        at += 1
    return min(at + 1, len(lines))


def _decoded(line: bytes, number: int) -> bytes:
    line = line.rstrip(b"\r\n")
    length = _LENGTHS.get(line[0], 0)
    if not length or len(line) - 1 != (length + 3) // 4 * 5:
        raise BadBinaryError("a line of the wrong length", number)
    try:
        return base64.b85decode(line[1:])[:length]
    except ValueError:
        raise BadBinaryError("a line that is not base 85", number) from None


def _inflated(packed: bytes, size: int, number: int) -> bytes:
    inflate = zlib.decompressobj()
    try:
        data = inflate.decompress(packed, size + 1)
    except zlib.error:
        raise BadBinaryError("its bytes can not be unpacked", number) from None
    if len(data) != size or not inflate.eof:
        raise BadBinaryError(f"its bytes are not the {size} that its head states", number)
    return data


def _is_blob(data: bytes, oid: str) -> bool:
    """True where the bytes have this object id; all zeros is the id of no file."""
    if not oid.strip("0"):
        return data == b""
    return _HASHES[len(oid)](b"blob %d\0" % len(data) + data).hexdigest() == oid


def _steps(before: bytes, delta: bytes) -> bytes:
    """What the steps of a delta make of some bytes."""
    source, at = _size(delta, 0)
    target, at = _size(delta, at)
    if source != len(before) or target > MAX_BINARY:
        raise BadBinaryError("its delta is for a file of another size")
    parts: list[bytes] = []
    room = target
    while at < len(delta):
        code, at = delta[at], at + 1
        if code & 0x80:
            start, count, at = _copied(delta, code, at)
            part = before[start : start + count]
        else:
            count, part = code, delta[at : at + code]
            at += code
        room -= count
        if not count or len(part) != count or room < 0:
            raise BadBinaryError("its delta is broken")
        parts.append(part)
    if room:
        raise BadBinaryError("its delta is broken")
    return b"".join(parts)


def _copied(delta: bytes, code: int, at: int) -> tuple[int, int, int]:
    """Start and number of the bytes that a step copies: seven optional bytes, by the bits of its code."""
    values = [0] * 7
    for bit in range(7):
        if code >> bit & 1:
            if at >= len(delta):
                raise BadBinaryError("its delta is broken")
            values[bit], at = delta[at], at + 1
    start, count = int.from_bytes(bytes(values[:4]), "little"), int.from_bytes(bytes(values[4:]), "little")
    return start, count or 0x10000, at


def _size(delta: bytes, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first, as in the head of a delta."""
    value = shift = 0
    while at < len(delta) and shift < 64:  # noqa: PLR2004 - more bits than any size has
        byte, at = delta[at], at + 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at
    raise BadBinaryError("its delta is broken")
