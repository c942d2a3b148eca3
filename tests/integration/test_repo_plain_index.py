"""The quick way to an index tells and does what the git binary does, or stands aside."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from acceptance_tools import git

from ghostd.base.errors import Cannot
from ghostd.model.tree import Entry, Mode
from ghostd.repo import plain_index

BLOB = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
OTHER = "78981922613b2afb6025042ff6bd878ac1994e85"
GONE = "0 " + "0" * 40
NAMES = ["a", "a-b", "a/b", "a/b/c", "a.b", "a0", "z", "zz", "ä/ö", "d/e/f", "d/e-f", "d/e"]


def on(index: Path) -> dict[str, str]:
    return os.environ | {"GIT_INDEX_FILE": str(index)}


def staged(where: Path, index: Path) -> list[str]:
    done = subprocess.run(
        ["git", "-c", "core.quotePath=false", "ls-files", "-s"],
        cwd=where, env=on(index), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()


def fill(where: Path, index: Path, lines: list[str]) -> None:
    subprocess.run(
        ["git", "update-index", "--index-info"], cwd=where, input="\n".join(lines) + "\n", text=True, check=True,
        env=on(index),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(12))
def test_random_indexes_are_read_and_written_as_git_does_it(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    git(tmp_path, "init", "-q")
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    fill(tmp_path, ours, [f"100644 {BLOB}\t{name}" for name in chance.sample(NAMES, 6)])
    shutil.copy(ours, theirs)

    for name in NAMES:
        below = [
            line
            for line in staged(tmp_path, ours)
            if (path := line.split("\t")[1]) == name or path.startswith(name + "/")
        ]
        found = plain_index.entries(ours, [name.encode()])
        assert found is not None
        assert len(found) == len(below)

    changes = {name: chance.choice([None, f"100755 {OTHER}"]) for name in chance.sample(NAMES, 4)}
    # Removals first: a file can only come where its folder has gone.
    ordered = sorted(changes.items(), key=lambda item: item[1] is not None)
    fill(tmp_path, theirs, [f"{entry or GONE}\t{name}" for name, entry in ordered])
    entries = {
        name.encode(): None if entry is None else Entry(mode=Mode.EXECUTABLE, oid=OTHER) for name, entry in ordered
    }
    assert plain_index.replace(ours, entries)
    assert staged(tmp_path, ours) == staged(tmp_path, theirs)


@pytest.mark.parametrize(
    "make",
    [
        ("update-index", "--index-version", "4"),
        ("update-index", "--split-index"),
        ("update-index", "--untracked-cache", "--force-untracked-cache"),
        ("update-index", "--skip-worktree", "app.py"),
        ("rm", "-q", "-r", "--cached", "."),
    ],
    ids=["version 4", "split", "untracked cache", "hidden", "emptied"],
)
def test_what_is_not_plain_is_left_to_git(repo: Path, make: tuple[str, ...]) -> None:
    git(repo, *make)
    index = repo / ".git" / "index"
    if make[0] == "rm":
        assert plain_index.entries(index, [b"app.py"]) == {}
        return
    before = index.read_bytes()
    assert plain_index.entries(index, [b"app.py"]) is None
    assert not plain_index.replace(index, {b"app.py": None})
    assert index.read_bytes() == before


def test_a_missing_a_broken_and_a_conflicting_index_are_left_to_git(repo: Path, tmp_path: Path) -> None:
    assert plain_index.entries(tmp_path / "none", [b"a"]) is None
    lines = [f"100644 {BLOB} {stage}\tapp.py" for stage in (1, 2, 3)]
    fill(repo, repo / ".git" / "index", [f"0 {'0' * 40}\tapp.py", *lines])
    assert plain_index.entries(repo / ".git" / "index", [b"app.py"]) is None


def test_an_index_that_can_not_be_written_is_an_expected_failure(repo: Path) -> None:
    """Somebody holds the lock that libgit2 takes; with a full disk it goes the same way."""
    index = repo / ".git" / "index"
    before = index.read_bytes()
    index.with_name("index.lock").touch()
    with pytest.raises(Cannot) as caught:
        plain_index.replace(index, {b"app.py": None})
    assert caught.value.kind == "git-failed"
    assert index.read_bytes() == before
