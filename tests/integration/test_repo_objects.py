"""Trees and blobs, compared with what git itself makes of the same files."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest
from repo_play import change, changes, git

from ghostd.base.errors import Cannot
from ghostd.model.tree import Change, Entry, File, Mode
from ghostd.repo.git import open_repository
from ghostd.repo.objects import EMPTY_TREE, changed_entries, diff_stat, diff_text, tree_of, write_tree

ODD = b"\xff\xfe bytes"


@pytest.fixture
def opened(repo):
    with open_repository(repo) as opened:
        yield opened


@pytest.fixture
def rich(repo) -> Path:
    """A repository with every kind of entry."""
    (repo / "run.sh").write_text("#!/bin/sh\n")
    (repo / "run.sh").chmod(0o755)
    (repo / "link").symlink_to("docs/notes.txt")
    (repo / "docs" / "deep" / "er").mkdir(parents=True)
    (repo / "docs" / "deep" / "er" / "x").write_bytes(b"a\r\nb\0c")
    (repo / os.fsdecode(ODD)).write_text("odd\n")
    git(repo, "add", "-A")
    git(repo, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},sub")
    git(repo, "commit", "-q", "-m", "rich")
    return repo


def test_every_entry_is_seen_as_git_sees_it(rich, opened):
    tree = tree_of(opened, git(rich, "rev-parse", "HEAD"))
    listed = subprocess.run(["git", "ls-tree", "-rz", "HEAD"], cwd=rich, capture_output=True, check=True).stdout
    for line in listed.rstrip(b"\0").split(b"\0"):
        facts, path = line.split(b"\t", 1)
        mode, kind, oid = facts.decode().split()
        assert tree.entry(path) == Entry(mode=Mode(int(mode, 8)), oid=oid)
        assert not tree.is_folder(path)
        if kind == "blob":
            shown = subprocess.run(["git", "cat-file", "blob", oid], cwd=rich, capture_output=True, check=True).stdout
            assert tree.read(path) == shown
    assert tree.is_folder(b"docs/deep")
    assert tree.entry(b"docs/deep") is None


@pytest.mark.parametrize("path", [b"nowhere", b"docs", b"docs/nowhere", b"app.py/below", b"nowhere/at/all", b"sub"])
def test_reading_where_there_is_no_file_is_a_key_error(rich, opened, path):
    with pytest.raises(KeyError):
        tree_of(opened, git(rich, "rev-parse", "HEAD")).read(path)


def test_no_commit_is_the_empty_tree(opened):
    assert tree_of(opened, None).oid == EMPTY_TREE
    assert tree_of(opened, None).entry(b"x") is None


#: name: (files that go or come, as the tree of `rich` is changed)
EDITS = {
    "edit": {b"app.py": b"new\n"},
    "add deep": {b"a/b/c/d.txt": b"x"},
    "delete": {b"README.md": None},
    "folder vanishes": {b"docs/deep/er/x": None},
    "file to folder": {b"app.py": None, b"app.py/inside": b"x"},
    "folder to file": {b"docs/deep/er/x": None, b"docs/deep": b"now a file"},
    "folder to file at the top": {b"docs/deep/er/x": None, b"docs/notes.txt": None, b"docs": b"now a file"},
    "odd names": {ODD: b"changed", b"\xc3\x28/\xa0": b"x", b"new\nline": b"x", b"tab\tbed": b"x"},
    "order": {b"docs-": b"1", b"docs.txt": b"2", b"docs0": b"3", b"doc": b"4"},
    "bytes": {b"app.py": b"\x00\xff\r\n\x1a", b"empty": b""},
    "everything goes": {
        **dict.fromkeys((b"README.md", b"app.py", b"docs/notes.txt", b"docs/deep/er/x")),
        **dict.fromkeys((b"run.sh", b"link", ODD, b"sub")),
    },
}


@pytest.mark.parametrize("name", EDITS)
def test_a_written_tree_is_the_one_that_git_would_write(rich, opened, name):
    """The same change through git's own index gives the same tree id."""
    tree = tree_of(opened, git(rich, "rev-parse", "HEAD"))
    ours = write_tree(opened, tree, changes(tree, EDITS[name]))
    lines = b""
    for path, data in EDITS[name].items():
        if data is None:
            lines += b"0 " + b"0" * 40 + b"\t" + path + b"\0"
    for path, data in EDITS[name].items():
        if data is not None:
            oid = git(rich, "hash-object", "-w", "--stdin", "--no-filters", stdin=data)
            lines += b"100644 " + oid.encode() + b"\t" + path + b"\0"
    git(rich, "update-index", "-z", "--index-info", stdin=lines)
    assert ours == git(rich, "write-tree", "--missing-ok")


@pytest.mark.parametrize("mode", [Mode.FILE, Mode.EXECUTABLE, Mode.SYMLINK])
def test_modes_are_kept(rich, opened, mode):
    tree = tree_of(opened, git(rich, "rev-parse", "HEAD"))
    new = tree_of(opened, write_tree(opened, tree, [change(tree, b"app.py", b"docs", mode)]))
    assert new.entry(b"app.py").mode == mode
    opened.flush()
    assert git(rich, "ls-tree", new.oid, "app.py").startswith(f"{mode:o} blob")


