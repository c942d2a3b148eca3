"""Proofs as a user meets them: `ghost verify`, with and without a workspace, and the page that tells about it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from acceptance_tools import git, patch_text, replace_op, write_op

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "proofs.md"


@pytest.fixture
def applied(ghost, workspace, repo):
    """Two patches applied and one refused, by commands without a daemon."""
    for id, op in (("a", write_op("a", "1\n")), ("bad", replace_op("a", "9", "8")), ("b", write_op("b", "1\n"))):
        ghost("apply", "-", stdin=patch_text(id, op))
    return repo


def test_a_command_without_a_daemon_leaves_a_whole_log(ghost, applied):
    told = ghost("verify", "--json")
    assert (told.status, told.json["ok"], told.json["patches"]) == (0, True, 2)
    assert told.json["proofs"] == {
        "entries": 3, "refused": 1, "pending": 0, "recomputed": 2, "signed": 0, "checkpoints": 0,
    }  # fmt: skip
    assert ghost("verify").stdout.strip().endswith("all as it should be")


def test_a_daemon_brings_the_log_up_to_date_by_itself(ghost, daemon):
    assert ghost("apply", "-", stdin=patch_text("a", write_op("a", "1\n"))).status == 0
    for _ in range(100):
        if (told := ghost("verify", "--offline", "--json").json)["ok"]:
            break
    assert (told["ok"], told["proofs"]["entries"]) == (True, 1), told


def test_offline_needs_git_alone(ghost, applied, tmp_path):
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--bare", str(applied), str(clone))
    missing = ghost("verify", "--offline", "--repo", str(clone))
    assert missing.status == 1
    assert "the log has no proof of it" in missing.stdout
    git(clone, "fetch", "-q", "origin", "refs/ghost/*:refs/ghost/*")
    shutil.rmtree(applied / ".ghost")
    told = ghost("verify", "--offline", "--repo", str(clone), "--json")
    assert (told.status, told.json["ok"], told.json["patches"]) == (0, True, 2), told.stdout
    assert not (applied / ".ghost").exists()


def test_what_only_offline_has_is_refused_elsewhere(ghost, applied):
    assert ghost("verify", "--branch", "x").status == 2


def test_a_key_that_is_none_is_an_expected_failure(ghost, applied, tmp_path):
    (tmp_path / "no.pub").write_text("no key\n")
    told = ghost("verify", "--offline", "--key", str(tmp_path / "no.pub"))
    assert told.status == 1
    assert told.stderr.startswith("ghost: cannot ")


def test_the_guide_shows_what_the_command_prints(ghost, applied):
    shown = json.loads(re.search(r"```json\n(.*?)```", GUIDE.read_text(), re.DOTALL)[1])
    assert ghost("verify", "--json").json == shown


def test_the_guide_s_way_to_look_at_an_entry_works(applied):
    (line,) = re.findall(r"(git show refs/ghost/proofs.*?)\n```", GUIDE.read_text(), re.DOTALL)
    done = subprocess.run(["sh", "-c", line], cwd=applied, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["predicate"]["job"]["id"] == "a"
