"""A JSON text as a tree that opens only where somebody looks, and renders to the same text where nobody wrote.

White space is kept as it stands in front of each member, behind its colon and before its comma. What is written anew
follows its neighbours: their line ends, their indent, their blanks behind colon and comma.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from json.decoder import scanstring  # type: ignore[attr-defined]  # public, but not in the stubs
from typing import Any

import rfc8785

_BLANK = re.compile(r"[ \t\n\r]*")
# A bracket, a line end, an indent: how the text indents one level.
_UNIT = re.compile(r"[\[{][ \t]*\r?\n([ \t]+)")
_COLON = re.compile(r'"([ \t]*:[ \t]*)')
#: The look of a text shows in its beginning.
_LOOKED_AT = 65_536
# Finds the end of a value at C speed. Numbers are not read: Python refuses those of more than 4300 digits.
_SKIP = json.JSONDecoder(parse_int=lambda _: 0, parse_float=lambda _: 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a text is laid out; `ascii` where it writes other characters as escapes."""

    newline: str
    unit: str
    colon: str
    ascii: bool

    @property
    def gap(self) -> str:
        """What stands behind a comma within one line."""
        return " " if self.colon.endswith(" ") else ""

    @classmethod
    def of(cls, text: str) -> Style:
        seen = text[:_LOOKED_AT]
        unit, colon = _UNIT.search(seen), _COLON.search(seen)
        return cls(
            newline="\r\n" if "\r\n" in seen else "\n",
            unit=unit[1] if unit else "  ",
            colon=colon[1] if colon else ": ",
            ascii=text.isascii() and "\\u" in text,
        )

    def text(self, value: str) -> str:
        return json.dumps(value, ensure_ascii=self.ascii)

    def written(self, value: Any, indent: str | None) -> str:
        """A value as text: in one line where `indent` is None, else in lines whose last has this indent.

        Numbers and the order of keys are those of RFC 8785, as in the canonical bytes of a patch: what is written
        must not depend on which of a patch's texts was read.
        """
        match value:
            case str():
                return self.text(value)
            case dict() if value:
                keys = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
                return self._block("{}", [(self.text(key) + self.colon, value[key]) for key in keys], indent)
            case list() if value:
                return self._block("[]", [("", each) for each in value], indent)
            case _:
                return rfc8785.dumps(value).decode()

    def _block(self, brackets: str, items: list[tuple[str, Any]], indent: str | None) -> str:
        inner = None if indent is None else indent + self.unit
        before = "" if inner is None else self.newline + inner
        after = "" if indent is None else self.newline + indent
        comma = "," + (self.gap if inner is None else before)
        return (
            brackets[0]
            + before
            + comma.join(head + self.written(each, inner) for head, each in items)
            + after
            + brackets[1]
        )


@dataclass(slots=True)
class Member:
    """One member of a mapping, or element of a list (`key` and `colon` empty), with the blanks around it."""

    lead: str
    value: Value
    key: str = ""
    colon: str = ""
    #: Between the value and its comma; what follows the last value is the inside's `tail`.
    trail: str = ""

    @property
    def indent(self) -> str | None:
        """Its indent where it begins a line."""
        return self.lead.rpartition("\n")[2] if "\n" in self.lead else None

    def pieces(self) -> Iterator[str]:
        yield from (self.lead, self.key, self.colon)
        yield from self.value.pieces()
        yield self.trail


@dataclass(slots=True)
class Inside:
    """An opened mapping (members by name) or list (members by number, as text)."""

    brackets: str
    names: dict[str, Member] = field(default_factory=dict)
    elements: list[Member] = field(default_factory=list)
    tail: str = ""
    #: Lead and tail around a member that was the only one and went.
    emptied: tuple[str, str] | None = None

    @property
    def is_list(self) -> bool:
        return self.brackets == "[]"

    def members(self) -> list[Member]:
        return self.elements if self.is_list else list(self.names.values())

    def get(self, part: str) -> Member | None:
        if not self.is_list:
            return self.names.get(part)
        index = list_index(part)
        return self.elements[index] if index is not None and index < len(self.elements) else None

    def pieces(self) -> Iterator[str]:
        comma = self.brackets[0]
        for member in self.members():
            yield comma
            yield from member.pieces()
            comma = ","
        yield from ("" if comma == "," else comma, self.tail, self.brackets[1])


class Value:
    """A value as its text, or opened."""

    __slots__ = ("_inside", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._inside: Inside | None = None

    @property
    def inside(self) -> Inside | None:
        """Its members; None for what has none."""
        if self._inside is None and self._text[0] in "{[":
            self._inside, self._text = _opened(self._text), self._text[0]
        return self._inside

    def pieces(self) -> Iterator[str]:
        if self._inside is None:
            yield self._text
        else:
            yield from self._inside.pieces()

    def text(self) -> str:
        return "".join(self.pieces())


def list_index(part: str) -> int | None:
    """The number of a list's element that a pointer's part names; None for what is no number (RFC 6901, section 4)."""
    plain = part.isascii() and part.isdigit() and (part == "0" or part[0] != "0")
    return int(part) if plain and len(part) < 10 else None  # noqa: PLR2004 - more digits than a file has elements


def shifted(text: str, old: str, new: str) -> str:
    """The text of a value whose lines move from one indent to another. Every line end in it is layout, never data."""
    if old == new or "\n" not in text:
        return text
    first, *rest = text.split("\n")
    return "\n".join([first, *(new + line.removeprefix(old) if line.startswith(old) else line for line in rest)])


def _blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    assert found is not None
    return found.end()


def _opened(text: str) -> Inside:
    """One level of a sound JSON text; what lies deeper stays text."""
    inside = Inside("{}" if text[0] == "{" else "[]")
    at, begin = 0, _blank(text, 1)
    if text[begin] == inside.brackets[1]:
        inside.tail = text[1:begin]
        return inside
    while True:
        begin = _blank(text, at + 1)
        member, name, at = _member(text, at + 1, begin, inside)
        if inside.is_list:
            inside.elements.append(member)
        else:
            inside.names[name] = member
        if text[at] != ",":
            inside.tail, member.trail = member.trail, ""
            return inside


def _member(text: str, at: int, begin: int, inside: Inside) -> tuple[Member, str, int]:
    """The member whose blanks begin at `at`, its name, and where its comma or the closing bracket stands."""
    name, key_end, start = "", begin, begin
    if not inside.is_list:
        name, key_end = scanstring(text, begin + 1, True)
        start = _blank(text, _blank(text, key_end) + 1)
    end = _SKIP.scan_once(text, start)[1]  # type: ignore[attr-defined]  # what raw_decode calls, without its exception
    after = _blank(text, end)
    member = Member(
        lead=text[at:begin],
        key=text[begin:key_end],
        colon=text[key_end:start],
        value=Value(text[start:end]),
        trail=text[end:after],
    )
    return member, name, after
