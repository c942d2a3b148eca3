"""Git as the oracle of the diff applier: whatever `git diff` writes about two trees, applying it makes the second."""

from __future__ import annotations

import base64
import random
import shutil
import subprocess
import zlib
from pathlib import Path

import pytest
from memory_tree import MemoryTree

from ghostd.model.patch import Diff, Format, Patch
from ghostd.model.tree import Entry, File, Mode
from ghostd.patches.apply import Refusal, apply

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


# --- what `git diff --binary` can say beyond text ---------------------------------------------------------------------

#: Names of which some lie below others: a file takes a folder's place, and a folder a file's.
NESTED = [b"a", b"a/b", b"a/b/c", b"d/e", b"d", b"f", b"\xe9\xff", b"new\xe2\x80\xa6", b'sp ace"', b"g.bin"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A repository that tells text from bytes by itself."""
    where = tmp_path_factory.mktemp("plain")
    git(where, "init", "-q")
    return where


def odd_file(chance: random.Random) -> File:
    """Bytes, text, nothing, a symlink or a submodule."""
    kind = chance.random()
    if kind < 0.12:
        return File(mode=Mode.GITLINK, data=chance.randbytes(20).hex().encode())
    if kind < 0.2:
        return File(mode=Mode.SYMLINK, data=chance.choice([b"f", b"x/y", b"f"]))
    if kind < 0.6:
        data = (
            b"\0"
            + chance.randbytes(chance.choice([0, 1, 51, 52, 53, 300, 5000]))
            + b"".join(chance.choices(LINES, k=4))
        )
        return File(mode=chance.choice([Mode.FILE, Mode.EXECUTABLE]), data=data)
    return random_file(chance)


def changed(chance: random.Random, file: File) -> File:
    """The same file, a little other bytes, or another kind of file in its place."""
    if chance.random() < 0.3 or file.mode in (Mode.SYMLINK, Mode.GITLINK):
        return chance.choice([file, odd_file(chance)])
    at = chance.randint(0, len(file.data))
    data = file.data[:at] + chance.randbytes(chance.choice([0, 1, 100])) + file.data[at + chance.randint(0, 20) :]
    return File(mode=chance.choice([Mode.FILE, Mode.EXECUTABLE]), data=data)


def fitting(files: dict[bytes, File]) -> MemoryTree:
    """Those of the files that no other lies below."""
    return MemoryTree({p: f for p, f in files.items() if not any(other.startswith(p + b"/") for other in files)})


def odd_pair(chance: random.Random) -> tuple[MemoryTree, MemoryTree]:
    old = fitting({name: odd_file(chance) for name in chance.sample(NESTED, k=6)})
    new = {chance.choice([name, name, *NESTED]): changed(chance, file) for name, file in old.files.items()}
    extra = {chance.choice(NESTED): odd_file(chance)} if chance.random() < 0.5 else {}
    return old, fitting(new | extra)


def index_tree(folder: Path, tree: MemoryTree) -> str:
    """The tree's id, written by git without any file: so it holds what a file system may not."""
    lines = []
    for path, file in tree.files.items():
        blob = file.data.decode() if file.mode is Mode.GITLINK else _hashed(folder, file.data)
        lines.append(f"{file.mode:o} {blob}\t".encode() + path)
    git(folder, "read-tree", "--empty")
    fed = b"".join(line + b"\0" for line in lines)
    subprocess.run(["git", "update-index", "-z", "--index-info"], cwd=folder, input=fed, check=True)
    return git(folder, "write-tree", "--missing-ok").decode().strip()


def _hashed(folder: Path, data: bytes) -> str:
    done = subprocess.run(
        ["git", "hash-object", "-w", "--stdin"], cwd=folder, input=data, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("options", [("-M",), ("-C", "--find-copies-harder", "--full-index"), ("--no-renames",)])
def test_a_binary_diff_by_git_makes_the_tree_that_git_compared_to(plain, seed, options):
    """Binary files whole and as deltas, submodules, files that become folders or symlinks or submodules, and back."""
    old, new = odd_pair(random.Random(1000 + seed))
    diff = git(plain, "diff", "--binary", *options, index_tree(plain, old), index_tree(plain, new))
    mutations = (Diff(diff=diff),) if diff else ()
    patch = Patch(id="x", format=Format.UNIFIED, mutations=mutations, canonical=b"", digest="", allow_empty=True)
    assert after_with_submodules(old, patch).files == new.files


def after_with_submodules(old: MemoryTree, patch: Patch) -> MemoryTree:
    """The tree after a patch, by its changes; a submodule's entry is its commit here."""
    tree = WithSubmodules(old.files)
    files = dict(tree.files)
    changes = apply(tree, patch, submodules=True).changes
    for change in changes:
        assert change.before == tree.entry(change.path)
        files.pop(change.path, None)
    return MemoryTree(files | {change.path: change.after for change in changes if change.after is not None})


class WithSubmodules(MemoryTree):
    def entry(self, path):
        file = self.files.get(path)
        if file is not None and file.mode is Mode.GITLINK:
            return Entry(mode=file.mode, oid=file.data.decode())
        return super().entry(path)


BINARY = File(mode=Mode.FILE, data=bytes(range(256)) * 20)
CHANGED = File(mode=Mode.FILE, data=BINARY.data + b"more")


@pytest.fixture
def delta(plain):
    trees = [index_tree(plain, MemoryTree({b"b": each})) for each in (BINARY, CHANGED)]
    return git(plain, "diff", "--binary", *trees)


def refused(files, diff: bytes, **options):
    patch = Patch(id="x", format=Format.UNIFIED, mutations=(Diff(diff=diff),), canonical=b"", digest="")
    with pytest.raises(Refusal) as caught:
        apply(MemoryTree(files), patch, **options)
    return caught.value


def test_a_binary_diff_fits_its_own_file_and_no_other(delta):
    """Not one of the same size, and not where its bytes or names were touched."""
    assert b"delta" in delta
    other = File(mode=Mode.FILE, data=b"x" + BINARY.data[1:])
    assert refused({b"b": other}, delta).kind == "no-match"
    assert refused({b"b": BINARY}, delta.replace(b"delta 1", b"delta 2")).kind == "bad-diff"
    head, names, rest = delta.partition(b"..")
    assert refused({b"b": BINARY}, head + names + b"0123456789"[::-1] + rest[10:]).kind == "no-match"
    assert refused({b"b": BINARY}, head[:-30] + names + rest).kind == "bad-diff"


def test_a_binary_diff_that_unpacks_to_too_much_is_refused():
    """By its stated size before a byte of it is unpacked, and by its real one where it lies."""
    bomb = zlib.compress(b"\0" * 10_000_000)[:52]
    line = bytes([ord("z")]) + base64.b85encode(bomb)
    for stated in (b"99999999999", b"5"):
        text = b"diff --git a/x b/x\nindex " + b"1" * 40 + b".." + b"2" * 40 + b"\nGIT binary patch\nliteral "
        assert refused({b"x": b""}, text + stated + b"\n" + line + b"\n\n").kind == "bad-diff"


def test_a_submodule_needs_leave(plain):
    """To make one, to move one, and to put one in the place of a file."""
    one, two = (File(mode=Mode.GITLINK, data=n * 40) for n in (b"1", b"2"))
    for old, new in ((None, one), (one, two), (BINARY, one)):
        before, after = (MemoryTree({} if each is None else {b"m": each}) for each in (old, new))
        diff = git(plain, "diff", "--binary", index_tree(plain, before), index_tree(plain, after))
        assert refused(before.files, diff).kind == "submodule"
        patch = Patch(id="x", format=Format.UNIFIED, mutations=(Diff(diff=diff),), canonical=b"", digest="")
        assert after_with_submodules(before, patch).files == after.files
