"""Copies for gates: exactly the tree, whatever was done to the copy before, and however the last user ended."""

from __future__ import annotations

import os
import random
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from repo_play import change, git

from ghostd.base.errors import Cannot
from ghostd.model.tree import Mode
from ghostd.repo import noted, rubbish, worktree
from ghostd.repo.git import open_repository
from ghostd.repo.objects import load_folder, tree_of, write_tree

ODD = b"odd-\xff"


@pytest.fixture
def opened(repo):
    (repo / "run.sh").write_text("#!/bin/sh\n")
    (repo / "run.sh").chmod(0o755)
    (repo / "link").symlink_to("app.py")
    (repo / "deep" / "er").mkdir(parents=True)
    (repo / "deep" / "er" / "x").write_bytes(b"a\r\nb\0c")
    (repo / os.fsdecode(ODD)).write_text("odd\n")
    git(repo, "add", "-A")
    git(repo, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},sub")
    git(repo, "commit", "-q", "-m", "rich")
    with open_repository(repo) as opened:
        yield opened


@pytest.fixture
def pool(opened, tmp_path):
    return worktree.pool(opened, tmp_path / "copies")


def tree(opened) -> str:
    return tree_of(opened, git(Path(opened.identity).parent, "rev-parse", "HEAD")).oid


def other_tree(opened, files) -> str:
    base = tree_of(opened, tree(opened))
    return write_tree(opened, base, [change(base, path, data) for path, data in files.items()])


def on_disk(folder: Path) -> dict[bytes, tuple[int, bytes]]:
    """All that is there, by the system's own words: permissions and bytes."""
    found = {}
    for path in folder.rglob("*"):
        info = path.lstat()
        data = b""
        if stat.S_ISLNK(info.st_mode):
            data = os.fsencode(path.readlink())
        elif stat.S_ISREG(info.st_mode):
            data = path.read_bytes()
        found[os.fsencode(path.relative_to(folder))] = (info.st_mode, data)
    return found


def in_git(opened, oid: str, above: bytes = b"") -> dict[bytes, tuple[int, bytes]]:
    """What a folder with this tree has to hold."""
    found = {}
    for name, slot in load_folder(opened, oid).items():
        path = above + name
        if slot.is_folder:
            found |= {path: (0o040755, b"")} | in_git(opened, slot.oid.hex(), path + b"/")
        elif slot.mode == Mode.GITLINK:
            found[path] = (0o040755, b"")
        else:
            mode = 0o120777 if slot.mode == Mode.SYMLINK else slot.mode
            found[path] = (mode, opened.read_object(slot.oid.hex())[1])
    return found


def test_a_copy_is_the_tree_under_every_umask(opened, pool):
    before = os.umask(0o077)
    try:
        with pool.checkout(tree(opened)) as where:
            assert on_disk(where) == in_git(opened, tree(opened))
    finally:
        os.umask(before)


def test_a_tree_that_is_only_in_memory_is_brought_too(opened, pool):
    made = other_tree(opened, {b"fresh": b"1\n", b"deep/er/x": None})
    with pool.checkout(made) as where:
        assert on_disk(where) == in_git(opened, made)


def test_only_what_differs_is_written_again(opened, pool):
    one, two = tree(opened), other_tree(opened, {b"app.py": b"new\n"})
    with pool.checkout(one) as where:
        before = {path.name: path.lstat().st_ctime_ns for path in where.iterdir()}
    with pool.checkout(two) as again:
        assert again == where
        after = {path.name: path.lstat().st_ctime_ns for path in where.iterdir()}
        assert on_disk(where) == in_git(opened, two)
    assert {name for name in before if before[name] != after[name]} == {"app.py"}


