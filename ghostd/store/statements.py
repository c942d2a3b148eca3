"""SQL as prose: statements by name, read from a `.sql` file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

_HEADING = re.compile(r"^-- name: (\w+)\n-- (.+)\n", re.MULTILINE)


def load(text: str) -> Mapping[str, str]:
    """The statements of a file in which each begins with `-- name: …` and a line that says what it means."""
    parts = _HEADING.split(text)[1:]
    return {name: sql.split(";\n", 1)[0].strip() for name, sql in zip(parts[::3], parts[2::3], strict=True)}


#: Every statement there is.
STATEMENTS = load(Path(__file__).with_name("queries.sql").read_text(encoding="utf-8"))
