"""Putting objects together: nothing goes, nobody is disturbed, and the next patch is as before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from repo_play import WORK, clean, git, land, seal_in, sound

from ghostd.base.errors import Cannot
from ghostd.repo import commit, history, maintenance, worktree
from ghostd.repo.git import open_repository
from ghostd.repo.objects import tree_of


@pytest.fixture
def opened(repo):
    git(repo, "checkout", "-q", "-b", WORK)
    with open_repository(repo, durability="process") as opened:
        yield opened


def count(repo: Path) -> dict[str, int]:
    """As git counts: `count`, `in-pack`, `packs`, `garbage`, …"""
    lines = git(repo, "count-objects", "-v").splitlines()
    return {key: int(value) for key, value in (line.split(": ") for line in lines) if value.isdigit()}


def every_object(repo: Path) -> set[str]:
    return {line.split()[0] for line in git(repo, "cat-file", "--batch-all-objects", "--batch-check").splitlines()}


def make_loose(repo: Path, number: int) -> None:
    """Objects that nothing names, spread as ids are."""
    paths = []
    for each in range(number):
        path = repo.parent / "blobs" / str(each)
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"loose {each}\n")
        paths.append(str(path))
    git(repo, "hash-object", "-w", "--no-filters", "--stdin-paths", stdin="\n".join(paths).encode())


def make_packs(repo: Path, number: int) -> None:
    for each in range(number):
        blob = git(repo, "hash-object", "-w", "--stdin", stdin=b"packed %d\n" % each)
        git(repo, "pack-objects", "-q", ".git/objects/pack/pack", stdin=blob.encode())
        git(repo, "prune-packed")


def test_it_is_due_beyond_the_limits_only(repo, opened):
    assert not maintenance.due(opened, 5000, 30)
    make_loose(repo, 4000)
    assert not maintenance.due(opened, 5000, 30)
    assert maintenance.due(opened, 1000, 30)
    make_packs(repo, 4)
    assert maintenance.due(opened, 100_000, 3)
    assert not maintenance.due(opened, 100_000, 4)


def test_a_pack_that_somebody_keeps_is_not_counted(repo, opened):
    make_packs(repo, 3)
    for pack in (repo / ".git" / "objects" / "pack").glob("*.pack"):
        pack.with_suffix(".keep").touch()
    assert not maintenance.due(opened, 5000, 2)
    maintenance.run(opened)
    assert len(list((repo / ".git" / "objects" / "pack").glob("*.keep"))) == 3


def test_everything_is_there_afterwards_whether_anything_names_it_or_not(repo, opened):
    make_loose(repo, 3000)
    make_packs(repo, 8)
    first = land(opened, "one", {b"app.py": b"1\n"})
    lost = git(repo, "commit-tree", "-m", "nothing names it", "HEAD^{tree}")
    before = every_object(repo)
    told = maintenance.run(opened)
    assert every_object(repo) == before
    assert count(repo)["count"] == 0
    assert count(repo)["packs"] < 4
    assert "3" in told
    assert sound(repo)
    assert git(repo, "cat-file", "-t", lost) == "commit"
    assert not maintenance.due(opened, 100, 4)
    # The same handle goes on.
    assert tree_of(opened, first).read(b"app.py") == b"1\n"
    land(opened, "two", {b"app.py": b"2\n"})
    assert [each.id for each in history.landed_since(opened, WORK, None).landed] == ["one", "two"]
    assert clean(repo)
    assert sound(repo)


def test_a_large_pack_is_not_written_again(repo, opened):
    make_loose(repo, 500)
    maintenance.run(opened)
    large = set((repo / ".git" / "objects" / "pack").glob("*.pack"))
    make_packs(repo, 3)
    maintenance.run(opened)
    assert large < set((repo / ".git" / "objects" / "pack").glob("*.pack"))


def test_another_process_with_old_packs_open_reads_on(repo, opened):
    """One that has opened packs before they go, and asks for objects that have moved."""
    make_packs(repo, 12)
    first = land(opened, "one", {b"app.py": b"1\n"})
    blobs = sorted(every_object(repo))
    with open_repository(repo) as reader:
        assert tree_of(reader, first).read(b"app.py") == b"1\n"
        for oid in blobs[:3]:
            reader.handle.odb.read(oid)
        maintenance.run(opened)
        make_packs(repo, 1)
        maintenance.run(opened)
        assert [reader.handle.odb.read(oid)[0] for oid in blobs]
        second = land(reader, "two", {b"app.py": b"2\n"})
    assert tree_of(opened, second).read(b"app.py") == b"2\n"


def test_the_folders_of_loose_objects_are_there_again(repo, opened):
    make_loose(repo, 50)
    maintenance.run(opened)
    assert len([path for path in (repo / ".git" / "objects").iterdir() if len(path.name) == 2]) == 256


def test_many_tags_become_one_file_and_stay_what_they_are(repo, opened):
    head = git(repo, "rev-parse", "HEAD")
    lines = "".join(f"create refs/tags/p{number} {head}\n" for number in range(300))
    git(repo, "update-ref", "--stdin", stdin=lines.encode())
    seal_in(opened, "one", {b"app.py": b"1\n"})
    before = git(repo, "for-each-ref")
    maintenance.run(opened)
    assert git(repo, "for-each-ref") == before
    assert len(list((repo / ".git" / "refs" / "tags").iterdir())) < 10
    assert worktree.materialise(opened, WORK) == "current"
    land(opened, "two", {b"app.py": b"2\n"})
    assert clean(repo)


@pytest.mark.parametrize(
    "setting", [("repack.writeBitmaps", "true"), ("pack.writeBitmapHashCache", "true"), ("gc.auto", "1")]
)
def test_a_persons_settings_are_no_trouble(repo, opened, setting):
    git(repo, "config", *setting)
    make_loose(repo, 20)
    maintenance.run(opened)
    assert count(repo)["count"] == 0


def test_a_broken_repository_is_told(repo, opened):
    make_packs(repo, 2)
    for pack in (repo / ".git" / "objects" / "pack").glob("*.pack"):
        pack.chmod(0o600)
        pack.write_bytes(b"PACK junk")
    with pytest.raises(Cannot) as caught:
        maintenance.run(opened)
    assert caught.value.kind == "git-failed"


LANDER = """
import sys, pathlib
from ghostd.repo import worktree
from ghostd.repo.git import open_repository
from repo_play import WORK, seal_in
with open_repository(pathlib.Path(sys.argv[1]), durability="process") as opened:
    for number in range(int(sys.argv[2])):
        seal_in(opened, f"p{number}", {b"app.py": b"%d\\n" % number, b"new/%d" % number: b"1\\n"})
        worktree.materialise(opened, WORK)
        print(number, flush=True)