@pytest.mark.parametrize("seed", range(4))
def test_from_any_tree_to_any_other(opened, pool, seed):
    """Files become folders and links, folders files; each copy is what git would have there."""
    chance = random.Random(seed)
    names = [b"a", b"a/b", b"a/b/c", b"d", b"d/e", b"f.sh", b"sub", b"sub/x", b"link"]
    modes = [Mode.FILE, Mode.EXECUTABLE, Mode.SYMLINK]
    empty = tree_of(opened, None)
    for _ in range(25):
        taken: list[bytes] = []
        for name in chance.sample(names, 5):
            if not any(each.startswith(name + b"/") or name.startswith(each + b"/") for each in taken):
                taken.append(name)
        edits = [change(empty, name, chance.choice([b"1", b"22"]), chance.choice(modes)) for name in taken]
        made = write_tree(opened, empty, edits)
        with pool.checkout(made) as where:
            assert on_disk(where) == in_git(opened, made)


def _raw_tree(repo: Path, name: bytes) -> str:
    blob = git(repo, "hash-object", "-w", "--stdin", stdin=b"evil\n")
    line = b"100644 " + name + b"\0" + bytes.fromhex(blob)
    return git(repo, "hash-object", "-w", "--literally", "-t", "tree", "--stdin", stdin=line)


@pytest.mark.parametrize("level", ["first", "below"])
@pytest.mark.parametrize(
    "name",
    [b"..", b".", b"", b"../escape", b".git", b".GIT", b".git.", b".git ", b"git~1", b"GIT~2", b".g\xe2\x80\x8cit",
     b".git::$INDEX_ALLOCATION", b"/etc/escape", b"\xef\xbb\xbf.git"],
)  # fmt: skip
def test_a_hostile_name_is_never_written(repo, opened, pool, tmp_path, name, level):
    made = _raw_tree(repo, name)
    if level == "below":
        line = b"40000 a\0" + bytes.fromhex(made)
        made = git(repo, "hash-object", "-w", "--literally", "-t", "tree", "--stdin", stdin=line)
    before = on_disk(tmp_path)
    with pytest.raises(Cannot) as refusal, pool.checkout(made):
        pass
    assert refusal.value.kind == "unsafe-tree"
    new = on_disk(tmp_path).keys() - before.keys()
    assert not [path for path in new if b"escape" in path or path.lower().endswith((b"evil", b".git"))]
    with pool.checkout(tree(opened)) as where:
        assert on_disk(where) == in_git(opened, tree(opened))


@pytest.mark.parametrize("name", [b".github", b".gitignore", b".gitmodules", b"gitty", b"a:b", b"CON", b"-rf"])
def test_names_that_are_only_odd_are_kept(repo, pool, name):
    with pool.checkout(_raw_tree(repo, name)) as where:
        assert [os.fsencode(path.name) for path in where.iterdir()] == [name]


def test_nothing_is_written_through_a_link_of_the_tree(repo, opened, pool, tmp_path):
    """A tree that names a symlink and a folder alike must not lead the folder's files through the link."""
    target = git(repo, "hash-object", "-w", "--stdin", stdin=os.fsencode(tmp_path))
    below = _raw_tree(repo, b"evil")
    lines = b"120000 a\0" + bytes.fromhex(target) + b"40000 a\0" + bytes.fromhex(below)
    with pool.checkout(git(repo, "hash-object", "-w", "--literally", "-t", "tree", "--stdin", stdin=lines)):
        assert not (tmp_path / "evil").exists()


# --- what a command may have done -----------------------------------------------------------------------------------


def _in_place(where):
    with (where / "app.py").open("r+b") as file:
        file.write(b"DEF")


def _in_place_and_set_the_time_back(where):
    before = (where / "app.py").stat()
    _in_place(where)
    os.utime(where / "app.py", ns=(before.st_atime_ns, before.st_mtime_ns))


def _swap(where):
    (where / "app.py").rename(where / "aside")
    (where / "README.md").rename(where / "app.py")
    (where / "aside").rename(where / "README.md")


def _link_instead(where):
    (where / "app.py").unlink()
    (where / "app.py").symlink_to("/etc/passwd")


def _hard_link(where):
    (where.parent / "kept").unlink(missing_ok=True)
    os.link(where / "app.py", where.parent / "kept")


