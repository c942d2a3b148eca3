"""People's work trees: their edits are never overwritten, and the files of a patch catch up, and no others."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pygit2.enums import ObjectType
from repo_play import WORK, change, changes, clean, git, land, put, seal_in, sound

from ghostd.model.tree import Change, Entry, File, Mode
from ghostd.repo import commit, sync, worktree
from ghostd.repo.git import open_repository
from ghostd.repo.objects import tree_of, write_tree


@pytest.fixture
def work(repo) -> Path:
    """The repository with the working branch checked out, and files of every kind."""
    (repo / "run.sh").write_text("#!/bin/sh\n")
    (repo / "run.sh").chmod(0o755)
    (repo / "link").symlink_to("app.py")
    (repo / "only").mkdir()
    (repo / "only" / "child").write_text("x\n")
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "second")
    git(repo, "checkout", "-q", "-b", WORK)
    return repo


@pytest.fixture
def opened(work):
    with open_repository(work, lock_timeout=0.3) as opened:
        yield opened


def _tip_tree(opened):
    return tree_of(opened, commit.base(opened, WORK))


def _foreign(opened, files):
    where = worktree.checked_out_at(opened, WORK)
    return worktree.foreign_edits(opened, where, changes(_tip_tree(opened), files))


# --- where --------------------------------------------------------------------------------------------------------


def test_a_branch_is_found_where_it_is_checked_out(work, opened, tmp_path):
    assert worktree.checked_out_at(opened, WORK) == work
    assert worktree.checked_out_at(opened, "main") is None
    git(work, "worktree", "add", "-q", str(tmp_path / "linked"), "main")
    assert worktree.checked_out_at(opened, "main") == tmp_path / "linked"
    git(work, "checkout", "-q", "--detach")
    assert worktree.checked_out_at(opened, WORK) is None


def test_a_linked_work_tree_that_was_deleted_by_hand_is_none(work, opened, tmp_path):
    git(work, "worktree", "add", "-q", str(tmp_path / "linked"), "main")
    (tmp_path / "linked" / ".git").unlink()
    assert worktree.checked_out_at(opened, "main") is None


# --- materialise --------------------------------------------------------------------------------------------------

PATCHES = {
    "edit": {b"app.py": b"new\n"},
    "add": {b"a/b/c.txt": b"deep\n", b"top": b"x"},
    "delete": {b"README.md": None, b"only/child": None},
    "file to folder": {b"app.py": None, b"app.py/inside": b"x\n"},
    "folder to file": {b"only/child": None, b"only": b"a file now\n"},
    "odd names": {b"\xff\xfe": b"1", b"new\nline/x": b"2", b"*.py": b"3", b":(top)x": b"4", b"-rf": b"5"},
    "bytes": {b"app.py": b"\0\r\n\xff", b"empty": b""},
    "everything": dict.fromkeys((b"README.md", b"app.py", b"docs/notes.txt", b"run.sh", b"link", b"only/child")),
}


@pytest.mark.parametrize("name", PATCHES)
def test_the_files_follow_the_branch(work, opened, name):
    """After a patch the work tree is what git itself would have checked out."""
    assert not _foreign(opened, PATCHES[name])
    land(opened, name, PATCHES[name])
    assert clean(work)
    assert sound(work)
    for path, data in PATCHES[name].items():
        if data is not None:
            assert (Path(os.fsdecode(os.fsencode(work) + b"/" + path))).read_bytes() == data
    # git diff-index would see an index that lags; a hard reset finds nothing to do.
    before = {path: path.lstat().st_mtime_ns for path in work.rglob("*") if ".git" not in path.parts}
    git(work, "reset", "-q", "--hard")
    assert before == {path: path.lstat().st_mtime_ns for path in work.rglob("*") if ".git" not in path.parts}


def test_folders_that_a_patch_leaves_empty_go(work, opened):
    land(opened, "one", {b"only/child": None})
    assert not (work / "only").exists()


def test_modes_and_links_follow(work, opened):
    tree = _tip_tree(opened)
    edits = [
        change(tree, b"app.py", b"#!/bin/sh\n", Mode.EXECUTABLE),
        change(tree, b"run.sh", b"plain\n"),
        change(tree, b"link", b"docs", Mode.SYMLINK),
        change(tree, b"README.md", b"app.py", Mode.SYMLINK),
        change(tree, b"only/child", b"#!\n", Mode.EXECUTABLE),
    ]
    put(opened, "one", write_tree(opened, tree, edits))
    assert worktree.materialise(opened, WORK) == "current"
    assert os.access(work / "app.py", os.X_OK)
    assert not os.access(work / "run.sh", os.X_OK)
    assert (work / "link").readlink() == Path("docs")
    assert (work / "README.md").readlink() == Path("app.py")
    assert clean(work)


def test_a_files_permissions_are_a_persons(work, opened):
    (work / "app.py").chmod(0o600)
    land(opened, "one", {b"app.py": b"new\n"})
    assert (work / "app.py").stat().st_mode & 0o777 == 0o600


def test_only_the_files_of_the_patch_are_touched(work, opened):
    """Dirty, staged, untracked, ignored: everything else is to the bit as it was, and so is what git says of it."""
    (work / "README.md").write_text("dirty\n")
    (work / "docs" / "notes.txt").write_text("staged\n")
    git(work, "add", "docs/notes.txt")
    (work / "docs" / "notes.txt").write_text("staged and dirty\n")
    (work / "untracked").write_text("mine\n")
    (work / "run.sh").unlink()
    git(work, "rm", "-q", "--cached", "link")
    before = git(work, "status", "--porcelain")
    diff = git(work, "diff"), git(work, "diff", "--cached")
    land(opened, "one", {b"app.py": b"new\n", b"added/x": b"y\n"})
    assert git(work, "status", "--porcelain") == before
    assert (git(work, "diff"), git(work, "diff", "--cached")) == diff
    assert (work / "docs" / "notes.txt").read_text() == "staged and dirty\n"


def test_a_linked_work_tree_follows_and_the_main_one_does_not(work, opened, tmp_path):
    git(work, "checkout", "-q", "main")
    linked = tmp_path / "linked"
    git(work, "worktree", "add", "-q", str(linked), WORK)
    land(opened, "one", {b"app.py": b"new\n"})
    assert (linked / "app.py").read_text() == "new\n"
    assert clean(linked)
    assert (work / "app.py").read_text() != "new\n"
    assert clean(work)


@pytest.mark.parametrize("shape", ["version 4", "split", "untracked cache", "cache tree", "assume unchanged"])
def test_every_shape_of_index_is_kept(work, opened, shape):
    match shape:
        case "version 4":
            git(work, "update-index", "--index-version", "4")
        case "split":
            git(work, "update-index", "--split-index")
        case "untracked cache":
            git(work, "update-index", "--force-untracked-cache")
        case "cache tree":
            git(work, "write-tree")
        case "assume unchanged":
            git(work, "update-index", "--assume-unchanged", "README.md")
    land(opened, "one", {b"app.py": b"new\n", b"z/new": b"1\n", b"only/child": None})
    assert clean(work)
    assert git(work, "write-tree") == git(work, "rev-parse", "HEAD^{tree}")
    if shape == "assume unchanged":
        assert "h README.md" in git(work, "ls-files", "-v")


def test_a_sparse_work_tree_stays_sparse(work, opened):
    git(work, "sparse-checkout", "set", "--no-cone", "/app.py")
    assert not _foreign(opened, {b"docs/notes.txt": b"new\n", b"app.py": b"new\n"})
    land(opened, "one", {b"docs/notes.txt": b"new\n", b"app.py": b"new\n"})
    assert not (work / "docs").exists()
    assert (work / "app.py").read_text() == "new\n"
    assert clean(work)


def test_a_checkout_with_other_line_ends_is_no_edit(work, opened):
    git(work, "config", "core.autocrlf", "true")
    for path in ("app.py", "docs/notes.txt"):
        (work / path).unlink()
    git(work, "checkout", "-q", "--", ".")
    assert b"\r\n" in (work / "app.py").read_bytes()
    assert not _foreign(opened, {b"app.py": b"new\n", b"docs/notes.txt": None})
    land(opened, "one", {b"app.py": b"new\n", b"docs/notes.txt": None})
    assert clean(work)


def test_a_file_that_a_filter_checked_out_is_no_edit(work, opened):
    """Like git-lfs: the disk holds other bytes than the blob, and git's stat cache knows that nobody touched them."""
    git(work, "config", "filter.upper.smudge", "tr a-z A-Z")
    git(work, "config", "filter.upper.clean", "tr A-Z a-z")
    (work / ".gitattributes").write_text("app.py filter=upper\n")
    (work / "app.py").unlink()
    git(work, "checkout", "-q", "--", "app.py")
    assert b"DEF GREET" in (work / "app.py").read_bytes()
    # An index as young as the file proves nothing.
    os.utime(work / ".git" / "index")
    assert not _foreign(opened, {b"app.py": b"new\n"})
    land(opened, "one", {b"app.py": b"new\n"})
    assert (work / "app.py").read_bytes() == b"new\n"
    (work / "app.py").write_bytes(b"MINE\n")
    assert _foreign(opened, {b"app.py": b"newer\n"})


