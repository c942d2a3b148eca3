"""Killed before or after each durable step of the path, a patch is applied exactly once by the next run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from acceptance_tools import git, patch_text, replace_op, write_op

#: The durable steps in their order, as module and attribute.
STEPS = [
    ("ghostd.store.jobs", "Movement.put"),
    ("ghostd.store.jobs", "Movement.claim"),
    ("ghostd.repo.objects", "write_tree"),
    ("ghostd.repo.commit", "write_commit"),
    ("ghostd.repo.worktree", "remember_worktree"),
    ("ghostd.repo.git", "Repository.flush"),
    ("ghostd.store.jobs", "Movement.seal_all"),
    ("ghostd.repo.commit", "move"),
    ("ghostd.repo.worktree", "materialise"),
    ("ghostd.pipeline.summary", "write"),
    ("ghostd.store.jobs", "Movement.finish_all"),
]

#: Runs `ghost apply` and dies as if by SIGKILL at the n-th call of one function: no handler, no `finally`.
CHILD = """
import importlib, os, signal, sys
module, name, moment, nth = sys.argv[1:5]
owner = importlib.import_module(module)
*path, last = name.split(".")
for part in path:
    owner = getattr(owner, part)
real, calls = getattr(owner, last), 0

def dying(*args, **kwargs):
    global calls
    calls += 1
    if calls == int(nth) and moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    result = real(*args, **kwargs)
    if calls == int(nth):
        os.kill(os.getpid(), signal.SIGKILL)
    return result

setattr(owner, last, dying)
from ghostd.cli.ghost import main
sys.argv = ["ghost", "apply", "-"]
main()
"""

PATCH = patch_text("p", replace_op("app.py", "hello", "good day to"), write_op("new/deep", "x\n"), phase="P1")


def ghost(repo: Path, *arguments: str, stdin: str = "") -> dict:
    argv = [sys.executable, "-I", "-m", "ghostd.cli.ghost", *arguments, "--json"]
    done = subprocess.run(argv, cwd=repo, input=stdin, capture_output=True, text=True, timeout=60, check=False)
    return json.loads(done.stdout)


@pytest.fixture
def checked_out(repo: Path, workspace: Path) -> Path:
    """The working branch is checked out and has one patch already, so that no step is a first time."""
    git(repo, "checkout", "-q", "-b", "ghost/work")
    (first,) = ghost(repo, "apply", "-", stdin=patch_text("p0", write_op("zero", "0\n")))["patches"]
    assert first["status"] == "applied"
    return repo


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("module", "name"), STEPS, ids=[name for _, name in STEPS])
def test_a_kill_at_a_durable_step(checked_out: Path, module: str, name: str, moment: str) -> None:
    repo = checked_out
    argv = [sys.executable, "-c", CHILD, module, name, moment, "1"]
    killed = subprocess.run(argv, cwd=repo, input=PATCH, capture_output=True, text=True, timeout=60, check=False)
    assert killed.returncode == -9, f"the step was never reached: {killed.stderr}"

    (result,) = ghost(repo, "apply", "-", stdin=PATCH)["patches"]
    assert result["status"] in ("applied", "already"), result
    assert git(repo, "rev-list", "--count", "main..ghost/work") == "2"
    assert git(repo, "show", "ghost/work:app.py") == "def greet(name):\n    return f'good day to {name}'"
    assert git(repo, "status", "--porcelain") == ""
    assert (repo / "new" / "deep").read_text() == "x\n"
    assert Path(result["summary"]).read_text().startswith("---\nid: ")
    assert ghost(repo, "verify").items() >= {"ok": True, "patches": 2, "problems": []}.items()
    assert not list((repo / ".git").rglob("*.lock"))
    shown = ghost(repo, "show", "p")
    assert [event["type"] for event in shown["events"]].count("ghost.patch.applied") == 1


@pytest.mark.parametrize(
    ("module", "name"), [("ghostd.pipeline.change", "apply"), ("ghostd.repo.worktree", "materialise")]
)
def test_a_bug_of_ours_ends_one_patch_and_not_its_lane(checked_out: Path, module: str, name: str) -> None:
    """Before the commit point the patch has failed; after it the record is made by the next attempt."""
    repo = checked_out
    child = CHILD.replace("os.kill(os.getpid(), signal.SIGKILL)", "raise RuntimeError('planted')")
    argv = [sys.executable, "-c", child, module, name, "before", "1"]
    done = subprocess.run(argv, cwd=repo, input=PATCH, capture_output=True, text=True, timeout=60, check=False)
    committed = name == "materialise"
    assert done.returncode == (0 if committed else 1), done.stderr
    assert "RuntimeError: planted" in done.stderr
    (other,) = ghost(repo, "apply", "-", stdin=patch_text("next", write_op("next", "x\n")))["patches"]
    assert other["status"] == "applied"
    shown = ghost(repo, "show", "p")
    assert (shown["status"], (shown["error"] or {}).get("kind")) == (
        ("applied", None) if committed else ("failed", "bug")
    )
    assert git(repo, "status", "--porcelain") == ""


def test_the_worktree_of_a_killed_gate_is_swept_and_its_processes_do_not_matter(repo: Path, workspace: Path) -> None:
    conf = workspace / "conf" / "ghost.toml"
    pid = workspace / "pid"
    run = f"test -e {pid} && exit 0; echo $PPID > {pid}; sleep 30"
    text = conf.read_text().replace("[lane.MAIN]", '[lane.MAIN]\nsandbox = "off"\ngates = ["g"]')
    conf.write_text(f"{text}\n[gate.g]\nrun = {json.dumps(run)}\n")
    argv = [sys.executable, "-I", "-m", "ghostd.cli.ghost", "apply", "-"]
    with subprocess.Popen(argv, cwd=repo, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as child:
        child.stdin.write(PATCH)
        child.stdin.close()
        while not pid.exists() or not pid.read_text().strip():
            assert child.poll() is None
        os.kill(child.pid, 9)
    left = {entry.name for entry in (workspace / "state" / "worktrees").iterdir()}
    assert len(left - {"pool-0"}) == 1, "the gate's home, beside its copy of the files"
    (result,) = ghost(repo, "apply", "-", stdin=PATCH)["patches"]
    assert (result["status"], result["attempts"]) == ("applied", 2)
    assert {entry.name for entry in (workspace / "state" / "worktrees").iterdir()} == {"pool-0"}
