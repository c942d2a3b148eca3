"""How results and errors are shown: stdout is data, stderr is talk, JSON where it was asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ghostd.base.log import one_line


def emit(document: Mapping[str, Any]) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """A line of the result, for people, on stdout. The caller has made a stranger's text printable."""
    sys.stdout.write(text + "\n")


def talk(text: str) -> None:
    """A line about what happens, on stderr."""
    sys.stdout.flush()
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def wants_json() -> bool:
    """Whether this command line asks for JSON; also known when the line itself is wrong."""
    return "--json" in sys.argv[1:]


def failure(error: Mapping[str, Any], line: str) -> None:
    """An error that kept the command from beginning: its JSON form on stdout where asked for, one line on stderr."""
    if wants_json():
        emit({"error": error})
    talk(one_line(line, 2000))


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Aligned columns on stdout, safe for a terminal and plain in a pipe."""
    cells = [[one_line(str(cell), 120) for cell in row] for row in rows]
    widths = [max(len(heading), *(len(row[i]) for row in cells), 0) for i, heading in enumerate(headings)]
    for row in [list(headings), *cells]:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
