"""The generated pages say what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from ghostd.cli.reference import PAGES
from ghostd.model.event import TYPES

HOUSE = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_current(name: str) -> None:
    written = (HOUSE / "docs" / "reference" / name).read_text()
    assert written == PAGES[name](), "run .venv/bin/python -m ghostd.cli.reference"


def test_every_command_has_an_example() -> None:
    page = PAGES["commands.md"]()
    without = [part.split("`")[0] for part in page.split("## `")[1:] if "Example:" not in part]
    assert without == []


def test_every_event_that_the_code_writes_is_in_the_table() -> None:
    import re

    code = "\n".join(path.read_text() for path in (HOUSE / "ghostd").rglob("*.py"))
    written = set(re.findall(r'"(ghost\.(?:patch|phase|service|alert|system)\.[a-z]+)"', code))
    assert written <= set(TYPES)
