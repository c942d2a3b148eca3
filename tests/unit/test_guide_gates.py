"""What the guide on gates shows is valid, and its table of ready-made gates is the real one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ghostd.config.load import check
from ghostd.config.presets import PRESETS

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "guide" / "gates.md").read_text("utf-8")
SHOWN = re.findall(r"```toml\n(.+?)```", GUIDE, re.DOTALL)


@pytest.mark.parametrize("text", SHOWN)
def test_a_configuration_that_is_shown_is_valid(text, tmp_path):
    file = tmp_path / "conf" / "ghost.toml"
    file.parent.mkdir()
    file.write_text(text if "[lane." in text else f"[lane.MAIN]\n{text}")
    assert [str(problem) for problem in check(file)] == []


def test_every_preset_is_told_with_its_command():
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| `([^`]+)`", GUIDE, re.MULTILINE))
    assert rows == {name: " ".join(preset["run"]) for name, preset in PRESETS.items()}
    assert len(SHOWN) >= 2
