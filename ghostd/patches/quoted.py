"""File names in the headers of diffs: with a time behind a tab, in C quotes, or two of them in one line."""

from __future__ import annotations

import re

_ESCAPE = re.compile(rb'\\([0-7]{3}|[abtnvfr"\\])')
_LETTERS = {
    b"a": b"\a",
    b"b": b"\b",
    b"t": b"\t",
    b"n": b"\n",
    b"v": b"\v",
    b"f": b"\f",
    b"r": b"\r",
    b'"': b'"',
    b"\\": b"\\",
}
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"')


def header_name(text: bytes) -> bytes:
    """The name in a header line, prefix included."""
    text = text.rstrip(b"\r\n")
    quoted = _QUOTED.match(text)
    return unquote(quoted[1]) if quoted else text.partition(b"\t")[0]


def unquote(text: bytes) -> bytes:
    """What Git's C-like quotes hold."""
    return _ESCAPE.sub(lambda m: _LETTERS.get(m[1]) or bytes([int(m[1], 8) & 0xFF]), text)


def two_names(text: bytes) -> tuple[bytes, bytes]:
    """Both names of a `diff --git` line without a/ and b/; empty where the line does not tell the end of the first."""
    text = text.rstrip(b"\r\n")
    for old, new in _splits(text):
        if old.startswith(b"a/") and new.startswith(b"b/") and old[2:] == new[2:]:
            return old[2:], new[2:]
        if old == new:
            return old, new
    return b"", b""


def _splits(text: bytes) -> list[tuple[bytes, bytes]]:
    """Each way to cut a line into two names."""
    quoted = _QUOTED.match(text)
    if quoted:
        return [(unquote(quoted[1]), header_name(text[quoted.end() :].lstrip(b" ")))]
    # A name with such a quote in it would itself stand in quotes, so the first one begins the second name.
    at = text.find(b' "')
    if at >= 0 and (last := _QUOTED.fullmatch(text, at + 1)):
        return [(text[:at].rstrip(b" "), unquote(last[1]))]
    # Equal names can only meet in the middle; both carry a prefix of the same length or none.
    middle = len(text) // 2
    return [(text[:middle], text[middle + 1 :])] if text[middle : middle + 1] == b" " else []