def test_an_edit_within_the_clocks_tick_is_still_seen_by_git(work, opened):
    """Git compares content where a file is as young as the index; a new index must not make such a file look old."""
    (work / "README.md").write_text("# a repositorY\n")
    git(work, "add", "README.md")
    index = (work / ".git" / "index").stat()
    (work / "README.md").write_text("# A REPOSITORy\n")
    os.utime(work / "README.md", ns=(index.st_mtime_ns, index.st_mtime_ns))
    land(opened, "one", {b"app.py": b"new\n"})
    assert (work / ".git" / "index").stat().st_mtime_ns == index.st_mtime_ns


# --- foreign edits ------------------------------------------------------------------------------------------------


def _edit(work):
    (work / "app.py").write_text("by hand\n")


def _edit_same_size_and_time(work):
    before = (work / "app.py").stat()
    (work / "app.py").write_bytes((work / "app.py").read_bytes()[::-1])
    os.utime(work / "app.py", ns=(before.st_atime_ns, before.st_mtime_ns))


def _stage(work):
    _edit(work)
    git(work, "add", "app.py")


def _stage_and_restore(work):
    old = (work / "app.py").read_bytes()
    _stage(work)
    (work / "app.py").write_bytes(old)


def _delete(work):
    (work / "app.py").unlink()


