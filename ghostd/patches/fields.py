"""Typed access to one mapping of a patch: what is wrong is collected with its key path, to be told all at once."""

from __future__ import annotations

import base64
import binascii
import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ghostd.patches.refusal import KeyPath

T = TypeVar("T")

_NAMES: Mapping[type, str] = {
    str: "a text", bool: "true or false", int: "a whole number", float: "a number",
    dict: "a mapping", list: "a list", type(None): "null",
}  # fmt: skip


#: Problems that are told; a text with more of them was never meant as this format, and each costs a look at the text.
MOST_TOLD = 100


@dataclass(frozen=True, slots=True)
class Note:
    path: KeyPath
    message: str


@dataclass(slots=True)
class Findings:
    """What one reading of a patch finds. `origins` leads from paths of the unified form back to the text's own."""

    errors: list[Note] = field(default_factory=list)
    warnings: list[Note] = field(default_factory=list)
    #: Errors and warnings beyond those that are told.
    untold: int = 0
    origins: dict[KeyPath, KeyPath] = field(default_factory=dict)

    def error(self, path: KeyPath, message: str) -> None:
        self._tell(self.errors, path, message)

    def warning(self, path: KeyPath, message: str) -> None:
        self._tell(self.warnings, path, message)

    def _tell(self, notes: list[Note], path: KeyPath, message: str) -> None:
        if len(notes) < MOST_TOLD:
            notes.append(Note(self.origin(path), message))
        else:
            self.untold += 1

    def origin(self, path: KeyPath) -> KeyPath:
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]] + path[length:]
        return path


@dataclass(frozen=True, slots=True)
class Section:
    """One mapping of a patch. Each method reads one key; a wrong type is noted, and the default comes back."""

    value: Mapping[str, Any]
    path: KeyPath
    found: Findings

    def only(self, known: Collection[str], places: Mapping[str, str] | None = None) -> None:
        """Note every key that is not known, with the nearest known name, or the place where it belongs."""
        for key in self.value:
            if key not in known and len(self.found.errors) >= MOST_TOLD:
                self.found.untold += 1
            elif key not in known:
                near = (places or {}).get(key) or next(iter(difflib.get_close_matches(key, known, 1)), None)
                self.found.error((*self.path, key[:100]), "unknown key" + (f"; did you mean `{near}`?" if near else ""))

    def error(self, key: str, message: str) -> None:
        self.found.error((*self.path, key), message)

    def get(self, key: str, kind: type[T], *, required: bool = False) -> T | None:
        """The value of a key if it is of this very type (true is no number)."""
        if key not in self.value:
            if required:
                self.found.error(self.path, f"`{key}` is missing")
            return None
        value = self.value[key]
        if type(value) is kind:
            return value
        self.error(key, f"has to be {_NAMES[kind]}, and is {_NAMES.get(type(value), 'something else')}")
        return None

    def text(self, key: str, *, required: bool = False, empty: bool = True) -> str | None:
        text = self.get(key, str, required=required)
        if text == "" and not empty:
            self.error(key, "must not be empty")
            return None
        return text

    def flag(self, key: str, default: bool) -> bool:  # noqa: FBT001 - reads as `flag("approve", False)`
        value = self.get(key, bool)
        return default if value is None else value

    def number(self, key: str, default: int, least: int, most: int) -> int:
        value = self.get(key, int)
        if value is None:
            return default
        if not least <= value <= most:
            self.error(key, f"has to be between {least} and {most}")
            return default
        return value

    def choice(self, key: str, table: Mapping[str, T], default: T) -> T:
        word = self.get(key, str)
        if word is None:
            return default
        if word not in table:
            self.error(key, f"has to be one of {', '.join(table)}")
            return default
        return table[word]

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts that are not empty."""
        values = self.get(key, list) or []
        for index, value in enumerate(values):
            if not isinstance(value, str) or not value:
                self.found.error((*self.path, key, index), "has to be a text that is not empty")
        return tuple(value for value in values if isinstance(value, str))

    def data(self, key: str, *, required: bool = False, empty: bool = True) -> bytes | None:
        """Bytes: the text under `key`, or the base64 under `key_b64`."""
        coded = f"{key}_b64"
        if coded not in self.value:
            text = self.text(key, required=required, empty=empty)
            return None if text is None else text.encode()
        if key in self.value:
            self.error(coded, f"stands beside `{key}`; give one of them")
        text = self.text(coded, empty=empty)
        try:
            return None if text is None else base64.b64decode(text.encode(), validate=True)
        except binascii.Error:
            self.error(coded, "is not base64")
            return None

    def section(self, key: str) -> Section:
        """The mapping under `key`, or an empty one."""
        return Section(self.get(key, dict) or {}, (*self.path, key), self.found)

    def sections(self, key: str) -> list[Section]:
        """The mappings in the list under `key`."""
        path = (*self.path, key)
        values = self.get(key, list) or []
        for index, value in enumerate(values):
            if not isinstance(value, dict):
                self.found.error((*path, index), "has to be a mapping")
        return [
            Section(value, (*path, index), self.found) for index, value in enumerate(values) if isinstance(value, dict)
        ]
