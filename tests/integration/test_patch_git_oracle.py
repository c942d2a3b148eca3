"""Git as the oracle of the diff applier: whatever `git diff` writes about two trees, applying it makes the second."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest
from memory_tree import MemoryTree

from ghostd.model.patch import Diff, Format, Patch
from ghostd.model.tree import File, Mode
from ghostd.patches.apply import apply

NAMES = [
    b"a.txt",
    b"b.txt",
    b"dir/c.py",
    b"dir/d e.py",
    b"x/y/z",
    b"caf\xc3\xa9",
    b"tab\xc2\xa0x",
    b"\xff\xfe.bin",
    b'q"uote',
]
LINES = [
    b"one\n", b"two\n", b"\n", b"  \n", b"crlf\r\n", b"lone\rcr\n", b"\xff\xfe\n", b"-- sql\n", b"++ plus\n",
    b"@@ at\n", b"diff --git a/x b/x\n",
]  # fmt: skip


def random_file(chance: random.Random) -> File:
    if chance.random() < 0.1:
        return File(mode=Mode.SYMLINK, data=chance.choice([b"a.txt", b"nowhere"]))
    data = b"".join(chance.choices(LINES, k=chance.choice([0, 1, 5, 30])))
    data += chance.choice([b"", b"", b"no end"])
    return File(mode=chance.choice([Mode.FILE, Mode.EXECUTABLE]), data=data)


def edited(chance: random.Random, file: File) -> File:
    if file.mode is Mode.SYMLINK:
        return File(mode=Mode.SYMLINK, data=chance.choice([b"a.txt", b"dir", b"no/where"]))
    lines = file.data.splitlines(keepends=True)
    for _ in range(chance.randint(0, 3)):
        at = chance.randint(0, len(lines))
        lines[at : at + chance.randint(0, 2)] = chance.choices(LINES, k=chance.randint(0, 2))
    return File(mode=chance.choice([file.mode, Mode.EXECUTABLE]), data=b"".join(lines))


def random_pair(chance: random.Random) -> tuple[MemoryTree, MemoryTree]:
    old = {name: random_file(chance) for name in chance.sample(NAMES, k=6)}
    new = {}
    for name, file in old.items():
        fate = chance.random()
        if fate < 0.2:
            continue
        moved = chance.choice(NAMES) if fate < 0.5 else name
        new[moved] = edited(chance, file)
    return MemoryTree(old), MemoryTree(new)


def write(folder: Path, tree: MemoryTree) -> None:
    for entry in folder.iterdir():
        if entry.name != ".git":
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    for name, file in tree.files.items():
        path = folder / name.decode("utf-8", "surrogateescape")
        path.parent.mkdir(parents=True, exist_ok=True)
        if file.mode is Mode.SYMLINK:
            path.symlink_to(file.data.decode())
        else:
            path.write_bytes(file.data)
            path.chmod(0o755 if file.mode is Mode.EXECUTABLE else 0o644)


def git(folder: Path, *arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=True).stdout


def tree_id(folder: Path, tree: MemoryTree) -> str:
    write(folder, tree)
    git(folder, "add", "-A")
    return git(folder, "write-tree").decode().strip()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("oracle")
    git(where, "init", "-q")
    (where / ".git/info/attributes").write_text("* text=unset -text diff\n")
    return where


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(
    "options", [("-M",), ("-U0", "--no-renames"), ("-U1", "--no-prefix", "-C", "--find-copies-harder")]
)
def test_a_diff_by_git_makes_the_tree_that_git_compared_to(folder, seed, options):
    """Renames, copies, modes, symlinks, quoted names, CRLF and missing line ends arrive to the byte."""
    old, new = random_pair(random.Random(seed))
    diff = git(folder, "diff", "--text", *options, tree_id(folder, old), tree_id(folder, new))
    mutations = (Diff(diff=diff),) if diff else ()
    patch = Patch(id="x", format=Format.UNIFIED, mutations=mutations, canonical=b"", digest="", allow_empty=True)
    assert old.after(apply(old, patch).changes).files == new.files