def _stage_delete(work):
    git(work, "rm", "-q", "app.py")


def _forget(work):
    git(work, "rm", "-q", "--cached", "app.py")


def _make_executable(work):
    (work / "app.py").chmod(0o755)


def _stage_mode(work):
    git(work, "update-index", "--chmod=+x", "app.py")


def _replace_by_link(work):
    (work / "app.py").rename(work / "moved")
    (work / "app.py").symlink_to("moved")


def _replace_by_folder(work):
    _delete(work)
    (work / "app.py").mkdir()
    (work / "app.py" / "x").write_text("x")


def _replace_by_pipe(work):
    _delete(work)
    os.mkfifo(work / "app.py")


def _conflict(work):
    git(work, "checkout", "-q", "-b", "other", "HEAD")
    (work / "app.py").write_text("theirs\n")
    git(work, "commit", "-qam", "theirs")
    git(work, "checkout", "-q", WORK)
    (work / "app.py").write_text("ours\n")
    git(work, "commit", "-qam", "ours")
    subprocess.run(["git", "merge", "-q", "other"], cwd=work, capture_output=True, check=False)


def _untracked(work):
    (work / "new.txt").write_text("mine\n")


def _ignored(work):
    (work / ".git" / "info" / "exclude").write_text("new.txt\n")
    _untracked(work)


def _intend(work):
    _untracked(work)
    git(work, "add", "-N", "new.txt")


def _staged_new(work):
    _untracked(work)
    git(work, "add", "new.txt")


def _folder_where_a_file_comes(work):
    (work / "new.txt").mkdir()
    (work / "new.txt" / "mine").write_text("x")


def _file_where_a_folder_comes(work):
    (work / "fresh").write_text("mine\n")


def _link_where_a_folder_comes(work):
    (work / "fresh").symlink_to("/tmp")


def _staged_below(work):
    _folder_where_a_file_comes(work)
    git(work, "add", "new.txt")
    (work / "new.txt" / "mine").unlink()


NEW = {b"app.py": b"by ghost\n", b"new.txt": b"by ghost\n", b"fresh/x": b"by ghost\n"}
GONE = {b"app.py": None}


