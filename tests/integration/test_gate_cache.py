"""A pass stands for a run of the same gate with the same tool on the same files, and for no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gate_kit as kit
import pytest
from acceptance_tools import patch_text, write_op


class Play:
    """Patches sent one after another, and how often the gate really ran."""

    def __init__(self, workspace: Path, tmp_path: Path) -> None:
        self.workspace = workspace
        self.ran = tmp_path / "ran"
        self.tool = tmp_path / "bin" / "look"
        self.tool.parent.mkdir()
        self.make_tool("true")
        self.sent = 0

    def make_tool(self, ending: str) -> None:
        self.tool.write_text(f"#!/bin/sh\necho x >> {self.ran}\n{ending}\n")
        self.tool.chmod(0o755)

    def configure(self, **keys: Any) -> None:
        # Without the sandbox, in which the gate could not leave its traces.
        gate = {"run": [str(self.tool)], "cache": True, **keys}
        kit.configure(self.workspace, {"sandbox": "off"}, g=gate)

    def send(self, *mutations: dict[str, Any], **more: Any) -> dict[str, Any]:
        """The gate's row of the next patch's RESULT."""
        self.sent += 1
        execution = {"maxRetries": 0} | more.pop("execution", {})
        with kit.opened(self.workspace) as shop:
            job = kit.send(shop, patch_text(f"p{self.sent}", *mutations, execution=execution, **more))
        (row,) = job.result["gates"]
        return row

    @property
    def runs(self) -> int:
        return len(self.ran.read_text()) // 2 if self.ran.exists() else 0


@pytest.fixture
def play(workspace, tmp_path):
    made = Play(workspace, tmp_path)
    made.configure()
    return made


def there_and_back(play: Play) -> tuple[dict[str, Any], dict[str, Any]]:
    """The gate's rows for a first patch, and for a later one that gives the same files again."""
    first = play.send(write_op("new", "one\n"))
    play.send(write_op("new", "two\n"))
    return first, play.send(write_op("new", "one\n"))


def test_the_same_files_are_not_looked_at_twice(play):
    first, again = there_and_back(play)
    assert "cached" not in first
    assert again == {"name": "g", "status": "passed", "duration_ms": 0, "cached": True}
    assert play.runs == 2
    with kit.opened(play.workspace) as shop:
        (run,) = shop.ledger.gate_runs("p3")
        assert (run.cached, run.verdict) == (True, "passed")
        assert [(one.id, one.uses) for one in shop.ledger.passes()] == [("p1", 1), ("p2", 0)]


def test_a_gate_has_to_ask_for_it(play):
    play.configure(cache=False)
    there_and_back(play)
    assert play.runs == 3


def test_another_tool_is_asked_again(play):
    play.send(write_op("new", "one\n"))
    play.send(write_op("new", "two\n"))
    play.make_tool("true # another version")
    assert "cached" not in play.send(write_op("new", "one\n"))


@pytest.mark.parametrize(
    "change",
    [
        {"limits": {"nofile": 512}},
        {"timeout": "9m"},
        {"network": True},
        {"when": "pre"},
    ],
    ids=str,
)
def test_another_gate_of_the_same_name_is_asked_again(play, change):
    play.send(write_op("new", "one\n"))
    play.send(write_op("new", "two\n"))
    play.configure(**change)
    # With `when = "pre"` it looks at the files before: those of the second patch, which it knows too.
    assert "cached" not in play.send(write_op("new", "one\n"))


def test_another_environment_is_asked_again(play, monkeypatch):
    play.send(write_op("new", "one\n"))
    play.send(write_op("new", "two\n"))
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert "cached" not in play.send(write_op("new", "one\n"))


def test_the_output_of_the_version_command_tells_the_tool(play, tmp_path):
    said = tmp_path / "version"
    said.write_text("1.0\n")
    play.configure(version=["cat", str(said)])
    play.send(write_op("new", "one\n"))
    play.send(write_op("new", "two\n"))
    play.make_tool("true # its own file does not count then")
    assert play.send(write_op("new", "one\n"))["cached"] is True
    said.write_text("1.1\n")
    assert "cached" not in play.send(write_op("new", "two\n"))
    with kit.opened(play.workspace) as shop:
        assert {one.tool for one in shop.ledger.passes()} == {"1.0", "1.1"}


def test_a_tool_whose_version_can_not_be_told_is_always_asked(play):
    play.configure(version=["false"])
    there_and_back(play)
    assert play.runs == 3
    with kit.opened(play.workspace) as shop:
        assert list(shop.ledger.passes()) == []


def test_with_paths_only_those_files_count(play):
    play.configure(paths=["**/*.py"])
    play.send(write_op("app.py", "one\n"), write_op("notes", "one\n"))
    with kit.opened(play.workspace) as shop:
        job = kit.send(shop, patch_text("other", write_op("notes", "two\n")))
        assert kit.gates(job) == [], "no path of it concerns the gate"
    play.send(write_op("app.py", "two\n"))
    assert play.send(write_op("app.py", "one\n"), write_op("notes", "three\n"))["cached"] is True
    assert "cached" not in play.send(write_op("sub/more.py", "x\n")), "one more file that it looks at"


def test_a_tool_out_of_the_tree_counts_as_one_of_its_files(play):
    look = write_op("tools/look", f"#!/bin/sh\necho x >> {play.ran}\n") | {"mode": "0755"}
    play.configure(run=["./tools/look"], paths=["**/*.py"])
    play.send(look, write_op("app.py", "one\n"))
    play.send(write_op("app.py", "two\n"))
    assert play.send(write_op("app.py", "one\n"))["cached"] is True
    other = write_op("tools/look", f"#!/bin/sh\necho y >> {play.ran}\n") | {"mode": "0755"}
    assert "cached" not in play.send(other, write_op("app.py", "two\n"))


def test_a_no_is_never_remembered(play):
    play.make_tool("exit 1")
    for _ in range(2):
        assert play.send(write_op("new", "one\n"))["status"] == "failed"
    assert play.runs == 2


def test_a_flake_is_never_remembered(play, tmp_path):
    sign = tmp_path / "sign"
    play.make_tool(f"test -e {sign} || {{ touch {sign}; exit 1; }}")
    row = play.send(write_op("new", "one\n"), execution={"maxRetries": 1})
    assert (row["status"], row["flake"]) == ("passed", True)
    with kit.opened(play.workspace) as shop:
        assert list(shop.ledger.passes()) == []


def test_what_is_cleared_is_run_again(play):
    there_and_back(play)
    with kit.opened(play.workspace) as shop:
        assert shop.ledger.clear_passes("another") == 0
        assert shop.ledger.clear_passes("g") == 2
    play.send(write_op("new", "two\n"))
    assert play.runs == 3


def test_an_audited_pass_names_the_run_that_it_stands_for(play):
    play.send(write_op("new", "one\n"))
    play.send(write_op("new", "two\n"))
    play.send(write_op("new", "one\n"), validation={"strictRuntimeAudit": True})
    with kit.opened(play.workspace) as shop:
        (run,) = shop.ledger.gate_runs("p3")
    assert run.audit["cached"]["job"] == "p1"
