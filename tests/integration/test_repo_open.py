"""Opening repositories of every shape, and refusing what is none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from repo_play import WORK, clean, git, land, sound

from ghostd.base.errors import Cannot
from ghostd.repo import commit, find, worktree
from ghostd.repo.git import open_repository


def test_every_door_leads_to_the_same_repository(repo, tmp_path):
    """Root, folder inside, Git folder, symlink, linked work tree and its `.git` file have one identity."""
    git(repo, "worktree", "add", "-q", "-b", "side", str(tmp_path / "linked"))
    (tmp_path / "alias").symlink_to(repo)
    doors = [repo, repo / "docs", repo / ".git", tmp_path / "alias", tmp_path / "alias" / "docs"]
    doors += [tmp_path / "linked", tmp_path / "linked" / "docs", tmp_path / "linked" / ".git"]
    seen = set()
    for door in doors:
        with open_repository(door) as opened:
            seen.add(opened.identity)
            assert not opened.bare
    assert seen == {str((repo / ".git").resolve())}


def test_the_work_tree_is_the_one_that_the_path_lies_in(repo, tmp_path):
    git(repo, "worktree", "add", "-q", "-b", "side", str(tmp_path / "linked"))
    with open_repository(tmp_path / "linked" / "docs") as linked, open_repository(repo / ".git") as main:
        assert (linked.work_dir, main.work_dir) == (tmp_path / "linked", repo)


def test_a_bare_repository_takes_patches(repo, tmp_path):
    bare = tmp_path / "bare.git"
    git(tmp_path, "clone", "-q", "--bare", str(repo), str(bare))
    with open_repository(bare) as opened:
        assert opened.bare
        assert opened.work_dir is None
        land(opened, "one", {b"new.txt": b"hello\n"})
        assert worktree.checked_out_at(opened, "main") is None
        assert worktree.materialise(opened, WORK) == "none"
    assert git(bare, "show", f"{WORK}:new.txt") == "hello"
    assert sound(bare)


def test_the_first_patch_of_an_empty_repository_is_the_root_commit(tmp_path):
    where = tmp_path / "empty"
    git(tmp_path, "init", "-q", "-b", "main", str(where))
    with open_repository(where) as opened:
        assert commit.base(opened, WORK) is None
        land(opened, "one", {b"a/b.txt": b"hello\n"})
    assert git(where, "rev-list", "--count", WORK) == "1"
    assert git(where, "ls-tree", "-r", "--name-only", WORK) == "a/b.txt"
    assert sound(where)


def test_the_first_patch_may_give_birth_to_the_branch_that_head_waits_for(tmp_path):
    where = tmp_path / "empty"
    git(tmp_path, "init", "-q", "-b", WORK, str(where))
    with open_repository(where) as opened:
        assert worktree.checked_out_at(opened, WORK) == where
        land(opened, "one", {b"a/b.txt": b"hello\n"})
    assert (where / "a" / "b.txt").read_bytes() == b"hello\n"
    assert clean(where)
    assert sound(where)


def test_a_detached_head_is_where_the_working_branch_begins(repo):
    first = git(repo, "rev-parse", "HEAD")
    git(repo, "commit", "-q", "--allow-empty", "-m", "second")
    git(repo, "checkout", "-q", first)
    with open_repository(repo) as opened:
        assert commit.base(opened, WORK) == first
        land(opened, "one", {b"new.txt": b"x\n"})
    assert git(repo, "rev-parse", f"{WORK}~1") == first
    assert clean(repo)


def test_objects_of_an_alternate_are_read(repo, tmp_path):
    borrower = tmp_path / "borrower"
    git(tmp_path, "clone", "-q", "--shared", str(repo), str(borrower))
    with open_repository(borrower) as opened:
        land(opened, "one", {b"app.py": b"print()\n"})
    assert sound(borrower)


def _nothing(where: Path) -> Path:
    return where / "nowhere"


def _plain_folder(where: Path) -> Path:
    return where


def _file(where: Path) -> Path:
    (where / "file").write_text("x")
    return where / "file"


def _dangling_pointer(where: Path) -> Path:
    (where / ".git").write_text("gitdir: /nonexistent/place\n")
    return where


def _broken_pointer(where: Path) -> Path:
    (where / ".git").write_bytes(b"\xff\x00 no pointer")
    return where


def _loop(where: Path) -> Path:
    (where / "loop").symlink_to("loop")
    return where / "loop"


def _half_made(where: Path) -> Path:
    (where / ".git").mkdir()
    (where / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    return where


def _broken_config(where: Path) -> Path:
    git(where, "init", "-q")
    (where / ".git" / "config").write_text("[core\n")
    return where


def _orphan(where: Path) -> Path:
    git(where, "init", "-q", "main")
    git(where / "main", "commit", "-q", "--allow-empty", "-m", "x")
    git(where / "main", "worktree", "add", "-q", str(where / "linked"))
    (where / "main").rename(where / "moved")
    return where / "linked"


def _sha256(where: Path) -> Path:
    git(where, "init", "-q", "--object-format=sha256")
    return where


def _reftable(where: Path) -> Path:
    git(where, "init", "-q")
    git(where, "config", "core.repositoryFormatVersion", "1")
    git(where, "config", "extensions.refStorage", "reftable")
    return where


def _unknown_extension(where: Path) -> Path:
    git(where, "init", "-q")
    git(where, "config", "core.repositoryFormatVersion", "1")
    git(where, "config", "extensions.fromTheFuture", "true")
    return where


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (_nothing, "repo-missing"),
        (_loop, "repo-missing"),
        (_plain_folder, "repo-invalid"),
        (_file, "repo-invalid"),
        (_dangling_pointer, "repo-invalid"),
        (_broken_pointer, "repo-invalid"),
        (_half_made, "repo-invalid"),
        (_broken_config, "repo-invalid"),
        (_orphan, "repo-invalid"),
        (_sha256, "repo-unsupported"),
        (_reftable, "repo-unsupported"),
        (_unknown_extension, "repo-unsupported"),
    ],
)
def test_what_is_no_repository_of_ours_gets_one_clear_line(tmp_path, make, kind):
    with pytest.raises(Cannot) as refusal:
        open_repository(make(tmp_path))
    assert refusal.value.kind == kind
    assert refusal.value.hint
    assert "\n" not in str(refusal.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_another_users_repository_is_refused_unless_it_is_marked_safe(repo, tmp_path, monkeypatch):
    os.chown(repo / ".git", 4242, 4242)
    with pytest.raises(Cannot) as refusal:
        open_repository(repo)
    assert refusal.value.kind == "repo-foreign"
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".gitconfig").write_text(f"[safe]\n\tdirectory = {repo}\n")
    open_repository(repo).close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_the_user_behind_sudo_is_trusted(repo, monkeypatch):
    os.chown(repo / ".git", 4242, 4242)
    monkeypatch.setenv("SUDO_UID", "4242")
    open_repository(repo).close()


def test_a_work_tree_that_does_not_point_back_is_not_written_to(repo, tmp_path):
    """core.worktree is a line of a stranger's config: it must not lead our writes anywhere."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    git(repo, "config", "core.worktree", str(elsewhere))
    with open_repository(repo / ".git") as opened:
        assert opened.work_dir is None
        assert worktree.checked_out_at(opened, "main") is None
        land(opened, "one", {b"app.py": b"x\n"}, branch="main")
    assert list(elsewhere.iterdir()) == []


def test_variables_of_a_calling_git_lead_nowhere(repo, tmp_path, monkeypatch):
    """Ghost may be started from within a hook, where GIT_DIR and its like are set."""
    git(tmp_path, "init", "-q", "other")
    for name in ("GIT_DIR", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY"):
        monkeypatch.setenv(name, str(tmp_path / "other" / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "stray-index"))
    with open_repository(repo) as opened:
        land(opened, "one", {b"app.py": b"x\n"}, branch="main")
    for name in ("GIT_DIR", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name)
    assert clean(repo)
    assert not (tmp_path / "stray-index").exists()
    assert git(tmp_path / "other", "for-each-ref") == ""


def test_without_git_there_is_a_hint(repo, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Cannot) as refusal:
        find.git_binary()
    assert refusal.value.kind == "git-missing"
