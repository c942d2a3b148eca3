"""The guide to rollbacks, from its first command to its last: each does what the words beside it say."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from acceptance_tools import git, patch_text, replace_op, write_op

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "guide" / "rollback.md").read_text("utf-8")


def shown() -> list[str]:
    """Every command of the guide, in order, without the words beside it."""
    blocks = re.findall(r"^```sh\n(.*?)^```", GUIDE, flags=re.MULTILINE | re.DOTALL)
    return [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]


@dataclass
class Story:
    """A workspace in which the guide is played."""

    ghost: Callable[..., Any]
    repo: Path

    def apply(self, *texts: str) -> None:
        assert self.ghost("apply", "-", stdin=f"[{','.join(texts)}]").status == 0

    def run(self, line: str) -> Any:
        command, *arguments = shlex.split(line)
        assert command == "ghost"
        return self.ghost(*arguments, "--json").json

    def file(self, path: str) -> str | None:
        names = git(self.repo, "ls-tree", "-r", "--name-only", "ghost/work").split()
        return git(self.repo, "show", f"ghost/work:{path}") if path in names else None


@pytest.fixture
def story(ghost, workspace, repo):
    return Story(ghost=ghost, repo=repo)


FIX_1 = patch_text("fix-1", replace_op("app.py", "hello {name}", "hi {name}"))
FIX_2 = patch_text("fix-2", write_op("fix-2", "2\n"))
BUILDS_ON_IT = patch_text("fix-2", replace_op("app.py", "hi {name}", "hi, {name}"))
OF_PHASE = (patch_text("a", write_op("a", "1\n"), phase="P8.13"), patch_text("b", write_op("b", "1\n"), phase="P8.13"))


def one_commit(story: Story, line: str) -> Mapping[str, Any]:
    before = git(story.repo, "rev-parse", "ghost/work")
    told: Mapping[str, Any] = story.run(line)
    assert git(story.repo, "rev-parse", "ghost/work^") == before, line
    return told


def test_take_patches_back(story):
    one, two, phase, along, again = (line for line in shown() if line.startswith("ghost rollback"))
    story.apply(FIX_1, FIX_2, *OF_PHASE)
    assert one_commit(story, one)["id"] == "rollback-1"
    assert one_commit(story, again)["reapplied"] == ["fix-1"]
    assert set(one_commit(story, two)["reverted"]) == {"fix-1", "fix-2"}
    assert set(one_commit(story, phase)["reverted"]) == {"a", "b"}
    assert along.split()[-1] == "--with-dependents"


def test_with_those_that_build_on_it(story):
    (along,) = (line for line in shown() if "--with-dependents" in line)
    story.apply(FIX_1, BUILDS_ON_IT)
    assert one_commit(story, along)["reverted"] == ["fix-2", "fix-1"]
    assert git(story.repo, "diff", "main", "ghost/work") == ""


def test_the_look_at_what_is_blocked_is_as_shown(story):
    (block,) = re.findall(r"^```text\n\$ (.*?)^```", GUIDE, flags=re.MULTILINE | re.DOTALL)
    line, _, printed = block.partition("\n")
    story.apply(FIX_1, BUILDS_ON_IT)
    ran = story.ghost(*shlex.split(line)[1:])
    assert [words.split() for words in ran.stdout.splitlines()] == [words.split() for words in printed.splitlines()]
    blocked = story.ghost(*shlex.split(line)[1:-1])
    assert blocked.status == 1


def test_a_person_s_commit_is_named(story):
    story.apply(FIX_1)
    git(story.repo, "switch", "-q", "ghost/work")
    (story.repo / "app.py").write_text("mine\n")
    git(story.repo, "commit", "-qam", "by hand")
    told = story.run("ghost rollback fix-1 --with-dependents")
    by_hand = git(story.repo, "rev-parse", "ghost/work")
    assert (told["status"], told["dependents"], told["by_hand"]) == ("blocked", [], [by_hand])
    assert story.run("ghost rollback fix-1 --dry-run")["by_hand"] == [by_hand]


def test_phases(story):
    told_of = re.compile("phases|freeze|thaw|restore")
    listed, frozen, thawed, once_more, restored = filter(told_of.search, shown())
    story.apply(*OF_PHASE)
    assert story.run(listed)["phases"][0]["state"] == "open"
    assert story.run(frozen)["tag"] == "phase/P8.13"
    tip = git(story.repo, "rev-parse", "ghost/work^{tree}")
    refused = story.ghost("apply", "-", "--json", stdin=patch_text("c", write_op("c", "1\n"), phase="P8.13"))
    assert refused.result["error"]["kind"] == "frozen"
    assert story.run(thawed)["tag"] == "phase/P8.13"
    story.apply(patch_text("d", write_op("d", "1\n"), phase="P8.13"))
    assert story.run(once_more)["tag"] == "phase/P8.13.2"
    tagged = git(story.repo, "rev-parse", "phase/P8.13.2^{tree}")
    assert tagged != tip
    story.apply(patch_text("e", write_op("e", "1\n")))
    assert one_commit(story, restored)["id"] == "restore-1"
    assert git(story.repo, "rev-parse", "ghost/work^{tree}") == tagged
    assert story.file("e") is None
    assert one_commit(story, "ghost rollback restore-1")["reapplied"] == ["e"]


def test_see_a_change(story):
    whole, stat, elsewhere = (line for line in shown() if line.startswith("ghost diff"))
    story.apply(FIX_1)
    assert story.run(whole)["diff"].startswith("diff --git a/app.py b/app.py")
    assert story.ghost(*shlex.split(stat)[1:]).stdout.splitlines()[-1] == "1 file, +1 -1"
    before, pipe, after = elsewhere.partition(" | ")
    assert pipe
    diff = story.ghost(*shlex.split(before)[1:]).stdout
    subprocess.run(shlex.split(after), cwd=story.repo, input=diff.encode(), check=True)
    assert "hi {name}" in (story.repo / "app.py").read_text()


def test_every_command_of_the_guide_is_played_here():
    """One that is added to the guide has to be added to its test."""
    assert [line.split()[1] for line in shown()] == [
        *("rollback",) * 5, "phases", "freeze", "thaw", "freeze", "restore", *("diff",) * 3
    ]  # fmt: skip