@pytest.mark.parametrize(
    ("path", "file"),
    [
        (b".git/config", File(mode=Mode.FILE, data=b"")),
        (b"../out", File(mode=Mode.FILE, data=b"")),
        (b"a//b", File(mode=Mode.FILE, data=b"")),
        (b"./a", File(mode=Mode.FILE, data=b"")),
        (b"a\0b", File(mode=Mode.FILE, data=b"")),
        (b"docs", File(mode=Mode.FILE, data=b"a folder is here")),
        (b"app.py/below", File(mode=Mode.FILE, data=b"a file is here")),
        (b"mod", File(mode=Mode.GITLINK, data=b"no commit")),
        (b"mod", File(mode=Mode.GITLINK, data=b"1" * 38)),
    ],
)
def test_a_change_that_does_not_fit_is_never_written(rich, opened, path, file):
    """The algebra refuses these with words; this is the last line behind it."""
    tree = tree_of(opened, git(rich, "rev-parse", "HEAD"))
    with pytest.raises(ValueError, match=r".+"):
        write_tree(opened, tree, [Change(path=path, before=None, after=file)])


def test_untouched_entries_are_kept_as_they_are(repo, opened):
    """Old repositories hold modes that nobody writes any more; a change beside them does not mend them."""
    blob = git(repo, "hash-object", "-w", "--stdin", stdin=b"old\n")
    old = git(
        repo, "hash-object", "-w", "--literally", "-t", "tree", "--stdin", stdin=b"100664 old\0" + bytes.fromhex(blob)
    )
    tree = tree_of(opened, old)
    assert tree.entry(b"old").mode == Mode.FILE
    new = write_tree(opened, tree, [change(tree, b"new", b"x")])
    opened.flush()
    assert git(repo, "cat-file", "tree", new).count("100664 old") == 1


def test_a_large_folder_is_written_once_and_only_where_it_changes(repo, opened):
    empty = tree_of(opened, None)
    many = {b"d%d/f%d" % (n % 20, n): b"%d" % n for n in range(400)}
    tree = tree_of(opened, write_tree(opened, empty, changes(empty, many)))
    opened.flush()
    write_tree(opened, tree, [change(tree, b"d3/f3", b"new")])
    assert len(opened.pending) == 3  # a blob, its folder, the top


def test_a_tree_is_the_same_whether_its_folders_were_at_hand_or_not(repo, opened):
    """Lines are replaced in the bytes of a folder that was made before; a line can look like a part of another."""
    chance = random.Random(3)
    names = [b"a", b"100644 a", b"a.b", b"a/x", b"b", b"b b", b"40000 b", b"z/100644 a", b"z/a", b"z/z/a"]
    tree, files = tree_of(opened, None), {}
    for n in range(300):
        chosen = {name: chance.choice([b"", b"same", b"%d" % n, None]) for name in chance.sample(names, 3)}
        if chosen.get(b"a") is not None and any(name.startswith(b"a/") for name in {**files, **chosen}):
            del chosen[b"a"]
        if chosen.get(b"a/x") is not None and b"a" in files:
            del chosen[b"a/x"]
        chosen = {name: data for name, data in chosen.items() if data is not None or name in files}
        files = {name: data for name, data in {**files, **chosen}.items() if data is not None}
        tree = tree_of(opened, write_tree(opened, tree, changes(tree, chosen)))
        with open_repository(repo) as fresh:
            empty = tree_of(fresh, None)
            assert write_tree(fresh, empty, changes(empty, files)) == tree.oid
    opened.flush()
    assert set(tree.below(b"")) == set(files)
    git(repo, "fsck", "--strict")


def test_the_diff_is_gits_diff(rich, opened):
    tree = tree_of(opened, git(rich, "rev-parse", "HEAD"))
    new = write_tree(opened, tree, changes(tree, {b"app.py": b"new\n", b"added": b"x\n", b"run.sh": None}))
    opened.flush()
    expected = git(rich, "diff-tree", "-r", "-p", "--no-renames", "--abbrev=7", tree.oid, new)
    assert diff_text(opened, tree.oid, new).strip() == expected
    assert diff_stat(opened, tree.oid, new) == {"files": 3, "insertions": 2, "deletions": 3}
    assert diff_text(opened, tree.oid, tree.oid) == ""


def test_a_diff_of_bytes_and_odd_names_is_still_text(rich, opened):
    tree = tree_of(opened, git(rich, "rev-parse", "HEAD"))
    new = write_tree(opened, tree, changes(tree, {ODD: b"\xff\xfe\n", b"nul": b"\0" * 9}))
    assert "\\377\\376 bytes" in diff_text(opened, tree.oid, new)


def test_changed_entries_are_what_diff_tree_lists(rich, opened):
    tree = tree_of(opened, git(rich, "rev-parse", "HEAD"))
    edits = {b"app.py": None, b"app.py/in": b"x", b"docs/deep/er/x": None, b"docs/deep": b"f", b"link": b"plain"}
    new = write_tree(opened, tree, changes(tree, edits))
    opened.flush()
    listed = git(rich, "diff-tree", "-r", "-z", "--name-only", "--no-renames", tree.oid, new).encode()
    assert set(changed_entries(opened, tree.oid, new)) == set(listed.rstrip(b"\0").split(b"\0"))


def test_a_lost_object_is_told_and_not_guessed(repo, opened):
    blob = git(repo, "rev-parse", "HEAD:app.py")
    (repo / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(Cannot) as refusal:
        tree_of(opened, git(repo, "rev-parse", "HEAD")).read(b"app.py")
    assert refusal.value.kind == "repo-invalid"
    assert blob in str(refusal.value)
