"""SIGKILL at any moment: what had landed stays, what had not is not there, and the next start needs no person."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from repo_play import WORK, clean, git, land, sound

from ghostd.repo import commit, history, worktree
from ghostd.repo.git import open_repository

#: Lands patches for ever, each a change of two files, a new one, and one that goes; tells each once it stands.
WORKER = """
import sys, pathlib
from ghostd.repo import commit, worktree
from ghostd.repo.git import open_repository
from repo_play import WORK, seal_in
with open_repository(pathlib.Path(sys.argv[1])) as opened:
    number = int(sys.argv[2])
    while True:
        number += 1
        text = b"%d\\n" % number
        files = {b"app.py": text, b"docs/notes.txt": text, b"new/%d" % number: text}
        if number > 1:
            files[b"new/%d" % (number - 1)] = None
        seal_in(opened, f"p{number}", files)
        worktree.materialise(opened, WORK)
        print(number, flush=True)
"""


def _worker(repo, number):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    argv = [sys.executable, "-c", WORKER, str(repo), str(number)]
    return subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, start_new_session=True)


def _kill_after(worker, seconds) -> int:
    """Kill the worker and the git that it may have started; the last patch that it called landed."""
    first = worker.stdout.readline()
    time.sleep(seconds)
    os.killpg(worker.pid, signal.SIGKILL)
    told = [first, *worker.stdout.readlines()]
    worker.wait()
    worker.stdout.close()
    return max((int(line) for line in told if line.endswith(b"\n")), default=0)


@pytest.mark.timeout(300)
def test_a_kill_at_any_moment_loses_and_doubles_nothing(repo):
    git(repo, "checkout", "-q", "-b", WORK)
    chance = random.Random(20250729)
    landed = 0
    for _ in range(20):
        told = _kill_after(_worker(repo, landed), chance.uniform(0, 0.12))
        with open_repository(repo) as opened:
            worktree.mend(opened, WORK, stale_after=0)
            assert worktree.materialise(opened, WORK) == "current"
            scan = history.landed_since(opened, WORK, None)
        assert [each.id for each in scan.landed] == [f"p{number}" for number in range(1, len(scan.landed) + 1)]
        assert len(scan.landed) in (told, told + 1), "what was told has landed, and at most one more that was not told"
        landed = len(scan.landed)
        assert clean(repo)
        assert (repo / "app.py").read_text() == f"{landed}\n"
        assert [path.name for path in (repo / "new").iterdir()] == [str(landed)]
        assert not list((repo / ".git").rglob("*.lock"))
        assert not [path for path in (repo / ".git").glob("ghost-*") if path.is_file()]
    assert sound(repo)
    assert git(repo, "rev-list", "--merges", WORK) == ""


#: Between which two steps the process dies: the function of ours that is never entered, or never left.
POINTS = [
    "ghostd.repo.refs.swap",
    "ghostd.repo.materialise.index.read",
    "ghostd.repo.disk.Files.put",
    "ghostd.repo.disk.Files.place",
    "ghostd.repo.disk.os.rename",
    "ghostd.repo.disk.Files.remove",
    "ghostd.repo.disk.Files.sync",
    "ghostd.repo.index.replace",
    "ghostd.repo.index._update",
    "ghostd.repo.index.os.utime",
    "ghostd.repo.sync.Sync.content",
    "ghostd.repo.sync.Sync.names",
    "ghostd.repo.ref_file.move",
    "ghostd.repo.ref_file.set_behind",
    "ghostd.repo.ref_file.os.pwrite",
]

DIE = """
import os, sys, importlib, pathlib
point, nth, after = sys.argv[2], int(sys.argv[3]), sys.argv[4] == "after"
from ghostd.repo import worktree
from ghostd.repo.git import open_repository
from repo_play import WORK, seal_in
def find(path):
    parts = path.split(".")
    owner = importlib.import_module(".".join(parts[:3]))
    for part in parts[3:-1]:
        owner = getattr(owner, part)
    return owner, parts[-1]
owner, name = find(point)
original, count = getattr(owner, name), 0
def deadly(*args, **more):
    global count
    count += 1
    if count == nth and not after:
        os.kill(0, 9)
    result = original(*args, **more)
    if count == nth:
        os.kill(0, 9)
    return result
with open_repository(pathlib.Path(sys.argv[1])) as opened:
    setattr(owner, name, deadly)
    seal_in(opened, "two", {b"app.py": b"2\\n", b"a/new": b"2\\n", b"README.md": None})
    worktree.materialise(opened, WORK)
"""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("point", POINTS)
def test_a_death_at_each_step_is_mended_by_the_next_start(repo, point, nth, when):
    git(repo, "checkout", "-q", "-b", WORK)
    (repo / "docs" / "notes.txt").write_text("a person's\n")
    with open_repository(repo) as opened:
        land(opened, "one", {b"app.py": b"1\n"})
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    argv = [sys.executable, "-c", DIE, str(repo), point, str(nth), when]
    subprocess.run(argv, env=env, start_new_session=True, check=False, timeout=60)
    with open_repository(repo) as opened:
        worktree.mend(opened, WORK)
        ids = [each.id for each in history.landed_since(opened, WORK, None).landed]
        assert ids in (["one"], ["one", "two"])
        assert worktree.materialise(opened, WORK) == "current"
        assert git(repo, "status", "--porcelain", "-uall") == "M docs/notes.txt"
        # And the work goes on.
        land(opened, "three", {b"app.py": b"3\n"})
        assert commit.tip(opened, WORK) == git(repo, "rev-parse", "HEAD")
    assert (repo / "docs" / "notes.txt").read_text() == "a person's\n"
    assert not list((repo / ".git").rglob("*.lock"))