@pytest.mark.parametrize(
    ("by_hand", "patch", "edit"),
    [
        (_edit, NEW, (b"app.py", "+by hand")),
        (_edit, GONE, (b"app.py", "+by hand")),
        (_edit_same_size_and_time, NEW, (b"app.py", "edited by hand")),
        (_stage, NEW, (b"app.py", "staged by hand")),
        (_stage, GONE, (b"app.py", "staged by hand")),
        (_stage_and_restore, NEW, (b"app.py", "staged by hand")),
        (_delete, NEW, (b"app.py", "deleted")),
        (_stage_delete, NEW, (b"app.py", "deleted")),
        (_forget, NEW, (b"app.py", "deleted (staged")),
        (_forget, GONE, None),
        (_make_executable, NEW, (b"app.py", "mode 100644 -> 100755")),
        (_stage_mode, NEW, (b"app.py", "mode 100644 -> 100755")),
        (_replace_by_link, NEW, (b"app.py", "mode 100644 -> 120000")),
        (_replace_by_folder, NEW, (b"app.py", "app.py/x stands in its way")),
        (_replace_by_pipe, NEW, (b"app.py", "edited by hand")),
        (_conflict, NEW, (b"app.py", "merge conflict")),
        (_untracked, NEW, (b"new.txt", "+mine")),
        (_ignored, NEW, (b"new.txt", "+mine")),
        (_intend, NEW, (b"new.txt", "by hand")),
        (_staged_new, NEW, (b"new.txt", "staged by hand")),
        (_folder_where_a_file_comes, NEW, (b"new.txt", "new.txt/mine stands in its way")),
        (_file_where_a_folder_comes, NEW, (b"fresh/x", "fresh stands in its way")),
        (_link_where_a_folder_comes, NEW, (b"fresh/x", "fresh stands in its way")),
        (_staged_below, NEW, (b"new.txt", "new.txt/mine is staged below it")),
    ],
)
def test_what_a_person_did_to_a_path_of_the_patch_is_found_and_never_overwritten(work, opened, by_hand, patch, edit):
    by_hand(work)
    before = git(work, "status", "--porcelain", "-uall")
    found = _foreign(opened, patch)
    assert git(work, "status", "--porcelain", "-uall") == before, "looking changes nothing"
    if edit is None:
        # The index lets go of what the patch deletes, and the disk has git's own bytes: nothing of a person's is lost.
        assert found == ()
        return
    path, word = edit
    assert [each.path for each in found] == [path]
    assert word in found[0].diff
    # Were the patch to land all the same, its other files come, and this one waits.
    seal_in(opened, "one", patch)
    assert worktree.materialise(opened, WORK) == "pending"
    for other, data in patch.items():
        if other != path and data is not None:
            assert (work / os.fsdecode(other)).read_bytes() == data
    assert worktree.materialise(opened, WORK) == "pending", "and it goes on waiting"
    status = {line[3:]: line[:2] for line in git(work, "status", "--porcelain", "-uall").splitlines()}
    assert any(name.startswith(os.fsdecode(path).split("/")[0]) for name in status)


@pytest.mark.parametrize("staged", [False, True])
def test_an_edit_that_is_what_the_patch_would_make_is_no_obstacle(work, opened, staged):
    for path, data in NEW.items():
        (work / os.fsdecode(path)).parent.mkdir(exist_ok=True)
        (work / os.fsdecode(path)).write_bytes(data)
    if staged:
        git(work, "add", "-A")
    assert not _foreign(opened, NEW)
    land(opened, "one", NEW)
    assert clean(work)


def test_empty_folders_are_no_obstacle(work, opened):
    (work / "new.txt" / "deep").mkdir(parents=True)
    assert not _foreign(opened, NEW)
    land(opened, "one", NEW)
    assert clean(work)


def test_many_paths_are_looked_at_at_once(work, opened):
    files = {b"many/%d" % number: b"x\n" for number in range(300)}
    land(opened, "one", files)
    (work / "many" / "7").write_text("by hand\n")
    assert [edit.path for edit in _foreign(opened, dict.fromkeys(files, b"y\n"))] == [b"many/7"]
    (work / "many" / "7").write_text("x\n")
    land(opened, "two", dict.fromkeys(files, b"y\n"))
    assert clean(work)