def _folder_as_link(where):
    outside = where.parent.parent / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "er").mkdir(exist_ok=True)
    (outside / "er" / "x").write_bytes(b"precious")
    rubbish.remove(where / "deep")
    (where / "deep").symlink_to(outside)


def _new_things(where):
    (where / ".git").mkdir()
    (where / ".git" / "config").write_text("[core]\n")
    (where / "sub" / "x").write_text("x")
    (where / "deep" / "empty").mkdir()
    os.mkfifo(where / "pipe")


def _modes(where):
    (where / "app.py").chmod(0o600)
    (where / "deep").chmod(0o2700)
    where.chmod(0o700)


def _closed(where):
    (where / "deep" / "er").chmod(0)
    (where / "shut" / "in").mkdir(parents=True)
    (where / "shut" / "in" / "x").write_text("x")
    (where / "shut" / "in").chmod(0)
    (where / "shut").chmod(0o100)


def _everything_gone(where):
    for path in where.iterdir():
        rubbish.remove(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _itself_gone(where):
    rubbish.remove(where)


def _itself_a_link(where):
    rubbish.remove(where.parent / "elsewhere")
    where.rename(where.parent / "elsewhere")
    where.symlink_to("elsewhere")


def _very_deep(where, levels=400):
    fd = os.open(where, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d" * 20, dir_fd=fd)
        below = os.open("d" * 20, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)


def _attributes(where):
    try:
        os.setxattr(where / "deep", "user.ghost", b"1")
    except OSError:
        pytest.skip("no extended attributes here")


def test_no_depth_is_too_deep_to_be_taken_away(tmp_path):
    (tmp_path / "deep").mkdir()
    _very_deep(tmp_path / "deep", levels=3000)
    rubbish.remove(tmp_path / "deep")
    assert not (tmp_path / "deep").exists()


DEEDS = [
    _in_place,
    _in_place_and_set_the_time_back,
    _swap,
    _link_instead,
    _hard_link,
    _folder_as_link,
    _new_things,
    _modes,
    _closed,
    _everything_gone,
    _itself_gone,
    _itself_a_link,
    _very_deep,
    _attributes,
]


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.__name__.strip("_"))
def test_whatever_a_command_did_is_undone(opened, pool, deed):
    """Twice: what was written a moment ago, and what has been standing there for a while."""
    for _ in range(2):
        with pool.checkout(tree(opened)) as where:
            deed(where)
        with pool.checkout(tree(opened)) as again:
            assert again == where
            assert not again.is_symlink()
            assert stat.S_IMODE(again.stat().st_mode) == 0o755
            assert on_disk(again) == in_git(opened, tree(opened))
            assert os.listxattr(again / "deep") == []
    outside = where.parent.parent / "outside"
    assert not outside.exists() or (outside / "er" / "x").read_bytes() == b"precious"


def test_a_file_that_is_linked_elsewhere_is_not_written_through(opened, pool):
    with pool.checkout(tree(opened)) as where:
        kept = where.parent / "kept"
        os.link(where / "app.py", kept)
        kept.write_bytes(b"changed through the other name\n")
    with pool.checkout(other_tree(opened, {b"app.py": b"new\n"})) as where:
        assert kept.read_bytes() == b"changed through the other name\n"
        assert (where / "app.py").read_bytes() == b"new\n"


def test_a_change_within_the_clocks_tick_is_seen(opened, pool, monkeypatch):
    """As where a command writes the same number of bytes in the tick in which the copy was made."""
    with pool.checkout(tree(opened)) as where:
        note = noted.read(where.parent / "note")
        (where / "app.py").write_bytes(bytes(note.files[b"app.py"].marks.size))
        marks = noted.marks_of((where / "app.py").stat())
        within = dict(note.files) | {b"app.py": note.files[b"app.py"]._replace(marks=marks)}
        noted.write(where.parent / "note", note.tree, within)
        late = noted.read(where.parent / "note")
        assert late.taken >= marks.ctime_ns
    if late.young(marks):
        with pool.checkout(tree(opened)) as where:
            assert on_disk(where) == in_git(opened, tree(opened))


# --- who uses it ----------------------------------------------------------------------------------------------------


def test_two_at_a_time_have_two_copies(opened, pool):
    with pool.checkout(tree(opened)) as one, pool.checkout(tree(opened)) as two:
        assert one != two
        (one / "app.py").write_text("mine\n")
        assert on_disk(two) == in_git(opened, tree(opened))
    with pool.checkout(tree(opened)) as again:
        assert again == one


def test_threads_share_a_pool(opened, pool):
    trees = [other_tree(opened, {b"app.py": b"%d\n" % number}) for number in range(4)]
    wrong = []

    def work(number):
        for _ in range(10):
            with pool.checkout(trees[number]) as where:
                if (where / "app.py").read_bytes() != b"%d\n" % number or (where / "mine").exists():
                    wrong.append(number)
                (where / "mine").write_text("x")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert wrong == []


def test_no_more_than_the_size(opened, tmp_path):
    small = worktree.Pool(opened, tmp_path / "copies", size=1)
    with small.checkout(tree(opened)), pytest.raises(Cannot) as caught, small.checkout(tree(opened)):
        pass
    assert caught.value.kind == "pool-full"


def test_a_copy_is_given_up_where_it_can_not_be_mended(opened, pool, monkeypatch):
    """Another user's file in it, or something mounted there: the next slot serves."""
    with pool.checkout(tree(opened)) as first:
        (first / "junk").write_text("x")

    def stuck(name, above, bin, original=rubbish.discard):
        if name == "junk":
            raise PermissionError(1, "Operation not permitted", name)
        original(name, above, bin)

    monkeypatch.setattr("ghostd.repo.rubbish.discard", stuck)
    with pool.checkout(tree(opened)) as second:
        assert second != first
        assert on_disk(second) == in_git(opened, tree(opened))


#: Takes a copy, says so, and waits to be killed: in the block, or in the middle of bringing the files.
HOLDER = """
import os, sys, pathlib, time
from ghostd.repo import worktree, bring
from ghostd.repo.git import open_repository
where, copies, tree, point = sys.argv[1:]
if point == "bringing":
    original, count = bring._file, 0
    def deadly(*arguments):
        global count
        count += 1
        if count == 3:
            os.kill(os.getpid(), 9)
        return original(*arguments)
    bring._file = deadly
with open_repository(pathlib.Path(where)) as opened:
    with worktree.pool(opened, pathlib.Path(copies)).checkout(tree) as folder:
        (folder / "app.py").write_text("half done\\n")
        print(folder, flush=True)
        time.sleep(60)
"""


@pytest.mark.parametrize("point", ["working", "bringing"])
def test_a_copy_whose_user_was_killed_is_made_anew(opened, pool, repo, tmp_path, point):
    """A command of the dead one may still be at work in it: it keeps the old folder, not the new copy."""
    with pool.checkout(tree(opened)) as where:
        survivor = os.open(where / "app.py", os.O_RDWR)
        (where / "junk").write_text("x")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    other = other_tree(opened, dict.fromkeys((b"a", b"b", b"c", b"README.md", b"docs/notes.txt"), b"2\n"))
    opened.flush()
    argv = [sys.executable, "-c", HOLDER, str(repo), str(where.parent.parent), other, point]
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE) as holder:
        told = holder.stdout.readline()
        if point == "working":
            assert told.decode().strip() == str(where)
            survivor = os.open(where / "app.py", os.O_RDWR)
            with pool.checkout(other) as second:
                assert second != where, "it is in use"
            holder.send_signal(signal.SIGKILL)
    with pool.checkout(other) as again:
        assert again == where
        os.pwrite(survivor, b"late", 0)
        assert on_disk(again) == in_git(opened, other)
    os.close(survivor)


