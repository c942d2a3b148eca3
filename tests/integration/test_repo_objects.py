"""Trees and blobs, compared with what git itself makes of the same files."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
from repo_play import change, changes, git

from ghostd.base.errors import Cannot
from ghostd.model.tree import Change, Entry, File, Mode
from ghostd.repo import worktree
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
        (b"mod", File(mode=Mode.GITLINK, data=b"1" * 40)),
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
    assert git(repo, "cat-file", "tree", new).count("100664 old") == 1


def test_a_large_folder_is_written_once_and_only_where_it_changes(repo, opened):
    empty = tree_of(opened, None)
    many = {b"d%d/f%d" % (n % 20, n): b"%d" % n for n in range(400)}
    tree = tree_of(opened, write_tree(opened, empty, changes(empty, many)))
    before = int(git(repo, "count-objects").split()[0])
    write_tree(opened, tree, [change(tree, b"d3/f3", b"new")])
    assert int(git(repo, "count-objects").split()[0]) - before == 3  # a blob, its folder, the top


def test_the_diff_is_gits_diff(rich, opened):
    tree = tree_of(opened, git(rich, "rev-parse", "HEAD"))
    new = write_tree(opened, tree, changes(tree, {b"app.py": b"new\n", b"added": b"x\n", b"run.sh": None}))
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
    listed = git(rich, "diff-tree", "-r", "-z", "--name-only", "--no-renames", tree.oid, new).encode()
    assert set(changed_entries(opened, tree.oid, new)) == set(listed.rstrip(b"\0").split(b"\0"))


def test_a_lost_object_is_told_and_not_guessed(repo, opened):
    blob = git(repo, "rev-parse", "HEAD:app.py")
    (repo / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(Cannot) as refusal:
        tree_of(opened, git(repo, "rev-parse", "HEAD")).read(b"app.py")
    assert refusal.value.kind == "repo-invalid"
    assert blob in str(refusal.value)


# --- export -----------------------------------------------------------------------------------------------------


def test_an_export_is_the_tree_as_plain_files(rich, opened, tmp_path):
    out = tmp_path / "out"
    worktree.export(opened, git(rich, "rev-parse", "HEAD^{tree}"), out)
    assert (out / "docs" / "deep" / "er" / "x").read_bytes() == b"a\r\nb\0c"
    assert (out / os.fsdecode(ODD)).read_text() == "odd\n"
    assert (out / "link").readlink() == Path("docs/notes.txt")
    assert stat.S_IMODE((out / "run.sh").stat().st_mode) & 0o111
    assert not stat.S_IMODE((out / "app.py").stat().st_mode) & 0o111
    assert (out / "sub").is_dir()
    assert not any((out / "sub").iterdir())
    assert not (out / ".git").exists()
    # Asked from outside, git finds the same content there.
    git(rich, "rm", "-q", "--cached", "sub")
    assert git(rich, f"--work-tree={out}", "status", "--porcelain", "-uno") == "D  sub"


def _raw_tree(repo: Path, name: bytes) -> str:
    blob = git(repo, "hash-object", "-w", "--stdin", stdin=b"evil\n")
    line = b"100644 " + name + b"\0" + bytes.fromhex(blob)
    return git(repo, "hash-object", "-w", "--literally", "-t", "tree", "--stdin", stdin=line)


@pytest.mark.parametrize(
    "name",
    [b"..", b".", b"", b"../escape", b".git", b".GIT", b".git.", b".git ", b"git~1", b"GIT~2", b".g\xe2\x80\x8cit",
     b".git::$INDEX_ALLOCATION", b"/etc/escape", b"\xef\xbb\xbf.git"],
)  # fmt: skip
def test_an_export_writes_no_hostile_name(repo, opened, tmp_path, name):
    out = tmp_path / "deep" / "out"
    with pytest.raises(Cannot) as refusal:
        worktree.export(opened, _raw_tree(repo, name), out)
    assert refusal.value.kind == "unsafe-tree"
    assert list(out.iterdir()) == []
    assert not (tmp_path / "deep" / "escape").exists()


@pytest.mark.parametrize("name", [b".github", b".gitignore", b".gitmodules", b"gitty", b"a:b", b"CON", b"-rf"])
def test_an_export_keeps_names_that_are_only_odd(repo, opened, tmp_path, name):
    worktree.export(opened, _raw_tree(repo, name), tmp_path / "out")
    assert [os.fsencode(path.name) for path in (tmp_path / "out").iterdir()] == [name]


def test_an_export_never_writes_through_a_link(repo, opened, tmp_path):
    """A tree that names a symlink and a folder alike must not lead the folder's files through the link."""
    target = git(repo, "hash-object", "-w", "--stdin", stdin=os.fsencode(tmp_path))
    blob = git(repo, "hash-object", "-w", "--stdin", stdin=b"evil\n")
    below = git(
        repo, "hash-object", "-w", "--literally", "-t", "tree", "--stdin", stdin=b"100644 evil\0" + bytes.fromhex(blob)
    )
    lines = b"120000 a\0" + bytes.fromhex(target) + b"40000 a\0" + bytes.fromhex(below)
    tree = git(repo, "hash-object", "-w", "--literally", "-t", "tree", "--stdin", stdin=lines)
    worktree.export(opened, tree, tmp_path / "out")  # of two lines with one name, the last one counts
    assert not (tmp_path / "evil").exists()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"Not a directory|symbolic"):
        worktree.export(opened, below, tmp_path / "link")
    assert not any((tmp_path / "elsewhere").iterdir())
