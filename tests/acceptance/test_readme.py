"""What README shows is what happens."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from acceptance_tools import git

HOUSE = Path(__file__).resolve().parents[2]
README = (HOUSE / "README.md").read_text()


def fenced(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def shape(text: str) -> list[str]:
    """Lines without what differs from run to run: ids of commits, seconds, widths, and the order of the doors."""
    text = re.sub(r"\b[0-9a-f]{7,10}\b", "<commit>", text)
    text = re.sub(r"\d+\.\d+ s", "<n> s", text)
    return sorted(" ".join(line.split()) for line in text.splitlines() if line.strip())


def test_the_demo_prints_what_readme_shows(ghost):
    ran = ghost("demo")
    assert ran.status == 0, ran.stdout + ran.stderr
    (shown,) = [block for block in fenced("text") if "demo-politeness" in block]
    assert shape(ran.stdout) == shape(shown.split("\n", 1)[1])


def test_the_demo_leaves_nothing_behind_and_tells_its_figures(ghost):
    told = ghost("demo", "--json").json
    assert told["ok"] is True
    assert [one["status"] for one in told["patches"]] == ["applied", "applied", "rejected", "applied", "rejected"]
    assert told["rollback"]["reverted"] == ["demo-health"]
    assert told["freeze"]["tag"] == "phase/P1"
    assert told["verify"].items() >= {"ok": True, "patches": 4, "problems": []}.items()
    assert not Path(told["repository"]).exists()


def test_a_kept_demo_goes_on_running_until_it_is_stopped(ghost, ghostd):
    told = ghost("demo", "--keep", "--json").json
    where = ("--workspace", told["workspace"])
    try:
        assert ghostd("status", "--json", *where).json["state"] == "RUNNING"
        trailers = git(
            Path(told["repository"]), "log", "--format=%(trailers:key=Ghost-Patch-Id,valueonly)", "ghost/work"
        )
        assert "demo-politeness" in trailers.split()
    finally:
        assert ghostd("stop", *where).status == 0


def test_the_four_lines_on_ones_own_repository_work(ghost, ghostd, repo):
    (lines,) = [block for block in fenced("sh") if "your-repository" in block]
    (patch,) = fenced("yaml")
    (repo / "fix.yaml").write_text(patch)
    assert lines.splitlines() == [
        "cd your-repository", "ghostd init && ghostd start", "ghost apply fix.yaml", "ghost rollback fix-1",
    ]  # fmt: skip
    assert ghostd("init").status == 0
    conf = repo / ".ghost" / "conf" / "ghost.toml"
    # The usual ports may be taken on the machine that runs this test.
    conf.write_text(re.sub(r'"127\.0\.0\.1:\d+"', '"127.0.0.1:0"', conf.read_text()))
    try:
        assert ghostd("start").status == 0
        applied = ghost("apply", "fix.yaml")
        assert applied.status == 0, applied.stderr
        assert git(repo, "show", "ghost/work:hello.txt") == "hello, world"
        assert ghost("rollback", "fix-1").status == 0
        assert "hello.txt" not in git(repo, "ls-tree", "--name-only", "ghost/work")
        assert ghost("verify").status == 0
    finally:
        assert ghostd("stop").status == 0


def shown_commands() -> list[str]:
    """The lines of all blocks behind "On your own repository" that show what one can do there."""
    tour = [block for block in fenced("sh") if block.startswith("ghost ")]
    return [line.partition("#")[0].strip() for block in tour for line in block.splitlines()]


def test_every_command_that_is_shown_works_in_the_order_of_the_page(ghost, ghostd, repo):
    (patch,) = fenced("yaml")
    (repo / "fix.yaml").write_text(patch)
    assert ghostd("init").status == 0
    told = {}
    for line in shown_commands():
        ran = ghost(*line.split()[1:])
        # What a machine lacks is the machine's.
        assert ran.status == 0 or line == "ghost doctor", f"{line}: {ran.stdout}{ran.stderr}"
        told[line] = ran.stdout
    assert len(told) > 10
    assert "+hello, world" in told["ghost diff fix-1"]
    assert "rollback-1" in told["ghost rollback fix-1"]
    assert "phase/P1" in told["ghost phases"]
    assert json.loads(told["ghost convert fix.yaml --to executor"])["id"] == "fix-1"
    assert "all as it should be" in told["ghost verify"]
    assert git(repo, "log", "-1", "--format=%s", "ghost/work") == "[PATCH rollback-2] take back rollback-1"


@pytest.mark.parametrize("page", ["README.md", "ARCHITECTURE.md", "HACKING.md", "CHANGELOG.md"])
def test_every_link_leads_somewhere(page):
    links = re.findall(r"\]\((?!http)([^)#]+)", (HOUSE / page).read_text())
    assert [link for link in links if not (HOUSE / link).exists()] == []
