"""What we ship as configuration is right, and says everything."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from ghostd.config.load import check, load
from ghostd.config.reference import page
from ghostd.config.schema import SECTIONS

HOUSE = Path(__file__).resolve().parents[2]
DEFAULT = HOUSE / "conf" / "ghost.toml"
SHIPPED = [DEFAULT, *sorted((HOUSE / "conf" / "examples").glob("*.toml"))]
# "# key = value" and "# [section]" are settings; any other comment is prose.
COMMENTED = re.compile(r"^# (?=[a-z_]+ = |\[[\w.]+\]$)", re.MULTILINE)


def installed(text: str, where: Path) -> Path:
    """A workspace with this configuration."""
    conf = where / ".ghost" / "conf"
    conf.mkdir(parents=True)
    (conf / "ghost.toml").write_text(text)
    return conf.parent


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_a_shipped_file_has_no_problem(file, tmp_path):
    assert check(file) == ()
    loaded = load(installed(file.read_text(), tmp_path))
    assert loaded.warnings == ()
    assert loaded.settings.default_lane.name == "MAIN"


def test_there_are_examples():
    assert {file.stem for file in SHIPPED[1:]} >= {"node", "production", "python", "web-service"}


def test_the_default_shows_both_lanes():
    loaded = tomllib.loads(DEFAULT.read_text())
    assert loaded["lane"]["MAIN"]["aliases"] == ["BRAUN"]
    assert loaded["lane"]["CYOPS"]["aliases"] == ["DEV"]


def test_every_commented_key_of_the_default_may_be_uncommented(tmp_path):
    """All at once: what the comments promise is valid together."""
    text, count = COMMENTED.subn("", DEFAULT.read_text())
    workspace = installed(text, tmp_path)
    assert count > 50
    assert [str(problem) for problem in check(workspace / "conf" / "ghost.toml") if problem.level == "error"] == []


def _written(document, above=()):
    for key, value in document.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from _written(value, (*above, key))


def test_every_key_that_works_is_shown_in_the_default():
    """A key that one can not find is a key that nobody uses."""
    document = tomllib.loads(COMMENTED.sub("", DEFAULT.read_text()))
    shown = set(_written(document))
    missing = []
    for section in SECTIONS:
        at = [path for path in shown if path[: len(section.path)] == section.path]
        here = {path[len(section.path) + section.named] for path in at if len(path) > len(section.path) + section.named}
        missing += [f"{section.title} {key.name}" for key in section.keys if key.effect and key.name not in here]
    # Named in the text only: a file and a user that would have to be there.
    assert [one for one in missing if one not in ("service.X env_file", "service.X user")] == []


def test_the_defaults_in_the_comments_are_the_real_ones(tmp_path):
    """Uncommenting a default changes nothing."""
    text = DEFAULT.read_text()
    kept = re.compile(
        r"^# (?=(match|strict|checkout|cooldown|max_queue|executors|limits|max_body|rate_limit|interval"
        r"|stale_after|disk_free|durability|lock_timeout|max_patch|lease|request_timeout|max_attempts) = )"
    )
    lines, section = [], ""
    for line in text.splitlines():
        section = line.strip("# ") if re.match(r"(# )?\[", line) else section
        lines.append(kept.sub("", line) if section.split(".")[0] not in ("[gate", "[service") else line)
    plain = load(installed(text, tmp_path / "a" / "x")).settings
    filled = load(installed("\n".join(lines), tmp_path / "b" / "x")).settings
    assert "\n".join(lines) != text
    for part in ("own_limits", "security", "monitor", "git", "store"):
        assert getattr(plain, part) == getattr(filled, part), part
    assert plain.alerts.max_attempts == filled.alerts.max_attempts
    assert plain.lanes["MAIN"].max_queue == filled.lanes["MAIN"].max_queue


def test_the_reference_page_is_current():
    """Written by `python -m ghostd.config.reference > docs/reference/config.md`."""
    assert (HOUSE / "docs" / "reference" / "config.md").read_text("utf-8") == page()


def test_the_reference_page_has_every_key():
    text = page()
    for section in SECTIONS:
        assert f"## `[{section.title}]`" in text
        for key in section.keys:
            assert f"| `{key.name}` |" in text