def test_copies_that_nobody_uses_can_be_removed(opened, pool):
    with pool.checkout(tree(opened)) as one:
        with pool.checkout(tree(opened)) as two:
            pass
        assert pool.trim() == 1
        assert one.exists()
        assert not two.exists()
    assert pool.trim(keep=1) == 0
    assert pool.trim() == 1
    with pool.checkout(tree(opened)) as again:
        assert on_disk(again) == in_git(opened, tree(opened))


def test_a_start_sweeps_no_slot():
    assert worktree.is_slot("pool-0")
    assert not worktree.is_slot("pool-x")
    assert not worktree.is_slot("host_12_34.5~678")


@pytest.mark.parametrize("spoiled", [b"", b"ghost-note-1\n", b"ghost-note-1\n" + bytes(500)])
def test_a_spoiled_note_is_no_note(opened, pool, spoiled):
    with pool.checkout(tree(opened)) as where:
        (where / "app.py").write_text("x")
    (where.parent / "note").write_bytes(spoiled)
    with pool.checkout(tree(opened)) as where:
        assert on_disk(where) == in_git(opened, tree(opened))


def test_after_a_power_cut_nothing_of_a_copy_is_believed(opened, pool):
    with pool.checkout(tree(opened)) as where:
        pass
    note = where.parent / "note"
    boot = Path("/proc/sys/kernel/random/boot_id").read_bytes()[:36]
    assert noted.read(note) is not None
    note.write_bytes(note.read_bytes().replace(boot, b"0" * 36))
    assert noted.read(note) is None