def test_a_named_pipe_or_a_huge_file_does_not_hang_the_look(work, opened):
    with (work / "huge").open("wb") as file:
        file.truncate(3 << 30)
    assert [edit.path for edit in _foreign(opened, {b"huge": b"x"})] == [b"huge"]
    assert len(_foreign(opened, {b"huge": b"x"})[0].diff) < 100_000


# --- catching up --------------------------------------------------------------------------------------------------


def test_a_patch_behind_which_the_files_lag_is_brought_later(work, opened):
    """Died between the commit point and the files: the next call does it, and says what it did."""
    seal_in(opened, "one", {b"app.py": b"1\n"})
    seal_in(opened, "two", {b"app.py": b"2\n", b"README.md": None})
    assert not clean(work)
    assert worktree.mend(opened, WORK) == [f"brought the files of {WORK} to its tip"]
    assert (work / "app.py").read_text() == "2\n"
    assert clean(work)
    assert worktree.mend(opened, WORK) == []


def test_a_file_that_lags_is_not_taken_for_an_edit(work, opened):
    seal_in(opened, "one", {b"app.py": b"1\n"})
    assert not _foreign(opened, {b"app.py": b"2\n"})


def test_a_change_on_one_that_has_not_landed_yet_is_no_edit(work, opened):
    """Patches of one group touch the same path before anything was ever noted about the files."""
    oid = str(opened.store(ObjectType.BLOB, b"of the patch before\n"))
    before = Entry(mode=Mode.FILE, oid=oid)
    change = Change(path=b"app.py", before=before, after=File(mode=Mode.FILE, data=b"2\n"))
    assert not worktree.foreign_edits(opened, work, [change])
    (work / "app.py").write_text("a person's\n")
    assert [edit.path for edit in worktree.foreign_edits(opened, work, [change])] == [b"app.py"]


def test_files_written_before_a_kill_are_only_staged(work, opened):
    seal_in(opened, "one", {b"app.py": b"1\n", b"new": b"x\n"})
    (work / "app.py").write_text("1\n")
    assert worktree.materialise(opened, WORK) == "current"
    assert clean(work)


def test_a_person_who_commits_on_the_working_branch_is_no_trouble(work, opened):
    land(opened, "one", {b"app.py": b"1\n"})
    (work / "app.py").write_text("by hand\n")
    git(work, "commit", "-qam", "by hand")
    (work / "app.py").write_text("by hand, and going on\n")
    (work / "README.md").write_text("dirty\n")
    assert worktree.materialise(opened, WORK) == "current"
    assert (work / "app.py").read_text() == "by hand, and going on\n"
    git(work, "checkout", "-q", "--", "app.py")
    land(opened, "two", {b"docs/notes.txt": b"2\n"})
    assert git(work, "status", "--porcelain") == "M README.md"


@pytest.mark.parametrize("way", ["--hard", "--mixed", "--soft"])
def test_a_person_who_rewinds_the_working_branch_is_no_trouble(work, opened, way):
    land(opened, "one", {b"app.py": b"1\n"})
    land(opened, "two", {b"app.py": b"2\n"})
    git(work, "reset", "-q", way, "HEAD~1")
    before = git(work, "status", "--porcelain"), (work / "app.py").read_bytes()
    result = worktree.materialise(opened, WORK)
    after = git(work, "status", "--porcelain"), (work / "app.py").read_bytes()
    if way == "--soft":
        # Index and file still are the later patch's: they lag behind (or ahead of) the branch and follow it.
        assert (result, after) == ("current", ("", b"1\n"))
    else:
        assert (result, after) == ("current", before)


def test_who_leaves_the_branch_and_comes_back_has_gits_files(work, opened):
    land(opened, "one", {b"app.py": b"1\n"})
    git(work, "checkout", "-q", "main")
    land(opened, "two", {b"app.py": b"2\n"})
    git(work, "checkout", "-q", WORK)
    land(opened, "three", {b"app.py": b"3\n"})
    assert (work / "app.py").read_text() == "3\n"
    assert clean(work)


