"""What holds for every command: exit statuses, one line for what went wrong, JSON where it was asked for."""

from __future__ import annotations

import json

import pytest
from acceptance_tools import patch_text, write_op


@pytest.mark.parametrize(
    "arguments", [(), ("nonsense",), ("apply",), ("apply", "--nope", "x"), ("queue", "hold"), ("freeze",)]
)
def test_wrong_usage_exits_2_and_names_the_help(ghost, arguments):
    ran = ghost(*arguments)
    assert ran.status == 2
    assert ran.stdout == ""
    assert "--help" in ran.stderr
    if arguments:
        assert json.loads(ghost(*arguments, "--json").stdout)["error"]["kind"] == "usage"


@pytest.mark.parametrize("verb", ["log", "status", "verify", "queue"])
def test_a_reading_command_without_a_workspace_is_told_the_next_step(ghost, tmp_path, verb):
    ran = ghost(verb, "--json", cwd=tmp_path)
    assert (ran.status, ran.json["error"]["kind"], ran.json["error"]["hint"]) == (1, "no-workspace", "run ghostd init")
    assert ran.stderr.startswith("ghost: cannot ")


@pytest.mark.parametrize("name", ["missing.json", "docs"])
def test_a_file_that_can_not_be_read_is_named(ghost, workspace, name):
    ran = ghost("apply", name, "--json")
    assert ran.status == 1
    assert name in ran.json["error"]["message"]


def test_lint_and_convert_work_without_a_workspace(ghost, tmp_path):
    good, bad = tmp_path / "good.json", tmp_path / "bad.yaml"
    good.write_text(patch_text("p", write_op("a", "x\n")))
    bad.write_text("id: p\ncontent:\n  mutations:\n    - {op: write, pth: a, contents: x}\n")
    told = ghost("lint", str(good), str(bad), "--json", cwd=tmp_path)
    assert told.status == 1
    first, second = told.json["files"]
    assert (first["ok"], first["format"], first["id"], first["problems"]) == (True, "unified", "p", [])
    assert second["ok"] is False
    assert second["problems"][0]["line"] == 4
    assert "path" in second["problems"][0]["message"]

    converted = ghost("convert", str(good), "--to", "executor", cwd=tmp_path)
    assert converted.status == 0
    (tmp_path / "executor.json").write_text(converted.stdout)
    back = ghost("convert", "executor.json", "--to", "unified", "--yaml", "-o", "back.yaml", cwd=tmp_path)
    assert back.status == 0
    assert ghost("lint", "back.yaml", "--json", cwd=tmp_path).json["files"][0]["id"] == "p"


def test_a_foreign_text_can_not_write_on_the_terminal(ghost, workspace):
    text = json.dumps(
        {
            "id": "p",
            "metadata": {"description": "red \x1b[31m and \u202e back", "author": "a\x1b]0;x\x07"},
            "content": {"mutations": [write_op("a", "x")]},
        }
    )
    assert ghost("apply", "-", stdin=text).status == 0
    for verb in (("log",), ("show", "p"), ("summary", "p"), ("status",), ("queue", "ls", "--all")):
        shown = ghost(*verb).stdout
        assert "\x1b" not in shown
        assert "\u202e" not in shown
