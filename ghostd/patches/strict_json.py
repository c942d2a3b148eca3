"""JSON without its traps: no duplicate keys, NaN, lone surrogates, deep nests, or numbers that others would round.

The standard library's C parser reads; only where it, or the look at the result, finds something wrong does a slow
scanner walk over the text to say where.
"""

from __future__ import annotations

import json
import re
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined]  # public, but not in the stubs
from typing import Any, NoReturn

from ghostd.patches.refusal import KeyPath, Malformed

MAX_DEPTH = 32
#: Beyond it a double is no exact integer any more, and RFC 8785 has no form for it.
MAX_NUMBER = 2**53 - 1

_BLANK = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?", re.ASCII)
_WORDS = ("true", "false", "null")
_NO_NUMBERS = ("NaN", "Infinity", "-Infinity")


class _FlawError(ValueError):
    pass


def no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A parser's hook that refuses a key that stands twice, by a ValueError."""
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise _FlawError
    return mapping


def no_constant(_word: str) -> NoReturn:
    """A parser's hook that refuses NaN and the infinities, by a ValueError."""
    raise _FlawError


_DECODER = json.JSONDecoder(object_pairs_hook=no_duplicates, parse_constant=no_constant)


def loads(text: str, *, max_depth: int = MAX_DEPTH) -> Any:
    """The value of a JSON text. Raises Malformed with line and key path."""
    try:
        value = _DECODER.decode(text)
        sound = flaw(value, max_depth) is None
    except (ValueError, RecursionError):
        sound = False
    if not sound:
        positions(text, max_depth=max_depth)
        raise Malformed("not readable as JSON", form="json")
    return value


def flaw(value: Any, room: int = MAX_DEPTH) -> str | None:
    """What makes a parsed value unfit to travel as JSON: depth, numbers, surrogates. None where it is fit."""
    if isinstance(value, str):
        return None if value.isascii() or _encodable(value) else "holds half of a surrogate pair"
    if isinstance(value, (int, float)):
        return number_flaw(value)
    if not isinstance(value, (dict, list)):
        return None
    if room == 0:
        return f"nested deeper than {MAX_DEPTH} levels"
    for child in (*value, *value.values()) if isinstance(value, dict) else value:
        found = flaw(child, room - 1)
        if found:
            return found
    return None


def number_flaw(value: float) -> str | None:
    """Why a number can not be kept exactly, None where it can."""
    if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 - NaN differs from itself
        return "is not a finite number"
    return "is a number beyond ±2^53; write it as a text" if abs(value) > MAX_NUMBER else None


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def positions(text: str, *, max_depth: int = MAX_DEPTH, exact: bool = True) -> dict[KeyPath, tuple[int, int]]:
    """Where each key path of a JSON text begins (a mapping's key, a list's element) and its value ends, as offsets.

    Raises Malformed with line and key path at the first thing that is not strict JSON, or, if `exact`, is a number or
    text that would not travel unchanged.
    """
    scanner = _Scanner(text, max_depth, exact=exact)
    end = scanner.blank(scanner.value(scanner.blank(0), (), 0))
    if end < len(text):
        scanner.stop("text after the end of the JSON value", end, ())
    return scanner.found


def line_at(text: str, offset: int) -> int:
    """The 1-based line of an offset."""
    return text.count("\n", 0, offset) + 1


class _Scanner:
    """A recursive walk over a JSON text that knows at every step where it is. Slow, so only used to explain."""

    def __init__(self, text: str, max_depth: int, *, exact: bool) -> None:
        self.text = text
        self.max_depth = max_depth
        self.exact = exact
        self.found: dict[KeyPath, tuple[int, int]] = {}

    def stop(self, problem: str, at: int, path: KeyPath) -> NoReturn:
        raise Malformed(problem, line=line_at(self.text, at), path=path, form="json")

    def blank(self, at: int) -> int:
        end = _BLANK.match(self.text, at)
        return end.end() if end else at

    def value(self, at: int, path: KeyPath, depth: int) -> int:
        if self.text.startswith(("{", "["), at) and depth == self.max_depth:
            self.stop(f"nested deeper than {self.max_depth} levels", at, path)
        match self.text[at : at + 1]:
            case "{":
                return self.mapping(at + 1, path, depth + 1)
            case "[":
                return self.list(at + 1, path, depth + 1)
            case '"':
                return self.string(at, path)[1]
            case _:
                return self.word(at, path)

    def string(self, at: int, path: KeyPath) -> tuple[str, int]:
        try:
            text, end = scanstring(self.text, at + 1, True)
        except JSONDecodeError as error:
            hint = "; a line end inside a text is written \\n" if "control" in error.msg else ""
            self.stop(error.msg.removesuffix(" at") + hint, error.pos, path)
        problem = flaw(text) if self.exact else None
        if problem:
            self.stop(problem, at, path)
        return text, end

    def word(self, at: int, path: KeyPath) -> int:
        for word in _NO_NUMBERS:
            if self.text.startswith(word, at):
                self.stop(f"{word} is not JSON", at, path)
        for word in _WORDS:
            if self.text.startswith(word, at):
                return at + len(word)
        number = _NUMBER.match(self.text, at)
        if number is None:
            self.stop("a value is missing here" if at < len(self.text) else "the text ends too early", at, path)
        # Python refuses to read integers of more than 4300 digits; a float tells as well that it is too big.
        problem = number_flaw(float(number[0])) if self.exact else None
        if problem:
            self.stop(problem, at, path)
        return number.end()

    def mapping(self, at: int, path: KeyPath, depth: int) -> int:
        at = self.blank(at)
        if self.text.startswith("}", at):
            return at + 1
        while True:
            if not self.text.startswith('"', at):
                self.stop("a key in double quotes is missing here", at, path)
            key, end = self.string(at, path)
            if (*path, key) in self.found:
                self.stop("this key stands twice", at, (*path, key))
            self.found[*path, key] = (at, end)
            end = self.blank(end)
            if not self.text.startswith(":", end):
                self.stop("a colon is missing here", end, (*path, key))
            end = self.value(self.blank(end + 1), (*path, key), depth)
            self.found[*path, key] = (at, end)
            at, last = self.next(end, "}", path)
            if last:
                return at

    def list(self, at: int, path: KeyPath, depth: int) -> int:
        at = self.blank(at)
        if self.text.startswith("]", at):
            return at + 1
        index = 0
        while True:
            end = self.value(at, (*path, index), depth)
            self.found[*path, index] = (at, end)
            at, last = self.next(end, "]", path)
            if last:
                return at
            index += 1

    def next(self, end: int, closing: str, path: KeyPath) -> tuple[int, bool]:
        """Past the comma or the closing bracket after an item."""
        end = self.blank(end)
        if self.text.startswith(closing, end):
            return end + 1, True
        if not self.text.startswith(",", end):
            self.stop(f"a comma or {closing} is missing here", end, path)
        return self.blank(end + 1), False