def test_previous_tells_where_the_files_are_when_nothing_was_noted(work, opened):
    old = commit.base(opened, WORK)
    tree = _tip_tree(opened)
    new = write_tree(opened, tree, changes(tree, {b"app.py": b"1\n"}))
    spec = commit.CommitSpec(tree=new, parents=(old,), message="m\n", author="", when=1)
    assert commit.move(opened, WORK, commit.write_commit(opened, spec), old)
    assert worktree.materialise(opened, WORK, previous=old) == "current"
    assert (work / "app.py").read_text() == "1\n"
    assert clean(work)


def test_a_locked_index_leaves_the_commit_standing_and_the_files_behind(work, opened):
    (work / ".git" / "index.lock").touch()
    seal_in(opened, "one", {b"app.py": b"1\n"})
    assert worktree.materialise(opened, WORK) == "pending"
    assert (work / "app.py").read_text() != "1\n"
    (work / ".git" / "index.lock").unlink()
    assert worktree.materialise(opened, WORK) == "current"
    assert clean(work)


def test_a_lock_on_the_index_is_waited_for(work):
    with open_repository(work, lock_timeout=10) as opened:
        lock = work / ".git" / "index.lock"
        lock.touch()
        seal_in(opened, "one", {b"app.py": b"1\n"})
        threading.Timer(0.2, lock.unlink).start()
        assert worktree.materialise(opened, WORK) == "current"
        assert clean(work)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_can_not_be_written_leaves_the_files_behind(work, opened):
    (work / "docs").chmod(0o500)
    seal_in(opened, "one", {b"docs/notes.txt": b"1\n", b"app.py": b"1\n"})
    assert worktree.materialise(opened, WORK) == "pending"
    (work / "docs").chmod(0o700)
    assert worktree.materialise(opened, WORK) == "current"
    assert clean(work)


