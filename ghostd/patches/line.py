"""One line of a file in parts: its margin, its text, its line end; and what of it each level of matching looks at."""

from __future__ import annotations

#: Looks alike: quotes, dashes, spaces. The sources of these are editors and chat windows that make text pretty.
_ALIKE = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
        **dict.fromkeys("\u00a0\u202f\u205f\u3000", " "),
        **{chr(code): " " for code in range(0x2000, 0x200B)},
        "\u2026": "...",
    }
)
BLANKS = b" \t"
_ENDS = b"\r\n"


def trimmed(line: bytes) -> bytes:
    """A line without its end and the blanks before it."""
    return line.rstrip(BLANKS + _ENDS)


def plain(line: bytes) -> bytes:
    """A line with everyday punctuation; one that is no UTF-8 as it is."""
    if line.isascii():
        return trimmed(line)
    try:
        return trimmed(line.decode().translate(_ALIKE).encode())
    except UnicodeDecodeError:
        return trimmed(line)


def loosest(line: bytes) -> bytes:
    """What is left of a line when every level is asked at once: for telling what is near, never for applying."""
    return plain(line).strip(BLANKS)


def margin(line: bytes) -> bytes:
    """The blanks and tabs that a line begins with."""
    return line[: len(line) - len(line.lstrip(BLANKS))]


def body(line: bytes) -> bytes:
    """A line without its end."""
    return line[: len(line) - len(line_end(line))]


def line_end(line: bytes) -> bytes:
    """The end of a line: `\\n`, `\\r\\n`, `\\r` or nothing."""
    return line[-2:] if line.endswith(b"\r\n") else line[-1:] if line.endswith((b"\n", b"\r")) else b""


def has_end(line: bytes) -> bool:
    """True where a line is not open at its end."""
    return line.endswith((b"\n", b"\r"))
