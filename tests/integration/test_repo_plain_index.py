"""An index by its bytes tells and does what the git binary does, or stands aside."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from acceptance_tools import git

from ghostd.model.tree import Entry, Mode
from ghostd.repo import plain_index
from ghostd.repo.plain_index import Plain

BLOB = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
OTHER = "78981922613b2afb6025042ff6bd878ac1994e85"
GONE = "0 " + "0" * 40
NAMES = ["a", "a-b", "a/b", "a/b/c", "a.b", "a0", "z", "zz", "ä/ö", "d/e/f", "d/e-f", "d/e"]


def run(where: Path, index: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    done = subprocess.run(
        ["git", *arguments], cwd=where, input=stdin, env=os.environ | {"GIT_INDEX_FILE": str(index)},
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def staged(where: Path, index: Path) -> list[bytes]:
    return run(where, index, "ls-files", "-s", "-z").split(b"\0")[:-1]


def fill(where: Path, index: Path, lines: Iterable[str]) -> None:
    text = "".join(f"{line}\0" for line in lines).encode("utf-8", "surrogateescape")
    run(where, index, "update-index", "-z", "--index-info", stdin=text)


def parsed(index: Path) -> Plain:
    found = plain_index.parse(index.read_bytes())
    assert found is not None
    return found


def sound(where: Path, index: Path) -> None:
    """As git reads it: the order, the sum, and the trees that it claims to know."""
    run(where, index, "fsck", "--no-dangling")
    run(where, index, "write-tree", "--missing-ok")
    again = parsed(index)
    assert [found.begin for found in again.since(b"")][:: plain_index._STEP] == again.layout.begins


@pytest.mark.parametrize("seed", range(16))
def test_random_indexes_are_read_and_written_as_git_does_it(tmp_path: Path, seed: int) -> None:
    """Patch after patch, each on what the one before has left, with what was learnt of it."""
    chance = random.Random(seed)
    git(tmp_path, "init", "-q")
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    start = [f"100644 {BLOB}\t{name}" for name in chance.sample(NAMES, 6)]
    start += [f"100644 {BLOB}\tm{chance.randrange(4)}/{number}" for number in range(chance.choice([0, 150]))]
    for index in (ours, theirs):
        fill(tmp_path, index, start)
        run(tmp_path, index, "write-tree", "--missing-ok")
    plain = parsed(ours)

    for _ in range(5):
        for name in NAMES:
            below = [
                line
                for line in staged(tmp_path, theirs)
                if (path := line.split(b"\t")[1]) == name.encode() or path.startswith(name.encode() + b"/")
            ]
            found = plain_index.entries(plain, [name.encode()])
            assert found is not None
            assert len(found) == len(below)

        names = [*chance.sample(NAMES, 4), *(f"m{chance.randrange(4)}/{chance.randrange(200)}" for _ in range(3))]
        changes = {name: chance.choice([None, f"100755 {OTHER}"]) for name in names}
        # Removals first: a file can only come where its folder has gone.
        ordered = sorted(changes.items(), key=lambda item: item[1] is not None)
        fill(tmp_path, theirs, [f"{entry or GONE}\t{name}" for name, entry in ordered])
        entries = [
            (name.encode(), None if entry is None else Entry(mode=Mode.EXECUTABLE, oid=OTHER))
            for name, entry in ordered
        ]
        after = plain_index.replaced(plain, entries)
        assert after is not None
        ours.write_bytes(after.data)
        assert staged(tmp_path, ours) == staged(tmp_path, theirs)
        run(tmp_path, ours, "write-tree", "--missing-ok")
        assert run(tmp_path, ours, "write-tree", "--missing-ok") == run(tmp_path, theirs, "write-tree", "--missing-ok")
        ours.write_bytes(after.data)
        assert plain_index.parse(after.data, after.layout) == after
        fresh = plain_index.parse(after.data)
        assert fresh is not None, "the sum is right"
        assert fresh.layout.end == after.layout.end
        begins = {found.begin for found in fresh.since(b"")}
        assert set(after.layout.begins) <= begins
        assert sorted(after.layout.begins) == after.layout.begins
        plain = after


def test_a_large_index_is_searched_and_summed_in_parts(tmp_path: Path) -> None:
    """More than one block of bytes, so that sums on the way are used again."""
    git(tmp_path, "init", "-q")
    index = tmp_path / "index"
    fill(tmp_path, index, [f"100644 {BLOB}\tfolder-{number % 30:02}/file-{number:05}" for number in range(6000)])
    plain = parsed(index)
    assert len(plain.layout.sums) > 2
    for number in (5999, 0, 3000, 29):
        path = b"folder-%02d/file-%05d" % (number % 30, number)
        plain = plain_index.replaced(plain, [(path, Entry(mode=Mode.FILE, oid=OTHER))])
        assert plain is not None
        assert plain_index.entries(plain, [path]) == {path: Entry(mode=Mode.FILE, oid=OTHER)}
        assert plain_index.parse(plain.data) is not None
    index.write_bytes(plain.data)
    assert sum(OTHER.encode() in line for line in staged(tmp_path, index)) == 4


@pytest.mark.parametrize(
    "name", ["x" * 4094, "x" * 4095, "x" * 4096, "x/" * 2047 + "yy", "\udcff\udcfe", "new\nline"], ids=range(6)
)
def test_odd_names_are_names(tmp_path: Path, name: str) -> None:
    git(tmp_path, "init", "-q")
    index = tmp_path / "index"
    fill(tmp_path, index, [f"100644 {BLOB}\t{each}" for each in ("a", "w", "xx", "z", *NAMES)])
    raw = name.encode("utf-8", "surrogateescape")
    plain = plain_index.replaced(parsed(index), [(raw, Entry(mode=Mode.FILE, oid=OTHER))])
    assert plain is not None
    index.write_bytes(plain.data)
    assert [line.split(b"\t")[1] for line in staged(tmp_path, index) if OTHER.encode() in line] == [raw]
    again = parsed(index)
    assert plain_index.entries(again, [raw]) == {raw: Entry(mode=Mode.FILE, oid=OTHER)}
    gone = plain_index.replaced(again, [(raw, None)])
    assert gone is not None
    assert gone.count == again.count - 1


def test_bytes_that_look_like_a_name_are_no_entry(tmp_path: Path) -> None:
    """An object's id that holds another entry's flags and name, where a search would find it."""
    git(tmp_path, "init", "-q")
    index = tmp_path / "index"
    trap = (b"\0" * 4 + b"\0\1q\0").ljust(20, b"\0").hex()
    fill(tmp_path, index, [f"100644 {trap}\ta", f"100644 {BLOB}\tr"])
    assert plain_index.entries(parsed(index), [b"q"]) == {}


def test_trees_that_are_known_stay_known_where_nothing_changed(repo: Path) -> None:
    git(repo, "write-tree")
    index = repo / ".git" / "index"
    plain = plain_index.replaced(parsed(index), [(b"app.py", Entry(mode=Mode.FILE, oid=BLOB))])
    assert plain is not None
    tree = bytes.fromhex(git(repo, "rev-parse", "HEAD:docs"))
    assert b"docs\x001 0\n" + tree in plain.data
    assert b"TREE" in plain.data
    assert bytes.fromhex(git(repo, "rev-parse", "HEAD^{tree}")) not in plain.data


@pytest.mark.parametrize("option", ["index.threads=2", "index.recordEndOfIndexEntries=true"])
def test_help_for_reading_in_parallel_is_left_out(repo: Path, option: str) -> None:
    for number in range(50):
        (repo / f"f{number}").write_text("x")
    git(repo, "-c", option, "-c", "index.recordOffsetTable=true", "add", "-A")
    index = repo / ".git" / "index"
    assert b"EOIE" in index.read_bytes()
    plain = plain_index.replaced(parsed(index), [(b"app.py", None)])
    assert plain is not None
    assert b"EOIE" not in plain.data
    assert b"IEOT" not in plain.data
    index.write_bytes(plain.data)
    sound(repo, index)


@pytest.mark.parametrize(
    "make",
    [
        ("update-index", "--index-version", "4"),
        ("update-index", "--split-index"),
        ("update-index", "--untracked-cache", "--force-untracked-cache"),
        ("update-index", "--skip-worktree", "app.py"),
    ],
    ids=["version 4", "split", "untracked cache", "hidden"],
)
def test_what_is_not_plain_is_left_to_git(repo: Path, make: tuple[str, ...]) -> None:
    git(repo, *make)
    assert plain_index.parse((repo / ".git" / "index").read_bytes()) is None


def test_an_index_may_be_emptied_and_filled(repo: Path) -> None:
    index = repo / ".git" / "index"
    plain = parsed(index)
    names = [found.name for found in plain.since(b"")]
    empty = plain_index.replaced(plain, [(name, None) for name in names])
    assert empty is not None
    assert (empty.count, list(empty.since(b""))) == (0, [])
    assert plain_index.entries(empty, [b"app.py"]) == {}
    full = plain_index.replaced(empty, [(name, Entry(mode=Mode.FILE, oid=BLOB)) for name in names])
    assert full is not None
    assert [found.name for found in full.since(b"")] == names
    index.write_bytes(full.data)
    run(repo, index, "ls-files")


def test_a_conflict_is_left_to_git_and_one_elsewhere_is_kept(repo: Path) -> None:
    index = repo / ".git" / "index"
    lines = [f"100644 {BLOB} {stage}\tapp.py" for stage in (1, 2, 3)]
    fill(repo, index, [f"0 {'0' * 40}\tapp.py", *lines])
    plain = parsed(index)
    assert plain_index.entries(plain, [b"app.py"]) is None
    assert plain_index.replaced(plain, [(b"app.py", None)]) is None
    assert plain_index.replaced(plain, [(b"app.py/x", Entry(mode=Mode.FILE, oid=BLOB))]) is None
    after = plain_index.replaced(plain, [(b"README.md", Entry(mode=Mode.FILE, oid=OTHER))])
    assert after is not None
    index.write_bytes(after.data)
    assert len(run(repo, index, "ls-files", "-u").splitlines()) == 3
    assert OTHER in run(repo, index, "ls-files", "-s", "README.md").decode()


@pytest.mark.parametrize("cut", [0, 4, 11, 40, 100, -1])
def test_bytes_that_are_no_whole_index_are_left_to_git(repo: Path, cut: int) -> None:
    data = (repo / ".git" / "index").read_bytes()
    assert plain_index.parse(data[:cut]) is None
    assert plain_index.parse(data[:-25] + bytes([data[-25] ^ 1]) + data[-24:]) is None


def test_random_bytes_never_trip_it(repo: Path) -> None:
    """A sum that was made to fit, as by somebody who wants us to fall."""
    import hashlib

    chance = random.Random(1)
    data = (repo / ".git" / "index").read_bytes()[:-20]
    for _ in range(2000):
        spoiled = bytearray(data)
        for _ in range(3):
            spoiled[chance.randrange(8, len(data))] = chance.randrange(256)
        plain = plain_index.parse(bytes(spoiled) + hashlib.sha1(spoiled).digest())
        if plain is not None:
            plain_index.entries(plain, [b"app.py", b"docs"])
            plain_index.replaced(plain, [(b"app.py", None), (b"docs/x", Entry(mode=Mode.FILE, oid=BLOB))])
