"""People's files through descriptors that are kept open for one look or one writing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ghostd.model.tree import Entry, File, Mode
from ghostd.repo import folders, ref_file
from ghostd.repo.disk import Files
from ghostd.repo.folders import Folders
from ghostd.repo.look import Kind, blob_id

ONE, TWO = "1" * 40, "2" * 40


@pytest.fixture
def files(tmp_path):
    (tmp_path / "git").mkdir()
    (tmp_path / "top").mkdir()
    with Files(tmp_path / "top", spare=tmp_path / "git" / "spare", size_of=lambda _oid: None, durable=False) as found:
        yield found


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _text(data: bytes) -> File:
    return File(mode=Mode.FILE, data=data)


def test_deep_and_many_folders_do_not_use_up_the_descriptors(tmp_path):
    before = _open_files()
    top = Folders(tmp_path)
    for path in [b"/".join([b"d"] * (3 * folders._MANY)), *(b"w%d/x" % number for number in range(3 * folders._MANY))]:
        fd = top.made(path, set())
        os.close(os.open(b"here", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        assert tmp_path.joinpath(os.fsdecode(path), "here").exists()
        assert _open_files() <= before + folders._MANY + 1
    top.close()
    assert _open_files() == before


def test_a_folder_that_went_is_made_anew_and_not_taken_from_memory(files, tmp_path):
    for data in (b"1\n", b"2\n"):
        files.put(b"a/b/c", _text(data))
        assert files.place() == set()
        assert (tmp_path / "top" / "a" / "b" / "c").read_bytes() == data
        files.remove(b"a/b/c")
        assert not (tmp_path / "top" / "a").exists()


def test_a_folder_becomes_a_file_and_a_folder_again(files, tmp_path):
    (tmp_path / "top" / "a" / "empty").mkdir(parents=True)
    assert files.look(b"a/empty/x").kind is Kind.ABSENT
    files.put(b"a", _text(b"file\n"))
    assert files.place() == set()
    assert files.look(b"a/empty/x").kind is Kind.BLOCKED
    files.remove(b"a")
    files.put(b"a/empty/x", _text(b"again\n"))
    assert files.place() == set()
    assert (tmp_path / "top" / "a" / "empty" / "x").read_bytes() == b"again\n"


def test_one_that_can_not_be_placed_keeps_back_no_other(files, tmp_path):
    """Many more than are on their way at once, and a person's folder in the way of one."""
    paths = [b"f%03d" % number for number in range(200)]
    for path in paths:
        files.put(path, _text(path))
        if path == b"f150":
            (tmp_path / "top" / "f150" / "a person's").mkdir(parents=True)
    assert files.place() == {b"f150"}
    assert files.place() == set()
    assert {path.name.encode() for path in (tmp_path / "top").iterdir() if path.is_file()} == {*paths} - {b"f150"}
    assert (tmp_path / "top" / "f150" / "a person's").is_dir()


def test_what_was_not_placed_leaves_no_descriptor(tmp_path):
    before = _open_files()
    with Files(tmp_path, spare=tmp_path / "spare", size_of=lambda _oid: None, durable=False) as files:
        files.put(b"a/b", _text(b"x"))
    assert _open_files() == before
    assert not (tmp_path / "a" / "b").exists()


def test_one_look_is_compared_with_as_many_entries_as_there_are(files, tmp_path):
    (tmp_path / "top" / "dos").write_bytes(b"1\r\n")
    seen = files.see(b"dos")
    (tmp_path / "top" / "dos").unlink()
    # The bytes are read at the first question: what went in between is no file with any bytes.
    assert not seen.holds(Entry(mode=Mode.FILE, oid=blob_id(b"1\r\n")))
    (tmp_path / "top" / "dos").write_bytes(b"1\r\n")
    seen = files.see(b"dos")
    held = [seen.holds(Entry(mode=Mode.FILE, oid=blob_id(data))) for data in (b"1\r\n", b"1\n", b"1", b"")]
    assert held == [True, True, False, False]
    assert not seen.holds(Entry(mode=Mode.EXECUTABLE, oid=blob_id(b"1\n")))
    assert not seen.holds(Entry(mode=Mode.SYMLINK, oid=blob_id(b"1\n")))
    assert not seen.holds(None)


def test_a_ref_that_may_be_behind_is_written_over_under_its_lock(tmp_path):
    ref, lock = tmp_path / "refs" / "x", tmp_path / "refs" / "x.lock"
    ref.parent.mkdir()
    ref.write_text(f"{ONE}\n")
    assert not ref_file.set_behind(tmp_path, "refs/x", ONE, TWO)
    assert ref_file.set_behind(tmp_path, "refs/x", TWO, ONE)
    assert ref.read_text() == f"{TWO}\n"
    lock.touch()
    with pytest.raises(FileExistsError):
        ref_file.set_behind(tmp_path, "refs/x", ONE, TWO)
    assert lock.exists()
    assert ref.read_text() == f"{TWO}\n"


@pytest.mark.parametrize("how", ["hardlink_to", "symlink_to"])
def test_a_ref_that_shares_its_file_is_not_written_over(tmp_path, how):
    """A backup made of links keeps what it had."""
    kept, ref = tmp_path / "backup", tmp_path / "ref"
    kept.write_text(f"{ONE}\n")
    getattr(ref, how)(kept)
    try:
        assert not ref_file.set_behind(tmp_path, "ref", TWO, ONE)
    except OSError:
        assert how == "symlink_to"
    assert kept.read_text() == f"{ONE}\n"
    assert not (tmp_path / "ref.lock").exists()
