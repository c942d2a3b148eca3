"""kill -9 of any process while patches arrive: each is applied exactly once or refused, and verify is clean."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import psutil
import pytest
from acceptance_tools import git, patch_text, replace_op, write_op

COUNT = 30


def test_commands_that_die_at_random_lose_double_and_halve_nothing(ghost, workspace, repo):
    """Without a daemon: `ghost apply` itself is killed while it works."""
    chance = random.Random(7)
    git(repo, "checkout", "-q", "-b", "ghost/work")
    for n in range(12):
        text = patch_text(
            f"k-{n}", write_op(f"dir{n % 3}/f{n}", f"{n}\n"), replace_op("docs/notes.txt", "one", f"one{n} one")
        )
        child = subprocess.Popen(
            [sys.executable, "-m", "ghostd.cli.ghost", "apply", "-"], cwd=repo, stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        child.stdin.write(text.encode())
        child.stdin.close()
        time.sleep(chance.uniform(0.1, 0.8))
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    for n in range(12):
        text = patch_text(
            f"k-{n}", write_op(f"dir{n % 3}/f{n}", f"{n}\n"), replace_op("docs/notes.txt", "one", f"one{n} one")
        )
        assert ghost("apply", "-", "--json", stdin=text).result["status"] in ("applied", "already", "rejected")
    _exactly_once(ghost, repo)
    assert git(repo, "status", "--porcelain") == ""


def test_services_that_die_at_random_lose_double_and_halve_nothing(ghost, ghostd, daemon, workspace, repo):
    """With the daemon: executors, bridge, engine and keeper are killed while patches come by two doors."""
    chance = random.Random(11)
    drop = workspace / "state" / "lanes" / "MAIN" / "patches"
    for n in range(COUNT):
        wanted = "one" if n % 5 else "never there"
        text = patch_text(
            f"d-{n}", write_op(f"dir{n % 3}/f{n}", f"{n}\n"), replace_op("docs/notes.txt", wanted, f"one {n}")
        )
        if n % 2:
            (drop / f".{n}.part").write_text(text)
            (drop / f".{n}.part").rename(drop / f"{n}.json")
        else:
            assert ghost("apply", "-", "--no-wait", stdin=text).status == 0
        if n % 3 == 2:
            _kill_one(ghostd, chance, workspace)
    _wait_until_all_are_terminal(ghost)
    _exactly_once(ghost, repo)


def _kill_one(ghostd, chance, workspace):
    status = ghostd("status", "--json").json
    victims = {service["name"]: service["pid"] for service in status.get("services", []) if service["pid"]}
    victims["ghostd"] = status["pid"]
    victims["keeper"] = (
        psutil.Process(status["pid"]).children()[0].pid if psutil.Process(status["pid"]).children() else 0
    )
    name = chance.choice(sorted(name for name, pid in victims.items() if pid))
    os.kill(victims[name], signal.SIGKILL)
    if name == "ghostd":
        started = ghostd("start", "--json")
        assert started.status == 0, started.stdout + started.stderr


def _wait_until_all_are_terminal(ghost):
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        jobs = ghost("queue", "ls", "--all", "--json").json["jobs"]
        states = Counter(job["state"] for job in jobs)
        if len(jobs) >= COUNT and not states.keys() & {"queued", "running", "held"}:
            return
        time.sleep(0.5)
    pytest.fail(f"still waiting: {states}")


def _exactly_once(ghost, repo):
    """Every applied job has one commit, every commit one job, and Git, ledger and proofs agree."""
    jobs = ghost("queue", "ls", "--all", "--json").json["jobs"]
    in_git = Counter(
        git(repo, "log", "--format=%(trailers:key=Ghost-Patch-Id,valueonly,separator=)", "main..ghost/work").split()
    )
    applied = {job["id"] for job in jobs if job["state"] == "applied"}
    assert in_git == Counter(applied)
    assert {job["state"] for job in jobs} <= {"applied", "rejected"}
    verified = ghost("verify", "--json")
    assert verified.json["problems"] == []
    assert "dangling" not in git(repo, "fsck", "--strict", "--no-dangling")