"""


def test_patches_land_while_objects_are_put_together(repo, opened):
    make_loose(repo, 600)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen([sys.executable, "-c", LANDER, str(repo), "60"], env=env, stdout=subprocess.PIPE) as lander:
        lander.stdout.readline()
        while lander.poll() is None:
            maintenance.run(opened)
        assert lander.returncode == 0
    assert len(history.landed_since(opened, WORK, None).landed) == 60
    assert worktree.materialise(opened, WORK) == "current"
    assert sound(repo)
    assert clean(repo)


def test_a_kill_in_the_middle_loses_nothing(repo, opened):
    make_loose(repo, 3000)
    land(opened, "one", {b"app.py": b"1\n"})
    before = every_object(repo)
    code = (
        "import sys, pathlib; from ghostd.repo import maintenance; from ghostd.repo.git import open_repository\n"
        "with open_repository(pathlib.Path(sys.argv[1])) as opened: print('on', flush=True); maintenance.run(opened)"
    )
    for delay in (0.0, 0.01, 0.03, 0.06, 0.1):
        argv = [sys.executable, "-c", code, str(repo)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True) as runner:
            runner.stdout.readline()
            try:
                runner.wait(delay)
            except subprocess.TimeoutExpired:
                os.killpg(runner.pid, signal.SIGKILL)
    # git runs in a session of its own, and may come to its end.
    assert every_object(repo) == before
    maintenance.run(opened)
    assert every_object(repo) == before
    assert commit.tip(opened, WORK) == git(repo, "rev-parse", WORK)
    assert sound(repo)


def test_half_made_files_go_when_they_are_old(repo, opened):
    pack = repo / ".git" / "objects" / "pack"
    pack.mkdir(exist_ok=True)
    (repo / ".git" / "objects" / "17").mkdir(exist_ok=True)
    old = [pack / "tmp_pack_abc", pack / ".tmp-12-pack-3.idx", repo / ".git" / "objects" / "17" / "tmp_obj_x"]
    young = [pack / "tmp_pack_young", pack / f"tmp_ghost_{os.getpid()}_pack-1_idx"]
    for path in [*old, *young]:
        path.write_text("half")
    for path in old:
        os.utime(path, (1, 1))
    dead = pack / "tmp_ghost_4194999_pack-1_idx"
    dead.write_text("half")
    old.append(dead)
    mended = worktree.mend(opened, WORK)
    assert not any(path.exists() for path in old)
    assert all(any(str(path) in line for line in mended) for path in old)
    assert all(path.exists() for path in young)
