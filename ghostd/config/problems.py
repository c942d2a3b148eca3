"""What can be wrong with a configuration, and where: `file:line: key: problem`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ghostd.base.errors import Cannot
from ghostd.config.toml_lines import KeyPath, Lines

ERROR, WARNING = "error", "warning"
WITHOUT_EFFECT = "known, has no effect in this version"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong (an error) or at least odd (a warning)."""

    file: Path
    line: int
    #: Dotted, as one would write it: `service.web.ready.timeout`; empty where the file as a whole is meant.
    key: str
    problem: str
    level: str = ERROR

    def __str__(self) -> str:
        return ": ".join(part for part in (f"{self.file}:{self.line}", self.key, self.problem) if part)

    def as_json(self) -> dict[str, str | int]:
        return {
            "file": str(self.file),
            "line": self.line,
            "key": self.key,
            "problem": self.problem,
            "level": self.level,
        }


class BadConfig(Cannot):
    """The configuration has errors; `problems` holds every one of them, warnings included."""

    def __init__(self, file: Path, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        errors = [problem for problem in self.problems if problem.level == ERROR]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        super().__init__(
            f"use the configuration: {errors[0]}{more}",
            kind="bad-config",
            hint=f"ghostd check {file} lists every problem",
            problems=[problem.as_json() for problem in self.problems],
        )


class Wrong(Exception):  # noqa: N818 - reads as a sentence
    """A value can not be read; the text says what is expected of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A key in a file, and the list that collects what is wrong there."""

    file: Path
    lines: Lines
    found: list[Problem]
    #: What relative paths are relative to.
    base: Path
    path: KeyPath = ()

    def at(self, *keys: str | int) -> Place:
        """The place of something inside this table or list."""
        return Place(file=self.file, lines=self.lines, found=self.found, base=self.base, path=(*self.path, *keys))

    def error(self, problem: str) -> None:
        self._add(problem, ERROR)

    def warn(self, problem: str) -> None:
        self._add(problem, WARNING)

    def _add(self, problem: str, level: str) -> None:
        line = self.lines.of(self.path)
        self.found.append(Problem(file=self.file, line=line, key=dotted(self.path), problem=problem, level=level))


@dataclass(frozen=True, slots=True, kw_only=True)
class Origins:
    """Where each thing that has a name was written, so that a later check can point there."""

    places: dict[KeyPath, Place] = field(default_factory=dict)

    def of(self, *path: str | int) -> Place:
        """The place of a key of a named thing: `of("lane", "MAIN", "gates", 1)`."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.places:
                return self.places[path[:length]].at(*path[length:])
        raise KeyError(path)


def dotted(path: KeyPath) -> str:
    """A path as one writes it: `lane.MAIN.gates[1]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean X?`, or nothing where no known name is near."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f"; did you mean {by_lower[near[0]]}?" if near else ""
