"""Commits and the commit point: a compare-and-swap that is right beside other people's git."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time

import pytest
from repo_play import WORK, change, git, land, seal_in, sound

from ghostd.base.errors import Cannot
from ghostd.repo import commit, locks, ref_file
from ghostd.repo.git import open_repository
from ghostd.repo.objects import tree_of, write_tree


@pytest.fixture
def opened(repo):
    with open_repository(repo, lock_timeout=0.3) as opened:
        yield opened


def _spec(opened, **more):
    facts = {"tree": tree_of(opened, None).oid, "parents": (), "message": "m\n", "author": "", "when": 7}
    return commit.CommitSpec(**(facts | more))


def _chain(opened, repo, length=3):
    """Commits on top of HEAD, on no branch."""
    made = [git(repo, "rev-parse", "HEAD")]
    for number in range(length):
        made.append(commit.write_commit(opened, _spec(opened, parents=(made[-1],), when=number)))
    return made


def test_one_patch_is_one_commit_that_git_can_read(repo, opened):
    new = land(opened, "fix-1", {b"app.py": b"new\n"}, phase="P8")
    shown = git(repo, "log", "-1", "--format=%H|%s|%an <%ae>|%cn <%ce>|%at|%ct|%P", WORK).split("|")
    assert shown[0] == new
    assert shown[1] == "[PATCH fix-1] a change"
    assert shown[2:4] == ["gpt <ghost@localhost>", "ghost <ghost@localhost>"]
    assert shown[4] == shown[5] == "1753770600"
    assert shown[6] == git(repo, "rev-parse", "main")
    assert git(repo, "log", "-1", "--format=%(trailers:key=Ghost-Phase,valueonly)", WORK).strip() == "P8"
    assert sound(repo)


def test_the_same_spec_gives_the_same_commit(repo, opened):
    spec = _spec(opened, message=commit.message("s", "žluťoučký 🙂", ()), author="Ann <ann@example.org>")
    assert commit.write_commit(opened, spec) == commit.write_commit(opened, spec)
    assert sound(repo)


@pytest.mark.parametrize("author", ["", "<>", "a\nb", "x" * 999, "Ann <ann@example.org>", "\ud800", "é <é@x>"])
def test_every_author_and_text_makes_a_commit_that_fsck_takes(repo, opened, author):
    text = commit.message("s\0\n", "body\0\ud800", ())
    made = commit.write_commit(opened, _spec(opened, author=author, message=text))
    assert commit.move(opened, WORK, made, None)
    assert sound(repo)


def test_the_first_commit_builds_on_head_and_the_next_on_the_tip(repo, opened):
    assert commit.tip(opened, WORK) is None
    assert commit.base(opened, WORK) == git(repo, "rev-parse", "HEAD")
    new = land(opened, "one", {b"x": b"1"})
    assert commit.tip(opened, WORK) == commit.base(opened, WORK) == new


def test_a_swap_moves_only_from_what_is_expected(repo, opened):
    first, second, third, _ = _chain(opened, repo)
    assert not commit.move(opened, WORK, second, first), "there is no branch yet"
    assert commit.move(opened, WORK, first, None)
    assert not commit.move(opened, WORK, second, None), "it is there already"
    assert not commit.move(opened, WORK, third, second)
    assert commit.tip(opened, WORK) == first
    assert commit.move(opened, WORK, second, first)
    assert commit.tip(opened, WORK) == git(repo, "rev-parse", WORK) == second


def test_packed_refs_are_refs(repo, opened):
    first, second, third, _ = _chain(opened, repo)
    commit.move(opened, WORK, first, None)
    git(repo, "pack-refs", "--all")
    assert not (repo / ".git" / "refs" / "heads" / "ghost").exists()
    assert commit.tip(opened, WORK) == first
    assert not commit.move(opened, WORK, third, second)
    assert commit.move(opened, WORK, second, first)
    git(repo, "pack-refs", "--all")
    assert commit.move(opened, WORK, third, second)
    assert git(repo, "rev-parse", WORK) == third


def test_the_reflog_names_the_patch(repo, opened):
    land(opened, "one", {b"x": b"1"})
    land(opened, "two", {b"x": b"2"})
    assert git(repo, "reflog", "show", "--format=%gs", WORK).splitlines() == ["ghost: two", "ghost: one"]


@pytest.mark.parametrize(
    "branch",
    ["", "-D", "HEAD", "a..b", "a b", "a\nb", "a~1", "a^", "a:b", "a?", "a*", "a[b", "a\\b", "@{-1}", "a@{1}", "a.lock",
     "/a", "a/", "a//b", ".a", "a/.b", "a.", "a\x7f"],
)  # fmt: skip
def test_a_name_that_git_would_not_take_is_refused(opened, branch):
    for ask in (commit.tip, commit.base):
        with pytest.raises(Cannot) as refusal:
            ask(opened, branch)
        assert refusal.value.kind == "bad-branch"


def test_a_branch_below_another_is_refused_by_name(repo, opened):
    git(repo, "branch", "ghost")
    with pytest.raises(Cannot) as refusal:
        land(opened, "one", {b"x": b"1"})
    assert refusal.value.kind == "bad-branch"
    assert "refs/heads/ghost exists" in str(refusal.value)


def test_a_symbolic_branch_is_refused(repo, opened):
    git(repo, "symbolic-ref", "refs/heads/ghost/work", "refs/heads/main")
    with pytest.raises(Cannot) as refusal:
        commit.tip(opened, WORK)
    assert refusal.value.kind == "bad-branch"


def test_a_broken_ref_is_told(repo, opened):
    (repo / ".git" / "refs" / "heads" / "ghost").mkdir()
    (repo / ".git" / "refs" / "heads" / "ghost" / "work").write_bytes(b"")
    with pytest.raises(Cannot) as refusal:
        commit.tip(opened, WORK)
    assert refusal.value.kind == "repo-invalid"


# --- locks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("born", [True, False], ids=["existing branch", "new branch"])
def test_a_lock_that_stays_is_named(repo, opened, born):
    first, second, *_ = _chain(opened, repo)
    if born:
        commit.move(opened, WORK, first, None)
    lock = repo / ".git" / "refs" / "heads" / "ghost" / "work.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    with pytest.raises(Cannot) as refusal:
        commit.move(opened, WORK, second, first if born else None)
    assert refusal.value.kind == "git-locked"
    assert "left by a process that is gone" in str(refusal.value)
    assert f"rm {lock}" in refusal.value.hint
    assert commit.tip(opened, WORK) == (first if born else None)


def test_the_holder_of_a_lock_is_named(repo, opened):
    first, second, *_ = _chain(opened, repo)
    commit.move(opened, WORK, first, None)
    lock = repo / ".git" / "refs" / "heads" / "ghost" / "work.lock"
    code = "import sys; f = open(sys.argv[1], 'x'); print('open', flush=True); sys.stdin.read()"
    argv = [sys.executable, "-c", code, str(lock)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        with pytest.raises(Cannot) as refusal:
            commit.move(opened, WORK, second, first)
        holder.stdin.close()
    assert refusal.value.details["holder"] == holder.pid
    assert f"process {holder.pid}" in str(refusal.value)


def test_a_git_at_work_is_named_though_it_has_closed_its_lock(repo):
    """`git commit -a` closes index.lock while its editor is open."""
    lock = repo / ".git" / "index.lock"
    with subprocess.Popen(["git", "cat-file", "--batch"], cwd=repo / "docs", stdin=subprocess.PIPE) as near:
        lock.touch()
        deadline = time.monotonic() + 5
        while (found := locks.holder(lock, [repo])) is None and time.monotonic() < deadline:
            time.sleep(0.01)
        near.stdin.close()
    assert found.pid == near.pid


def test_a_lock_that_goes_is_waited_for(repo):
    with open_repository(repo, lock_timeout=10) as opened:
        first, second, *_ = _chain(opened, repo)
        commit.move(opened, WORK, first, None)
        lock = repo / ".git" / "refs" / "heads" / "ghost" / "work.lock"
        lock.touch()
        threading.Timer(0.2, lock.unlink).start()
        assert commit.move(opened, WORK, second, first)


def test_a_move_that_waits_sees_that_the_branch_moved(repo):
    """The lock's holder moved it: then it is not ours to move any more."""
    with open_repository(repo, lock_timeout=10) as opened:
        first, second, third, _ = _chain(opened, repo)
        commit.move(opened, WORK, first, None)
        ref = repo / ".git" / "refs" / "heads" / "ghost" / "work"
        lock = ref.with_name("work.lock")
        lock.write_text(f"{second}\n")
        threading.Timer(0.2, lock.rename, [ref]).start()
        assert not commit.move(opened, WORK, third, first)
        assert commit.tip(opened, WORK) == second