def test_a_tree_that_is_too_deep_is_refused(opened, pool):
    empty = tree_of(opened, None)
    made = write_tree(opened, empty, [change(empty, b"d/" * 300 + b"x", b"1")])
    with pytest.raises(Cannot) as caught, pool.checkout(made):
        pass
    assert caught.value.kind == "unsafe-tree"


# --- reading back ---------------------------------------------------------------------------------------------------


def _read(opened, where, oid, **more):
    found = worktree.read_back(opened, where, oid, **more)
    return {change.path: change.after and (change.after.mode, change.after.data) for change in found}


def test_nothing_done_is_nothing_changed(opened, pool):
    with pool.checkout(tree(opened)) as where:
        (where / "empty").mkdir()
        (where / "app.py").write_bytes((where / "app.py").read_bytes())
        assert _read(opened, where, tree(opened)) == {}


def _edit(where):
    (where / "app.py").write_bytes(b"new\n")
    (where / "fresh").mkdir()
    (where / "fresh" / "x").write_bytes(b"1\n")
    (where / "deep" / "er" / "x").unlink()
    return {b"app.py": (Mode.FILE, b"new\n"), b"fresh/x": (Mode.FILE, b"1\n"), b"deep/er/x": None}


def _same_size_same_time(where):
    data = (where / "app.py").read_bytes()[::-1]
    _in_place_and_set_the_time_back(where)
    (where / "app.py").write_bytes(data)
    return {b"app.py": (Mode.FILE, data)}


def _kinds(where):
    (where / "app.py").chmod(0o755)
    (where / "run.sh").chmod(0o644)
    (where / "link").unlink()
    (where / "link").symlink_to("/etc/passwd")
    (where / "README.md").unlink()
    (where / "README.md").symlink_to("app.py")
    return {
        b"app.py": (Mode.EXECUTABLE, (where / "app.py").read_bytes()),
        b"run.sh": (Mode.FILE, b"#!/bin/sh\n"),
        b"link": (Mode.SYMLINK, b"/etc/passwd"),
        b"README.md": (Mode.SYMLINK, b"app.py"),
    }


def _swaps(where):
    (where / "app.py").unlink()
    (where / "app.py").mkdir()
    (where / "app.py" / "in").write_bytes(b"1")
    (where / "deep" / "er" / "x").unlink()
    (where / "deep" / "er").rmdir()
    (where / "deep").rmdir()
    (where / "deep").write_bytes(b"2")
    return {
        b"app.py": None,
        b"app.py/in": (Mode.FILE, b"1"),
        b"deep": (Mode.FILE, b"2"),
        b"deep/er/x": None,
    }


def _below_a_submodule(where):
    (where / "sub" / "x").write_bytes(b"1")
    return {b"sub/x": (Mode.FILE, b"1")}


