"""A small YAML writer: block style, literal blocks for texts of several lines, nothing that reads back otherwise."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ghostd.patches import strict_yaml

# Texts that need no quotes: a first letter that starts nothing special, and no `: ` or ` #` in it.
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./()+@-]*(?: [A-Za-z0-9_./()+@-]+)*")
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,60}")
# What a literal block keeps to the byte: no control but the line end and tab, no foreign line end, no half character.
_LITERAL = re.compile(
    "[\t\n\x20-\x7e\xa0-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]+"
)
# Allowed in JSON as they are, and yet not to be written raw: terminals obey them, or YAML reads them otherwise.
_UNSAFE = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff]")
#: A key longer than this is written in the explicit form; YAML limits the short one.
_LONG_KEY = 100


def dumps(value: Any) -> str:
    """YAML of a value made of mappings, lists and scalars."""
    return "\n".join(_lines(value, "")) + "\n"


def escaped(text: str) -> str:
    """A JSON text with what a terminal or another reader could take amiss written as escapes."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _lines(value: Any, indent: str) -> Iterator[str]:
    """The lines of a value that stands on its own at an indent."""
    if isinstance(value, Mapping) and value:
        for key, each in value.items():
            name = _key(key)
            if len(name) > _LONG_KEY:
                yield f"{indent}? {name}"
            yield from _entry(indent + ("" if len(name) > _LONG_KEY else name) + ":", each, indent)
    elif isinstance(value, list) and value:
        for each in value:
            yield from _item(each, indent)
    else:
        yield indent + _scalar(value)


def _entry(head: str, value: Any, indent: str) -> Iterator[str]:
    """A head (`key:` or `-`) and the value behind or below it."""
    if isinstance(value, (Mapping, list)) and value:
        yield head
        yield from _lines(value, indent + "  ")
    elif isinstance(value, str) and _is_literal(value):
        yield f"{head} {_literal_head(value)}"
        body = value.split("\n")
        body = body[:-1] if value.endswith("\n") else body
        yield from (f"{indent}  {line}" if line else "" for line in body)
    else:
        yield f"{head} {_scalar(value)}"


def _item(value: Any, indent: str) -> Iterator[str]:
    """A list's element; a mapping begins on the line of its dash."""
    if not isinstance(value, (Mapping, list)) or not value:
        yield from _entry(f"{indent}-", value, indent)
        return
    first, *rest = _lines(value, indent + "  ")
    yield f"{indent}- {first.removeprefix(indent + '  ')}"
    yield from rest


def _key(key: str) -> str:
    if _PLAIN_KEY.fullmatch(key) and isinstance(strict_yaml.scalar(key), str):
        return key
    return _quoted(key)


def _scalar(value: Any) -> str:
    match value:
        case str() if _PLAIN.fullmatch(value) and isinstance(strict_yaml.scalar(value), str):
            return value
        case str():
            return _quoted(value)
        case _:
            return json.dumps(value)


def _quoted(text: str) -> str:
    return escaped(json.dumps(text, ensure_ascii=False))


def _is_literal(text: str) -> bool:
    """True for a text of several lines that a literal block holds as it is."""
    return "\n" in text.rstrip("\n") and _LITERAL.fullmatch(text) is not None and text.strip("\n \t") != ""


def _literal_head(text: str) -> str:
    """The indicator: what happens to the last line ends, and the indent where the first line begins with a blank."""
    chomp = "+" if text.endswith("\n\n") else "" if text.endswith("\n") else "-"
    indent = "2" if text[0].isspace() else ""
    return f"|{indent}{chomp}"