def test_a_branch_that_moves_between_the_look_and_the_swap_is_not_moved_back(repo, opened, monkeypatch):
    first, second, third, _ = _chain(opened, repo)
    commit.move(opened, WORK, first, None)
    look = ref_file._read

    def quick(path):
        seen = look(path)
        # Between the first look and the one under the lock.
        if seen == first and not (repo / ".git" / f"refs/heads/{WORK}.lock").exists():
            git(repo, "update-ref", f"refs/heads/{WORK}", second)
        return seen

    monkeypatch.setattr(ref_file, "_read", quick)
    assert not commit.move(opened, WORK, third, first)
    assert git(repo, "rev-parse", WORK) == second


def _compete(where, name, done):
    """Land ten commits by compare-and-swap against others who do the same."""
    with open_repository(where, lock_timeout=20) as opened:
        for number in range(10):
            while True:
                head = commit.tip(opened, WORK)
                made = commit.write_commit(
                    opened, _spec(opened, parents=(head,) if head else (), message=f"{name}-{number}\n")
                )
                if commit.move(opened, WORK, made, head):
                    break
    done.put(name)


def test_writers_that_race_lose_nothing(repo):
    """Three processes and a person who packs refs all the time: 30 commits, one line, each exactly once."""
    spawn = multiprocessing.get_context("spawn")
    done = spawn.Queue()
    writers = [spawn.Process(target=_compete, args=(repo, name, done)) for name in "abc"]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        subprocess.run(["git", "pack-refs", "--all"], cwd=repo, capture_output=True, check=False)
        time.sleep(0.02)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    subjects = git(repo, "log", "--format=%s", WORK).splitlines()
    assert sorted(subjects) == sorted(f"{name}-{number}" for name in "abc" for number in range(10))
    assert sound(repo)