def test_nothing_is_ever_written_through_a_symlink(work, opened, tmp_path):
    """A folder that was swapped for a link between the check and the files."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "notes.txt").write_text("precious\n")
    seal_in(opened, "one", {b"docs/notes.txt": b"evil\n", b"docs/new": b"evil\n", b"only/child": None})
    for folder in ("docs", "only"):
        (work / folder).rename(work / f"{folder}-moved")
        (work / folder).symlink_to(outside)
    (outside / "child").write_text("x\n")
    assert worktree.materialise(opened, WORK) == "pending"
    assert {path.name: path.read_text() for path in outside.iterdir()} == {"notes.txt": "precious\n", "child": "x\n"}


def test_a_submodules_folder_is_left_alone(work, opened):
    git(work, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},sub")
    git(work, "commit", "-q", "-m", "sub")
    (work / "sub").mkdir()
    (work / "sub" / "mine").write_text("x")
    assert not _foreign(opened, {b"app.py": b"1\n"})
    land(opened, "one", {b"app.py": b"1\n"})
    assert (work / "sub" / "mine").read_text() == "x"


def test_where_no_work_tree_is_asking_for_edits_is_a_bug(opened, tmp_path):
    with pytest.raises(ValueError, match="no work tree"):
        worktree.foreign_edits(opened, tmp_path, [])


# --- mending ------------------------------------------------------------------------------------------------------


def _leave_locks(work) -> list[Path]:
    folder = work / ".git"
    names = [
        "refs/heads/ghost/work.lock",
        "refs/ghost/worktree/ghost/work.lock",
        "refs/ghost/proofs/ghost/work.lock",
        "refs/ghost/thawed/P1.lock",
        "refs/tags/phase/P1.lock",
        "index.lock",
        "HEAD.lock",
        "packed-refs.lock",
    ]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return [folder / name for name in names]


def test_locks_that_nobody_holds_are_removed(work, opened):
    left = _leave_locks(work)
    mended = worktree.mend(opened, WORK, stale_after=0)
    assert not any(lock.exists() for lock in left)
    assert all(any(str(lock) in line for line in mended) for lock in left)


def test_a_young_lock_that_may_be_somebody_elses_is_left(work, opened):
    left = _leave_locks(work)
    worktree.mend(opened, WORK)
    assert [lock.name for lock in left if lock.exists()] == [
        "index.lock",
        "HEAD.lock",
        "packed-refs.lock",
    ]


def test_a_lock_that_somebody_holds_is_left_however_old(work, opened):
    lock = work / ".git" / "index.lock"
    code = "import sys; f = open(sys.argv[1], 'x'); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        holder.stdout.readline()
        os.utime(lock, (1, 1))
        worktree.mend(opened, WORK, stale_after=0)
        assert lock.exists()
        holder.stdin.close()
    worktree.mend(opened, WORK, stale_after=0)
    assert not lock.exists()


def test_what_a_kill_left_half_made_is_removed(work, opened):
    folder = work / ".git"
    (folder / "ghost-tmp").mkdir()
    (folder / "ghost-tmp" / "abc").write_text("half")
    (folder / "ghost-index").write_text("half")
    (folder / "ghost-index.lock").write_text("")
    (folder / "ghost-lock-999999").write_text("ghost 999999 1\n")
    os.link(folder / "ghost-lock-999999", folder / "index.lock")
    worktree.mend(opened, WORK)
    assert not list(folder.glob("ghost-index*"))
    assert not list(folder.glob("ghost-lock*"))
    assert not (folder / "index.lock").exists()
    assert not (folder / "ghost-tmp").exists()
    land(opened, "one", {b"app.py": b"1\n"})
    assert clean(work)


def test_a_git_folder_on_another_disk_is_no_trouble(work, opened, monkeypatch):
    """Then the new file is made beside its place, and what a kill leaves there is removed by the next attempt."""
    monkeypatch.setattr("ghostd.repo.disk._same_disk", lambda *_: False)
    land(opened, "one", {b"app.py": b"1\n", b"only/child": None, b"z/y/x": b"1\n"})
    assert clean(work)
    seal_in(opened, "two", {b"app.py": b"2\n"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.rename", lambda *_, **__: (_ for _ in ()).throw(OSError("killed")))
        assert worktree.materialise(opened, WORK) == "pending"
    assert [path.name for path in work.iterdir() if "tmp" in path.name] != []
    assert worktree.materialise(opened, WORK) == "current"
    assert clean(work)


# --- the disk ---------------------------------------------------------------------------------------------------


def _waits(monkeypatch, ordered: bool) -> list[str]:
    """What is waited for and renamed, by name, in order."""
    seen: list[str] = []

    def told(word, real, name):
        def act(*arguments, **more):
            seen.append(f"{word} {name(*arguments)}")
            return real(*arguments, **more)

        return act

    def opened(fd, *_):
        return Path(f"/proc/self/fd/{fd}").readlink().name

    def new(_, target):
        return os.path.basename(os.fsdecode(target))  # noqa: PTH119 - bytes, or a path, or a text

    monkeypatch.setattr(sync, "_sync_file_range", told("out", sync._sync_file_range, opened))
    monkeypatch.setattr(os, "fsync", told("fsync", os.fsync, opened))
    for verb in ("rename", "replace"):
        monkeypatch.setattr(os, verb, told("name", getattr(os, verb), new))
    monkeypatch.setattr(os, "pwrite", told("ref", os.pwrite, opened))
    monkeypatch.setattr(sync, "has_ordered_journal", lambda _folder: ordered)
    return seen


def _all_waits(ordered: bool) -> list[str]:
    made = hashlib.sha1(b"docs/notes.txt").hexdigest()[:16]
    if ordered:
        # One wait, after the last name and before the ref.
        return [f"out {made}", "name notes.txt", "out ghost-index", "name index", "fsync index", "ref work"]
    files = [f"fsync {made}", "name notes.txt", "fsync docs", "fsync ghost-index", "name index", "fsync .git"]
    return [*files, "ref work"]


@pytest.mark.parametrize("ordered", [True, False], ids=["ordered journal", "any file system"])
def test_the_files_are_on_the_disk_before_the_ref_tells_so(work, monkeypatch, ordered):
    seen = _waits(monkeypatch, ordered)
    with open_repository(work, durability="power") as opened:
        land(opened, "one", {b"docs/notes.txt": b"1\n"})
        seal_in(opened, "two", {b"docs/notes.txt": b"2\n"})
        seen.clear()
        assert worktree.materialise(opened, WORK) == "current"
    assert seen == _all_waits(ordered)


def test_nobody_waits_where_a_killed_process_is_all_that_is_feared(work, monkeypatch):
    seen = _waits(monkeypatch, ordered=True)
    with open_repository(work, durability="process") as opened:
        land(opened, "one", {b"app.py": b"1\n"})
    assert [what for what in seen if what.startswith(("out ", "fsync "))] == []
