"""From a file's bytes to its documents: which text it is, JSON or YAML, one or several, and where each key stands."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from ghostd.patches import strict_json, strict_yaml
from ghostd.patches.refusal import KeyPath, Malformed

MAX_BYTES = 1 << 20

# A text whose first key is in double quotes is meant as JSON, whatever else is wrong with it. To read it as YAML then
# would be a guess, and a bad one: YAML folds a raw line end inside a text into a blank.
_MEANT_AS_JSON = re.compile(r'\s*(?:\{|\[\s*[{\]"])')
_FLOW_YAML = re.compile(r"\s*(?:\[\s*)?\{\s*[^\s\"}]")

Lines = Callable[[Sequence[str | int]], int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One mapping of a file. `lines` tells on which line of the file a key path stands, or the nearest key above it."""

    value: dict[str, Any]
    lines: Lines
    source: bytes
    #: Whether it is YAML; else it is JSON.
    yaml: bool = False


def documents(data: bytes, *, max_bytes: int = MAX_BYTES) -> tuple[Document, ...]:
    """All documents of a file, at least one. Raises Malformed."""
    text = decoded(data, max_bytes)
    found = tuple(_json(text, data) if _is_json(text) else _yaml(text, data))
    if not found:
        raise Malformed("there is nothing in it")
    return found


def decoded(data: bytes, max_bytes: int) -> str:
    """The text of a file, without a BOM at its start."""
    if len(data) > max_bytes:
        raise Malformed(f"{len(data)} bytes, and {max_bytes} are allowed")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Malformed(f"byte {error.start} is not UTF-8", line=line) from None
    if text.startswith("\ufeff\ufeff"):
        raise Malformed("more than one byte order mark", line=1)
    return text.removeprefix("\ufeff")


def _is_json(text: str) -> bool:
    return bool(_MEANT_AS_JSON.match(text)) and not _FLOW_YAML.match(text)


def _json(text: str, data: bytes) -> Iterator[Document]:
    value = strict_json.loads(text)

    @cache
    def offsets() -> dict[KeyPath, tuple[int, int]]:
        return strict_json.positions(text)

    def line(path: KeyPath) -> int | None:
        return strict_json.line_at(text, offsets()[path][0]) if path in offsets() else None

    top = strict_json.line_at(text, len(text) - len(text.lstrip()))
    if not isinstance(value, list):
        yield Document(value=_mapping(value, top), lines=_nearest(line, (), top), source=data)
        return
    for index, element in enumerate(value):
        start, end = offsets()[index,]
        first = strict_json.line_at(text, start)
        source = data if len(value) == 1 else text[start:end].encode()
        yield Document(value=_mapping(element, first), lines=_nearest(line, (index,), first), source=source)


def _yaml(text: str, data: bytes) -> Iterator[Document]:
    loaded = [one for one in strict_yaml.loads(text) if one.value is not None]

    @cache
    def located() -> dict[int, dict[KeyPath, int]]:
        return {one.start: one.lines for one in strict_yaml.loads(text, locate=True)}

    ends = [*(one.start for one in loaded[1:]), len(text)]
    for one, end in zip(loaded, ends, strict=False):
        problem = strict_json.flaw(one.value)
        if problem:
            raise Malformed(problem, line=one.line, form="yaml")
        source = data if len(loaded) == 1 else text[one.start : end].encode()
        start = one.start

        def line(path: KeyPath, start: int = start) -> int | None:
            return located()[start].get(path)

        yield Document(
            value=_mapping(one.value, one.line), lines=_nearest(line, (), one.line), source=source, yaml=True
        )


def _mapping(value: Any, line: int) -> dict[str, Any]:
    if not isinstance(value, dict):
        kind = "a list" if isinstance(value, list) else "a text" if isinstance(value, str) else json.dumps(value)
        raise Malformed(f"a patch is a mapping, and this is {kind}", line=line)
    return value


def _nearest(line: Callable[[KeyPath], int | None], prefix: KeyPath, top: int) -> Lines:
    """A look-up that climbs from a path that is not there to the nearest key that is, or to the document itself."""

    def look_up(path: Sequence[str | int]) -> int | None:
        for length in range(len(path), 0, -1):
            found = line((*prefix, *path[:length]))
            if found is not None:
                return found
        return top

    return look_up