def test_a_commit_lands_only_through_the_commit_point(repo, opened):
    """Everything before it is garbage: refs and files are as they were."""
    before = git(repo, "for-each-ref"), git(repo, "status", "--porcelain")
    tree = tree_of(opened, commit.base(opened, WORK))
    commit.write_commit(opened, _spec(opened, tree=write_tree(opened, tree, [change(tree, b"x", b"1")])))
    assert (git(repo, "for-each-ref"), git(repo, "status", "--porcelain")) == before


FILL = """
import os, pathlib, subprocess, sys
from ghostd.base.errors import Cannot
from ghostd.repo.git import open_repository
from repo_play import git, seal_in, sound
origin, disk = map(pathlib.Path, sys.argv[1:])
git(disk, "clone", "-q", str(origin), "repo")
with open_repository(disk / "repo") as opened:
    try:
        for number in range(40):
            landed = seal_in(opened, f"p{number}", {b"big": os.urandom(100_000)})
    except Cannot as refusal:
        print(refusal.kind, bool(refusal.hint), git(disk / "repo", "rev-parse", "ghost/work") == landed)
sound(disk / "repo")
"""


def test_a_full_disk_is_one_clear_line_and_changes_nothing(repo, tmp_path):
    """On a disk of one megabyte, in a mount namespace that ends with the test."""
    disk = tmp_path / "disk"
    script = 'mount -t tmpfs -o size=1m none "$1" 2>/dev/null || exit 77; exec "$2" -c "$3" "$4" "$1"'
    argv = ["unshare", "--mount", "sh", "-c", script, "sh", str(disk), sys.executable, FILL, str(repo)]
    where = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    disk.mkdir()
    try:
        done = subprocess.run(argv, env={**os.environ, **where}, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("needs unshare")
    if done.returncode in (1, 77) and not done.stdout:
        pytest.skip("needs the right to mount a small disk")
    assert done.stdout.split() == ["disk-full", "True", "True"], done.stderr


def test_a_move_that_has_happened_is_one_whatever_the_disk_says_afterwards(opened, monkeypatch):
    """Called a failure it would be made once more: somebody packs refs and takes the folder away at that moment."""
    from ghostd.repo.sync import Sync

    first = seal_in(opened, "p1", {b"a": b"1"})
    tree = tree_of(opened, first)
    second = commit.write_commit(opened, _spec(opened, tree=write_tree(opened, tree, [change(tree, b"b", b"2")])))
    opened.flush()

    def gone(*_):
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(Sync, "names", gone)
    assert commit.move(opened, WORK, second, first)
    assert commit.tip(opened, WORK) == second
