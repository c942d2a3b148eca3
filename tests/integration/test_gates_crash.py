"""Killed around its gates and commands, a patch is applied exactly once by the next run, and nothing runs on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import gate_kit as kit
import pytest
from acceptance_tools import git, patch_text, write_op

#: The steps that keep something, or that have a command's work in their hands.
STEPS = [
    ("ghostd.store.gates", "GateTable.ran", 1),
    ("ghostd.store.gates", "GateTable.ran", 2),
    ("ghostd.store.gates", "GateTable.add_pass", 1),
    ("ghostd.repo.worktree", "read_back", 1),
    ("ghostd.pipeline.gates", "judged", 2),
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

PATCH = patch_text("p", write_op("new", "x\n"), {"op": "shell", "run": "cat new new > built"})


@pytest.mark.skipif(bool(kit.LACKING), reason=f"the sandbox lacks {kit.LACKING}")
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("module", "name", "nth"), STEPS, ids=[f"{name} {nth}" for _, name, nth in STEPS])
def test_a_kill_around_the_gates(workspace: Path, repo: Path, module: str, name: str, nth: int, moment: str) -> None:
    kit.configure(workspace, {"allow_shell": True}, g={"run": "test -e built", "cache": True})
    argv = [sys.executable, "-c", CHILD, module, name, moment, str(nth)]
    killed = subprocess.run(argv, cwd=repo, input=PATCH, capture_output=True, text=True, timeout=60, check=False)
    assert killed.returncode == -9, f"the step was never reached: {killed.stderr}"
    argv = [sys.executable, "-I", "-m", "ghostd.cli.ghost", "apply", "-", "--json"]
    done = subprocess.run(argv, cwd=repo, input=PATCH, capture_output=True, text=True, timeout=60, check=False)
    (result,) = json.loads(done.stdout)["patches"]
    assert (result["status"], result["attempts"]) == ("applied", 2), result
    assert [row["status"] for row in result["gates"]] == ["passed", "passed"]
    assert git(repo, "show", "ghost/work:built") == "x\nx"
    assert git(repo, "rev-list", "--count", "main..ghost/work") == "1"
    assert {entry.name for entry in (workspace / "state" / "worktrees").iterdir()} == {"pool-0"}
    with kit.opened(workspace) as shop:
        runs = [(run.attempt, run.gate) for run in shop.ledger.gate_runs("p")]
        assert runs[-2:] == [(2, "shell:op:1"), (2, "g")]
