"""On which line each key of a TOML file stands; tomllib itself does not tell.

The text has been parsed by tomllib before, so this scanner trusts it to be valid and only has to find the keys. It
walks over every value with care (strings, arrays, inline tables), because any of them may hold what looks like a key.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

KeyPath = tuple[str | int, ...]

# One blank, newline or comment after the other.
_GAP = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}(?!")'  # up to two quotes may stand right before the closing three
    r"|'''.*?'{3,5}(?!')"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
# A number, a date, true or false: everything up to what may follow a value.
_PLAIN = re.compile(r"[^,\]}#\n]*")


@dataclass(frozen=True, slots=True)
class Lines:
    """Line numbers by path, counted from 1."""

    by_path: Mapping[KeyPath, int] = field(default_factory=dict)

    def of(self, path: KeyPath) -> int:
        """The line of a key; of what encloses it, where the key itself is not written."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.by_path:
                return self.by_path[path[:length]]
        return 1


def locate(text: str) -> Lines:
    """Find every key of a valid TOML document."""
    return Lines(_Scanner(text).scan())


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.line = 1
        self.found: dict[KeyPath, int] = {}
        #: The last index of each array of tables.
        self.arrays: dict[KeyPath, int] = {}

    def scan(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        self._gap()
        while self.position < len(self.text):
            if self._peek() == "[":
                table = self._header()
            else:
                self._pair(table)
            self._gap()
        return self.found

    def _header(self) -> KeyPath:
        """`[a.b]` or `[[a.b]]`: the path that the following keys are under."""
        line = self.line
        array = self.text.startswith("[[", self.position)
        self._step(2 if array else 1)
        keys = self._key()
        self._gap()
        self._step(2 if array else 1)
        path = (*self._resolve(keys[:-1]), keys[-1])
        if array:
            self.arrays[path] = self.arrays.get(path, -1) + 1
        path = self._resolve(keys)
        for length in range(1, len(path)):
            self.found.setdefault(path[:length], line)
        self.found[path] = line
        return path

    def _resolve(self, keys: KeyPath) -> KeyPath:
        """A header's names, with the current index after each that is an array of tables."""
        path: KeyPath = ()
        for key in keys:
            path += (key,)
            if path in self.arrays:
                path += (self.arrays[path],)
        return path

    def _pair(self, table: KeyPath) -> None:
        """`a.b = value`: note the line for a.b, and for a where it is new."""
        line = self.line
        path = table
        for key in self._key():
            path += (key,)
            self.found.setdefault(path, line)
        self._gap()
        self._step(1)
        self._value(path)

    def _key(self) -> KeyPath:
        """A dotted key; each part bare or quoted."""
        parts: list[str] = []
        while True:
            self._gap()
            if self._peek() in "\"'":
                quoted = self._take(_STRING)
                parts.append(tomllib.loads(f"x = {quoted}")["x"])
            else:
                parts.append(self._take(_BARE_KEY))
            self._gap()
            if self._peek() != ".":
                return tuple(parts)
            self._step(1)

    def _value(self, path: KeyPath) -> None:
        self._gap()
        match self._peek():
            case '"' | "'":
                self._take(_STRING)
            case "[":
                self._sequence("]", lambda index: self._item((*path, index)))
            case "{":
                self._sequence("}", lambda _: self._pair(path))
            case _:
                self._take(_PLAIN)

    def _item(self, path: KeyPath) -> None:
        self.found[path] = self.line
        self._value(path)

    def _sequence(self, end: str, one: Callable[[int], None]) -> None:
        """What stands between brackets, with commas between."""
        self._step(1)
        index = 0
        self._gap()
        while self._peek() != end:
            one(index)
            index += 1
            self._gap()
            if self._peek() == ",":
                self._step(1)
                self._gap()
        self._step(1)

    def _peek(self) -> str:
        return self.text[self.position : self.position + 1]

    def _step(self, count: int) -> None:
        self.line += self.text.count("\n", self.position, self.position + count)
        self.position += count

    def _gap(self) -> None:
        self._take(_GAP)

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.position)
        if match is None:
            # The text is not what tomllib has read; a loop that does not move would never end.
            raise ValueError(f"no TOML at line {self.line}")
        self._step(match.end() - match.start())
        return match[0]