def _a_submodule(where):
    (where / "sub").rmdir()
    return {b"sub": None}


def _a_submodule_as_file(where):
    (where / "sub").rmdir()
    (where / "sub").write_bytes(b"1")
    return {b"sub": (Mode.FILE, b"1")}


def _git_folder(where):
    (where / ".git").mkdir()
    (where / ".git" / "config").write_bytes(b"evil\n")
    return {b".git/config": (Mode.FILE, b"evil\n")}


def _odd_names(where):
    (where / os.fsdecode(b"n\xfe\n")).write_bytes(b"1")
    return {b"n\xfe\n": (Mode.FILE, b"1")}


@pytest.mark.parametrize("with_note", [True, False], ids=["in the pool", "anywhere"])
@pytest.mark.parametrize(
    "deed",
    [
        _edit,
        _same_size_same_time,
        _kinds,
        _swaps,
        _below_a_submodule,
        _a_submodule,
        _a_submodule_as_file,
        _git_folder,
        _odd_names,
    ],
    ids=lambda deed: deed.__name__.strip("_"),
)
def test_all_that_a_command_changed_is_read_back(opened, pool, deed, with_note):
    with pool.checkout(tree(opened)) as where:
        expected = deed(where)
        if not with_note:
            (where.parent / "note").unlink()
        assert _read(opened, where, tree(opened)) == expected


def test_what_is_read_back_makes_the_same_tree(opened, pool):
    """As bytes go through Git: the tree with the changes is the tree that the folder holds."""
    with pool.checkout(tree(opened)) as where:
        _edit(where)
        found = worktree.read_back(opened, where, tree(opened))
        made = write_tree(opened, tree_of(opened, tree(opened)), found)
        (where / "deep" / "er").rmdir()
        (where / "deep").rmdir()
        assert on_disk(where) == in_git(opened, made)
    assert [change.path for change in found] == sorted(change.path for change in found)
    before = {change.path: change.before and change.before.oid for change in found}
    assert before[b"fresh/x"] is None
    assert before[b"app.py"] == load_folder(opened, tree(opened))[b"app.py"].oid.hex()


def test_the_note_of_another_tree_is_not_believed(opened, pool):
    other = other_tree(opened, {b"app.py": b"new\n"})
    with pool.checkout(tree(opened)) as where:
        assert _read(opened, where, other) == {b"app.py": (Mode.FILE, (where / "app.py").read_bytes())}


def _socket(where):
    with socket.socket(socket.AF_UNIX) as made:
        here = Path.cwd()
        os.chdir(where)
        try:
            made.bind("s")
        finally:
            os.chdir(here)


@pytest.mark.parametrize("make", [lambda where: os.mkfifo(where / "pipe"), _socket], ids=["pipe", "socket"])
def test_what_git_can_not_hold_is_refused(opened, pool, make):
    with pool.checkout(tree(opened)) as where:
        make(where)
        with pytest.raises(Cannot) as caught:
            worktree.read_back(opened, where, tree(opened))
    assert caught.value.kind == "odd-file"


def test_too_much_is_refused_before_it_is_read(opened, pool):
    with pool.checkout(tree(opened)) as where:
        with (where / "huge").open("wb") as file:
            file.truncate(1 << 40)
        with pytest.raises(Cannot) as caught:
            worktree.read_back(opened, where, tree(opened))
        assert caught.value.kind == "too-large"
        (where / "huge").write_bytes(b"x" * 60)
        (where / "more").write_bytes(b"x" * 60)
        with pytest.raises(Cannot):
            worktree.read_back(opened, where, tree(opened), limit=100)
        assert len(worktree.read_back(opened, where, tree(opened), limit=120)) == 2


def test_what_is_too_deep_is_refused(opened, pool):
    with pool.checkout(tree(opened)) as where:
        _very_deep(where)
        with pytest.raises(Cannot) as caught:
            worktree.read_back(opened, where, tree(opened))
    assert caught.value.kind == "too-large"
