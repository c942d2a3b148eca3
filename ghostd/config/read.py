"""From files to a draft of the settings: every section read by the schema, all problems noted, nothing compared yet."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ghostd.config import kinds
from ghostd.config.problems import Origins, Place, Problem, nearest
from ghostd.config.schema import SECTIONS, Section
from ghostd.config.toml_lines import locate

MAX_FILE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What could be read: keyword arguments by section and name. `names` also has those whose table is wrong."""

    found: list[Problem] = field(default_factory=list)
    origins: Origins = field(default_factory=Origins)
    plain: dict[tuple[str, ...], dict[str, Any]] = field(default_factory=dict)
    named: dict[tuple[str, ...], dict[str, dict[str, Any]]] = field(default_factory=dict)
    names: dict[tuple[str, ...], list[str]] = field(default_factory=dict)


def read_files(main: Path, services: list[Path], base: Path) -> Draft:
    """Read the configuration file and the service files beside it."""
    draft = Draft()
    document = _document(main, base, draft)
    if document is not None:
        draft.origins.places[()] = document[1]
        _sections(*document, draft)
    for file in services:
        beside = _document(file, base, draft)
        if beside is not None:
            _service_file(*beside, draft)
    return draft


def _document(file: Path, base: Path, draft: Draft) -> tuple[dict[str, Any], Place] | None:
    """The parsed file and its place; None after telling why there is none."""
    try:
        text = _text(file)
        return tomllib.loads(text), Place(file=file, lines=locate(text), found=draft.found, base=base)
    except _Unreadable as error:
        problem, line = error.args
    except tomllib.TOMLDecodeError as error:
        problem, line = _syntax(str(error), text)
    except RecursionError:
        problem, line = "is nested too deeply", 1
    draft.found.append(Problem(file=file, line=line, key="", problem=problem))
    return None


class _Unreadable(Exception):  # noqa: N818 - reads as a sentence
    """(problem, line)."""


def _text(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_FILE + 1)
    except OSError as error:
        raise _Unreadable(f"can not be read: {error.strerror}", 1) from None
    if len(data) > MAX_FILE:
        raise _Unreadable("is larger than 1 MiB", 1)
    try:
        return data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise _Unreadable("is not UTF-8", data.count(b"\n", 0, error.start) + 1) from None


def _syntax(message: str, text: str) -> tuple[str, int]:
    at = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    line = int(at[1]) if at and at[1] else max(1, len(text.splitlines()))
    return f"is no TOML: {message[: at.start()] if at else message}", line


def _sections(document: Mapping[str, Any], place: Place, draft: Draft) -> None:
    """Every section of the main file; tables that belong to none are told."""
    _unknown_tables(document, place, ())
    for section in SECTIONS:
        for table, where in _tables(document, place, section.path):
            if section.named:
                for name, inner in table.items():
                    _named(section, name, inner, where.at(name), draft)
            else:
                draft.origins.places[section.path] = where
                draft.plain[section.path] = kinds.read_table(section.keys, table, where)


def _unknown_tables(table: Mapping[str, Any], place: Place, above: tuple[str, ...]) -> None:
    depth = len(above)
    known = {s.path[depth]: s for s in SECTIONS if s.path[:depth] == above and len(s.path) > depth}
    for name, value in table.items():
        if name not in known:
            where = "section" if isinstance(value, dict) else "key"
            place.at(name).error(f"unknown {where}{nearest(name, known)}")
        elif isinstance(value, dict) and len(known[name].path) > depth + 1:
            _unknown_tables(value, place.at(name), (*above, name))


def _tables(document: Mapping[str, Any], place: Place, path: tuple[str, ...]) -> Iterator[tuple[dict[str, Any], Place]]:
    """The table at a path, if there is one; something else in its stead is told (once)."""
    value: Any = document
    for name in path:
        if name not in value:
            return
        value, place = value[name], place.at(name)
        if not isinstance(value, dict):
            if not any(problem.key == ".".join(map(str, place.path)) for problem in place.found):
                place.error(f"expected a section, got {kinds.show(value)}")
            return
    yield value, place


def _named(section: Section, name: str, table: Any, place: Place, draft: Draft) -> None:
    if not isinstance(table, dict):
        place.error(f"expected a section [{'.'.join(section.path)}.NAME], got {kinds.show(table)}")
        return
    names = draft.names.setdefault(section.path, [])
    if name in names:
        first = draft.origins.of(*section.path, name)
        place.error(f"is written a second time; the first is in {first.file}:{first.lines.of(first.path)}")
        return
    names.append(name)
    draft.origins.places[*section.path, name] = place
    kinds.read(kinds.NAME, name, place)
    found = kinds.read_table(section.keys, table, place)
    if all((key.field or key.name) in found for key in section.keys if key.required):
        draft.named.setdefault(section.path, {})[name] = found


def _service_file(document: Mapping[str, Any], place: Place, draft: Draft) -> None:
    """`conf/services/web.toml`: `[service.NAME]` tables, or one service's keys at the top, named like the file."""
    section = next(section for section in SECTIONS if section.path == ("service",))
    if not isinstance(document.get("service"), dict):
        _named(section, place.file.stem, document, place, draft)
        return
    for name in document:
        if name != "service":
            place.at(name).error("only [service.NAME] sections may stand in this file")
    for name, table in document["service"].items():
        _named(section, name, table, place.at("service", name), draft)
