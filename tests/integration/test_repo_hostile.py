"""A repository whose configuration names programs for everything: git runs each of them, this room runs none."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from repo_play import WORK, changes, clean, git, land, seal_in

from ghostd.repo import commit, history, worktree
from ghostd.repo.git import open_repository
from ghostd.repo.objects import diff_stat, diff_text, tree_of

HOOKS = (
    *("applypatch-msg", "pre-applypatch", "post-applypatch", "pre-commit", "pre-merge-commit", "prepare-commit-msg"),
    *("commit-msg", "post-commit", "pre-rebase", "post-checkout", "post-merge", "pre-push", "pre-receive", "update"),
    *("proc-receive", "post-receive", "post-update", "reference-transaction", "push-to-checkout", "pre-auto-gc"),
    *("post-rewrite", "sendemail-validate", "fsmonitor-watchman", "post-index-change"),
)

#: Configuration that names a program; CANARY/x is one that leaves a file named x.
CONFIG = {
    "core.fsmonitor": "CANARY/fsmonitor",
    "core.sshCommand": "CANARY/ssh",
    "core.gitProxy": "CANARY/proxy",
    "core.editor": "CANARY/editor",
    "sequence.editor": "CANARY/sequence-editor",
    "core.pager": "CANARY/pager",
    "pager.log": "CANARY/pager-log",
    "core.askPass": "CANARY/askpass",
    "core.alternateRefsCommand": "CANARY/alternate-refs",
    "credential.helper": "!CANARY/credential",
    "diff.external": "CANARY/diff-external",
    "diff.evil.command": "CANARY/diff-command",
    "diff.evil.textconv": "CANARY/textconv",
    "merge.evil.driver": "CANARY/merge-driver",
    "filter.evil.clean": "CANARY/clean",
    "filter.evil.smudge": "CANARY/smudge",
    "filter.evil.required": "false",
    "filter.slow.process": "CANARY/process",
    "gpg.program": "CANARY/gpg",
    "gpg.ssh.program": "CANARY/gpg-ssh",
    "commit.gpgSign": "true",
    "tag.gpgSign": "true",
    "tag.forceSignAnnotated": "true",
    "log.showSignature": "true",
    "alias.update-index": "!CANARY/alias",
    "alias.sly": "!CANARY/alias",
    "trailer.ghost-patch-id.command": "CANARY/trailer",
    "trailer.ghost-patch-id.cmd": "CANARY/trailer",
    "uploadpack.packObjectsHook": "CANARY/pack-objects",
    "gc.auto": "1",
    "gc.recentObjectsHook": "CANARY/gc",
    "maintenance.auto": "true",
    "submodule.recurse": "true",
    "submodule.sub.update": "!CANARY/submodule",
    "core.logAllRefUpdates": "always",
    "core.splitIndex": "true",
    "core.untrackedCache": "true",
}
ATTRIBUTES = "*.py filter=evil diff=evil merge=evil\n*.txt filter=slow diff=evil\n"


@pytest.fixture
def nest(tmp_path) -> Path:
    """Where the canaries sit down when they are let out."""
    (tmp_path / "nest").mkdir()
    return tmp_path / "nest"


@pytest.fixture
def hostile(repo, nest, tmp_path) -> Path:
    """The working branch is checked out, then the traps are set."""
    git(repo, "checkout", "-q", "-b", WORK)
    cage = tmp_path / "cage"
    cage.mkdir()
    for value in CONFIG.values():
        if "CANARY/" in value:
            bird = value.rpartition("/")[2]
            (cage / bird).write_text(f'#!/bin/sh\ntouch "{nest}/{bird}"\nexit 1\n')
            (cage / bird).chmod(0o755)
    for hook in HOOKS:
        script = repo / ".git" / "hooks" / hook
        script.write_text(f'#!/bin/sh\ntouch "{nest}/hook-{hook}"\nexit 0\n')
        script.chmod(0o755)
    for key, value in CONFIG.items():
        git(repo, "config", key, value.replace("CANARY", str(cage)))
    (repo / ".git" / "info" / "attributes").write_text(ATTRIBUTES)
    (repo / ".gitattributes").write_text(ATTRIBUTES)
    for bird in nest.iterdir():
        bird.unlink()
    return repo


def _git_itself(where: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=where, capture_output=True, check=False, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("arguments", "bird"),
    [
        (("update-ref", "refs/heads/x", "HEAD"), "hook-reference-transaction"),
        (("status",), "fsmonitor"),
        (("add", "app.py"), "clean"),
        (("add", "docs/notes.txt"), "process"),
        (("log", "-p", "--ext-diff"), "diff-external"),
        (("log", "-p"), "textconv"),
        (("tag", "-m", "x", "x"), "gpg"),
        (("commit", "-m", "x", "--allow-empty"), "hook-pre-commit"),
        (("sly",), "alias"),
        (("interpret-trailers", "--trailer", "ghost-patch-id=x"), "trailer"),
        (("update-index", "--refresh"), "hook-post-index-change"),
    ],
)
def test_the_traps_are_real(hostile, nest, arguments, bird):
    """A plain git walks into them; else the test below would prove nothing."""
    for path in ("app.py", "docs/notes.txt"):
        (hostile / path).write_text("touched\n")
    _git_itself(hostile, *arguments)
    assert bird in {found.name for found in nest.iterdir()}


def _open_and_look(opened, work):
    commit.base(opened, WORK)
    worktree.checked_out_at(opened, WORK)
    list(history.tags(opened, "*"))


def _make_the_index_racy(opened, work):
    """Entries as young as the index make git look into the files, through their filters, when it writes an index."""
    info = (work / ".git" / "index").stat()
    for path in ("app.py", "docs/notes.txt"):
        os.utime(work / path, ns=(info.st_mtime_ns, info.st_mtime_ns))
    land(opened, "racy", {b"z.txt": b"1\n"})


def _land(opened, work):
    land(opened, "one", {b"app.py": b"1\n", b"docs/notes.txt": b"1\n", b"new.py": b"1\n", b"README.md": None})
    land(opened, "two", {b"app.py": b"2\n"})


def _look_for_edits(opened, work):
    (work / "app.py").write_text("by hand\n")
    (work / "docs" / "notes.txt").write_text("by hand\n")
    tree = tree_of(opened, commit.base(opened, WORK))
    found = worktree.foreign_edits(opened, work, changes(tree, {b"app.py": b"1\n", b"docs/notes.txt": b"1\n"}))
    assert len(found) == 2


def _mend(opened, work):
    seal_in(opened, "one", {b"app.py": b"1\n", b"docs/notes.txt": b"1\n"})
    assert worktree.mend(opened, WORK)


def _compare(opened, work):
    land(opened, "zero", {b"README.md": None})
    old, new = tree_of(opened, commit.base(opened, WORK)), tree_of(opened, seal_in(opened, "one", {b"app.py": b"1\n"}))
    assert "+1" in diff_text(opened, old.oid, new.oid)
    assert diff_stat(opened, old.oid, new.oid)["insertions"] == 1


def _take_a_copy(opened, work):
    with worktree.pool(opened, work.parent / "copies").checkout(tree_of(opened, commit.base(opened, WORK)).oid) as copy:
        (copy / "app.py").write_text("touched\n")
        assert worktree.read_back(opened, copy, tree_of(opened, commit.base(opened, WORK)).oid)


def _take_back(opened, work):
    one = land(opened, "one", {b"app.py": b"1\n"})
    two = land(opened, "two", {b"app.py": b"2\n", b"other.py": b"\n"})
    assert history.revert(opened, two, [two, one]).tree
    assert history.revert(opened, two, [one]).conflicts == (b"app.py",)


def _read(opened, work):
    land(opened, "one", {b"app.py": b"1\n"})
    assert history.landed_since(opened, WORK, None).landed
    assert history.log(opened, WORK, 5)[0].landed


def _tag_and_mark(opened, work):
    head = commit.base(opened, WORK)
    assert history.tag(opened, "phase/P1", head, "m", 1)[1]
    assert history.set_ref(opened, "refs/ghost/thawed/P1", head, None)
    assert history.delete_ref(opened, "refs/ghost/thawed/P1", head)


def _work_in_a_linked_tree(opened, work):
    (work / ".git" / "HEAD").write_text(commit.base(opened, WORK) + "\n")
    linked = work.parent / "linked"
    git(work, "-c", f"core.hooksPath={os.devnull}", "worktree", "add", "-q", "--no-checkout", str(linked), WORK)
    git(linked, "-c", f"core.hooksPath={os.devnull}", "read-tree", "HEAD")
    for bird in (work.parent / "nest").iterdir():
        bird.unlink()
    land(opened, "one", {b"fresh.py": b"1\n", b"fresh.txt": b"1\n"})
    assert (linked / "fresh.py").read_bytes() == b"1\n"


ACTS = [
    _open_and_look,
    _make_the_index_racy,
    _land,
    _look_for_edits,
    _mend,
    _compare,
    _take_a_copy,
    _take_back,
    _read,
    _tag_and_mark,
    _work_in_a_linked_tree,
]


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__.strip("_"))
def test_no_program_of_a_repository_ever_runs(hostile, nest, act):
    with open_repository(hostile) as opened:
        act(opened, hostile)
    assert sorted(found.name for found in nest.iterdir()) == []


def test_settings_of_the_user_and_the_system_are_not_read(repo, tmp_path, monkeypatch):
    """Someone's own hooks and line ends stay out of a repository that ghost writes to."""
    bird = tmp_path / "bird"
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "reference-transaction").write_text(f"#!/bin/sh\ntouch {bird}\n")
    (hooks / "reference-transaction").chmod(0o755)
    config = tmp_path / ".gitconfig"
    config.write_text(f"[core]\n\thooksPath = {hooks}\n\tautocrlf = true\n[user]\n\tname = Someone\n")
    git(repo, "checkout", "-q", "-b", WORK)
    with monkeypatch.context() as patch:
        patch.setenv("HOME", str(tmp_path))
        patch.setenv("GIT_CONFIG_GLOBAL", str(config))
        patch.setenv("GIT_CONFIG_PARAMETERS", f"'core.hooksPath={hooks}'")
        with open_repository(repo) as opened:
            land(opened, "one", {b"app.py": b"1\n"})
            assert history.log(opened, WORK, 1)
    assert not bird.exists()
    assert (repo / "app.py").read_bytes() == b"1\n"
    assert clean(repo)
    assert git(repo, "reflog", "-1", "--format=%gn <%ge>", WORK) == "ghost <ghost@localhost>"


def test_a_replaced_object_is_not_believed(repo):
    """refs/replace would show one thing to the git binary and another to libgit2."""
    with open_repository(repo) as opened:
        one = land(opened, "one", {b"x": b"1"})
        two = land(opened, "two", {b"x": b"2"})
        git(repo, "replace", two, one)
        assert [entry.commit for entry in history.log(opened, WORK, 1)] == [two]
        assert history.log(opened, WORK, 1)[0].landed.id == "two"
