"""Objects stay in memory until they are needed on the disk, and are then what git itself would have written."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path

import pytest
from pygit2.enums import ObjectType
from repo_play import WORK, change, git, land, put, sound

from ghostd.base.errors import Cannot
from ghostd.repo import commit, pack, refs, sync
from ghostd.repo.git import Repository, open_repository
from ghostd.repo.objects import read_blob, tree_of, write_tree


@pytest.fixture
def opened(repo):
    with open_repository(repo) as found:
        yield found


def packs(repo: Path) -> set[str]:
    return {path.name for path in (repo / ".git" / "objects" / "pack").iterdir()}


def blobs(opened: Repository, count: int, word: bytes = b"") -> list[str]:
    return [str(opened.store(ObjectType.BLOB, b"%s %d\n" % (word, n))) for n in range(count)]


# In memory ------------------------------------------------------------------------------------------------------


def test_an_object_is_read_before_it_is_on_the_disk_and_written_only_when_asked(repo, opened):
    tree = tree_of(opened, git(repo, "rev-parse", "HEAD"))
    new = write_tree(opened, tree, [change(tree, b"a/b/c", b"deep\n")])
    assert tree_of(opened, new).read(b"a/b/c") == b"deep\n"
    spec = commit.CommitSpec(tree=new, parents=(), message="m\n", author="", when=0)
    assert tree_of(opened, commit.write_commit(opened, spec)).oid == new
    before = git(repo, "count-objects", "-v")
    assert git(repo, "count-objects", "-v") == before
    with pytest.raises(AssertionError):
        git(repo, "cat-file", "-e", new)
    opened.flush()
    git(repo, "cat-file", "-e", new)
    assert len(opened.pending) == 0


def test_no_ref_moves_to_what_is_only_in_memory(repo, opened):
    """Whoever makes a commit, a tag or a log entry and moves a ref to it need not think of the disk."""
    tree = tree_of(opened, git(repo, "rev-parse", "HEAD"))
    made = put(opened, "p", write_tree(opened, tree, [change(tree, b"x", b"x\n")]))
    assert git(repo, "rev-parse", WORK) == made
    assert git(repo, "show", f"{WORK}:x") == "x"


def test_what_was_made_since_a_mark_can_be_forgotten(opened):
    kept = blobs(opened, 2, b"kept")
    mark = opened.pending.mark()
    blobs(opened, 3, b"gone")
    # One that was there before is not made a second time, and stays.
    opened.store(ObjectType.BLOB, b"kept 0\n")
    opened.pending.forget(mark)
    assert [oid for oid, _, _ in opened.pending] == kept


def test_reading_goes_on_from_memory_when_the_disk_has_it_too(repo, opened):
    (oid,) = blobs(opened, 1)
    opened.flush()
    (repo / ".git" / "objects" / oid[:2] / oid[2:]).unlink()
    assert read_blob(opened, oid) == b" 0\n"


# On the disk ----------------------------------------------------------------------------------------------------


def test_the_first_few_objects_of_a_process_are_loose(repo, opened):
    """A command that makes one commit and ends leaves no pack."""
    blobs(opened, 5)
    opened.flush()
    assert packs(repo) == set()


@pytest.mark.parametrize("kind", ["many", "empty", "large", "random"])
def test_a_pack_is_one_that_git_takes(repo, opened, kind):
    chance = random.Random(1)
    data = {
        "many": [b"%d\n" % n for n in range(3000)],
        "empty": [b"", *(b"%d" % n for n in range(20))],
        "large": [bytes([n]) * 5_000_000 for n in range(17)],
        "random": [chance.randbytes(chance.randrange(70_000)) for _ in range(40)],
    }[kind]
    oids = [str(opened.store(ObjectType.BLOB, each)) for each in data]
    opened.flush()
    (idx,) = (repo / ".git" / "objects" / "pack").glob("*.idx")
    git(repo, "verify-pack", str(idx))
    assert (idx.stat().st_mode & 0o777, idx.with_suffix(".pack").stat().st_mode & 0o777) == (0o444, 0o444)
    again = repo / "again.idx"
    git(repo, "index-pack", "-o", str(again), str(idx.with_suffix(".pack")))
    assert again.read_bytes() == idx.read_bytes(), "the index is the one that git makes of this pack"
    for oid, each in zip(oids, data, strict=True):
        assert opened.handle.odb.read(oid)[1] == each
    assert sound(repo)


def test_many_small_packs_become_few_and_nothing_is_lost(repo, opened):
    oids = []
    for n in range(300):
        oids += blobs(opened, 3, b"round %d" % n)
        opened.flush()
    names = packs(repo)
    assert len(names) <= 2 * 15, "two files for each pack, about 3·log4(300) packs"
    assert {name.rpartition(".")[2] for name in names} == {"pack", "idx"}
    listed = git(repo, "cat-file", "--batch-check", "--batch-all-objects").splitlines()
    assert set(oids) <= {line.split()[0] for line in listed}
    assert sound(repo)


def test_a_pack_that_has_grown_is_left_alone(repo, opened, monkeypatch):
    monkeypatch.setattr(pack, "_GROWN", 2000)
    chance = random.Random(2)
    seen = set()
    for _ in range(6):
        for _ in range(20):
            opened.store(ObjectType.BLOB, chance.randbytes(200))
        opened.flush()
        assert seen <= packs(repo)
        seen = packs(repo)
    assert len(seen) == 12


def test_a_pack_that_an_index_over_all_packs_may_name_is_not_taken_away(repo, opened):
    blobs(opened, 20, b"one")
    opened.flush()
    git(repo, "multi-pack-index", "write")
    blobs(opened, 20, b"two")
    opened.flush()
    git(repo, "multi-pack-index", "verify")
    assert len(list((repo / ".git" / "objects" / "pack").glob("*.pack"))) == 2


def test_a_person_who_repacks_in_between_disturbs_nobody(repo, opened):
    land(opened, "one", {b"f%d" % n: b"%d\n" % n for n in range(30)})
    git(repo, "repack", "-adq")
    land(opened, "two", {b"f%d" % n: b"two %d\n" % n for n in range(30)})
    git(repo, "gc", "-q", "--prune=now")
    land(opened, "three", {b"g": b"three\n"})
    assert git(repo, "rev-list", "--count", f"main..{WORK}") == "3"
    assert sound(repo)


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_a_write_that_fails_leaves_nothing_and_can_be_repeated(repo, opened, monkeypatch, nth):
    calls = 0

    def failing(real):
        def call(*args, **more):
            nonlocal calls
            calls += 1
            if calls == nth:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*args, **more)

        return call

    oids = blobs(opened, 20)
    with monkeypatch.context() as patched:
        patched.setattr(pack.os, "write", failing(os.write))
        patched.setattr(os, "rename", failing(os.rename))
        with pytest.raises(Cannot) as refused:
            opened.flush()
    assert refused.value.kind in ("disk-full", "git-failed")
    assert not [name for name in packs(repo) if name.startswith(pack.PREFIX) or name.endswith(".idx")]
    opened.flush()
    for oid in oids:
        git(repo, "cat-file", "-e", oid)
    assert sound(repo)


# Synced ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def syncs(monkeypatch) -> list[str]:
    """Every wait for the disk, and every rename, in their order."""
    seen: list[str] = []
    real_fsync, real_range, real_rename = os.fsync, sync._sync_file_range, os.rename

    def fsync(fd):
        seen.append("fsync " + Path(f"/proc/self/fd/{fd}").readlink().suffix)
        return real_fsync(fd)

    def written_out(fd, *args):
        seen.append("out " + Path(f"/proc/self/fd/{fd}").readlink().suffix)
        return real_range(fd, *args)

    def rename(old, new):
        seen.append("rename " + Path(new).suffix)
        return real_rename(old, new)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(sync, "_sync_file_range", written_out)
    monkeypatch.setattr(os, "rename", rename)
    return seen


def _durable(repo, monkeypatch, durability: str, *, ordered: bool) -> Repository:
    monkeypatch.setattr(sync, "has_ordered_journal", lambda _folder: ordered)
    return open_repository(repo, durability=durability)


def test_on_any_file_system_bytes_come_before_names_and_names_before_the_word(repo, monkeypatch, syncs):
    with _durable(repo, monkeypatch, "power", ordered=False) as opened:
        blobs(opened, 20)
        opened.flush()
    assert syncs == ["fsync .pack~", "fsync .idx~", "rename .pack", "rename .idx", "fsync "]


def test_with_an_ordered_journal_the_wait_of_the_ref_is_enough(repo, monkeypatch, syncs):
    with _durable(repo, monkeypatch, "power", ordered=True) as opened:
        base = git(repo, "rev-parse", "HEAD")
        git(repo, "branch", WORK)
        blobs(opened, 20)
        spec = commit.CommitSpec(tree=tree_of(opened, None).oid, parents=(base,), message="m\n", author="", when=0)
        assert refs.swap(opened, f"refs/heads/{WORK}", commit.write_commit(opened, spec), base)
    pack_first = ["out .pack~", "out .idx~", "rename .pack", "rename .idx"]
    assert syncs == [*pack_first, "out .lock", "rename ", "fsync "]


def test_objects_on_a_file_system_of_their_own_are_waited_for(repo, monkeypatch, syncs):
    with _durable(repo, monkeypatch, "power", ordered=True) as opened:
        opened._packs._device += 1
        blobs(opened, 20)
        opened.flush()
    assert syncs == ["out .pack~", "out .idx~", "rename .pack", "rename .idx", "fsync .idx"]


def test_without_durability_nobody_waits(repo, monkeypatch, syncs):
    with _durable(repo, monkeypatch, "process", ordered=False) as opened:
        blobs(opened, 20)
        opened.flush()
    assert syncs == ["rename .pack", "rename .idx"]


@pytest.mark.parametrize("ordered", [False, True])
def test_a_ref_is_on_the_disk_before_its_name_moves_and_after_it(repo, monkeypatch, syncs, ordered):
    with _durable(repo, monkeypatch, "power", ordered=ordered) as opened:
        base = git(repo, "rev-parse", "HEAD")
        git(repo, "branch", WORK)
        made = put(opened, "p", tree_of(opened, None).oid)
        syncs.clear()
        assert refs.swap(opened, f"refs/heads/{WORK}", base, made)
    # git's lock becomes the ref.
    assert syncs == (["out .lock", "rename ", "fsync "] if ordered else ["fsync .lock", "rename ", "fsync "])


def test_a_journal_is_known_by_the_kernels_own_word(tmp_path, monkeypatch):
    device = tmp_path.stat().st_dev
    mounts, journals = tmp_path / "mountinfo", tmp_path / "jbd2"
    line = f"27 1 {os.major(device)}:{os.minor(device)} / / rw,relatime shared:1 - {{}} /dev/vda1 rw\n"
    journals.mkdir()
    monkeypatch.setattr(sync, "_MOUNTS", mounts)
    monkeypatch.setattr(sync, "_JOURNALS", journals)
    known = sync.has_ordered_journal.__wrapped__
    mounts.write_text("22 27 0:21 / /proc rw - proc proc rw\n" + line.format("ext4"))
    assert not known(tmp_path), "an ext4 without a journal"
    (journals / "vda1-8").mkdir()
    assert known(tmp_path)
    (journals / "vda1-8").rename(journals / "vda10-8")
    assert not known(tmp_path), "another disk's journal"
    (journals / "vda1-8").mkdir()
    mounts.write_text(line.format("overlay"))
    assert not known(tmp_path)
    mounts.unlink()
    assert not known(tmp_path)


# Refs -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def branch(repo) -> tuple[str, str]:
    """A branch at the first of two commits."""
    first = git(repo, "rev-parse", "HEAD")
    second = git(repo, "commit-tree", f"{first}^{{tree}}", "-p", first, "-m", "two")
    git(repo, "branch", WORK)
    return first, second


def test_a_packed_ref_is_moved_as_well(repo, opened, branch):
    first, second = branch
    git(repo, "pack-refs", "--all")
    assert not (repo / ".git" / "refs" / "heads" / WORK).exists()
    assert not refs.swap(opened, f"refs/heads/{WORK}", second, second)
    assert refs.swap(opened, f"refs/heads/{WORK}", second, first)
    assert git(repo, "rev-parse", WORK) == second


def test_a_move_is_told_in_the_reflogs_that_git_would_write(repo, opened, branch):
    first, second = branch
    git(repo, "checkout", "-q", WORK)
    assert refs.swap(opened, f"refs/heads/{WORK}", second, first, why="ghost: p1")
    for name in (WORK, "HEAD"):
        shown = git(repo, "reflog", "show", "--format=%H %gn %gs", name).splitlines()
        assert shown[0] == f"{second} ghost ghost: p1"
    # Of a branch that is not HEAD, HEAD's log says nothing.
    git(repo, "checkout", "-q", "main")
    before = git(repo, "reflog", "show", "HEAD")
    assert refs.swap(opened, f"refs/heads/{WORK}", first, second)
    assert git(repo, "reflog", "show", "HEAD") == before


def test_a_lock_that_is_not_ours_is_neither_passed_nor_removed(repo, branch):
    first, second = branch
    lock = repo / ".git" / "refs" / "heads" / f"{WORK}.lock"
    lock.write_text("somebody's")
    with open_repository(repo, lock_timeout=0.1) as opened, pytest.raises(Cannot) as refused:
        refs.swap(opened, f"refs/heads/{WORK}", second, first)
    assert refused.value.kind == "git-locked"
    assert lock.read_text() == "somebody's"
    assert git(repo, "rev-parse", WORK) == first


def test_a_branch_that_is_another_name_is_refused(repo, opened, branch):
    first, second = branch
    git(repo, "symbolic-ref", f"refs/heads/{WORK}", "refs/heads/main")
    with pytest.raises(Cannot) as refused:
        refs.swap(opened, f"refs/heads/{WORK}", second, first)
    assert refused.value.kind == "bad-branch"
    assert git(repo, "rev-parse", "main") == first
