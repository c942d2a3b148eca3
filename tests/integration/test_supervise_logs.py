"""Log files: rotated at line ends, bounded, in nobody's way; and the engine's journal, which is one of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ghostd.base.clock import SystemClock
from ghostd.supervise import journal
from ghostd.supervise.journal import Journal, entries
from ghostd.supervise.logs import LogFile


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_full_file_is_put_aside_and_the_oldest_goes(tmp_path):
    log = LogFile(tmp_path / "a.log", max_size=8, backups=2)
    for word in (b"one\n", b"two\n", b"three\n", b"four\n", b"five\n"):
        log.write(word)
    log.close()
    assert files(tmp_path) == {"a.log": b"five\n", "a.log.1": b"four\n", "a.log.2": b"three\n"}


@pytest.mark.parametrize(
    ("writes", "expected"),
    [
        ([b"12345\n67890\nabc"], [b"abc", b"67890\n", b"12345\n"]),
        ([b"123", b"45\n", b"67890\n"], [b"67890\n", b"12345\n"]),
        ([b"123456", b"7890\n", b"x\n"], [b"x\n", b"1234567890\n"]),
        ([b"a line that is longer than a file\n", b"x\n"], [b"x\n", b"a line that is longer than a file\n"]),
        ([b"\n\n\n\n\n\n\n\n\n\n"], [b"\n\n", b"\n\n\n\n\n\n\n\n"]),
        ([b""], []),
    ],
)
def test_no_line_is_ever_split(tmp_path, writes, expected):
    log = LogFile(tmp_path / "a.log", max_size=8, backups=9)
    for data in writes:
        log.write(data)
    log.close()
    found = files(tmp_path)
    assert [found[name] for name in sorted(found, key=len)] == expected


def test_something_endless_without_a_line_end_is_split_all_the_same(tmp_path):
    log = LogFile(tmp_path / "a.log", max_size=1 << 16, backups=1)
    for _ in range(40):
        log.write(b"x" * (1 << 16))
    log.close()
    assert all(len(data) <= (1 << 20) + (2 << 16) for data in files(tmp_path).values())


def test_without_backups_the_file_begins_anew(tmp_path):
    log = LogFile(tmp_path / "a.log", max_size=8, backups=0)
    log.write(b"one\ntwo\n")
    log.write(b"three\n")
    log.close()
    assert files(tmp_path) == {"a.log": b"three\n"}


def test_a_file_that_is_there_is_gone_on_with(tmp_path):
    (tmp_path / "a.log").write_bytes(b"before\n")
    log = LogFile(tmp_path / "a.log", max_size=9, backups=1)
    log.write(b"after\n")
    log.close()
    assert files(tmp_path) == {"a.log": b"after\n", "a.log.1": b"before\n"}


def test_what_can_not_be_written_is_counted_and_told_as_soon_as_it_can(tmp_path):
    folder = tmp_path / "log"
    log = LogFile(folder / "a.log", max_size=100, backups=1)
    log.write(b"12345\n")
    log.write(b"6789\n")
    assert log.dropped == 11
    folder.mkdir()
    log.write(b"here again\n")
    log.close()
    told = b"[ghostd: 11 bytes of output are missing here: No such file or directory]\nhere again\n"
    assert files(folder) == {"a.log": told}
    assert log.dropped == 0


def test_clear_reopen_and_touch(tmp_path):
    log = LogFile(tmp_path / "a.log", max_size=100, backups=1)
    log.touch()
    assert files(tmp_path) == {"a.log": b""}
    log.write(b"one\n")
    (tmp_path / "a.log").rename(tmp_path / "moved")
    log.reopen()
    log.write(b"two\n")
    assert files(tmp_path) == {"a.log": b"two\n", "moved": b"one\n"}
    log.clear()
    assert (tmp_path / "a.log").read_bytes() == b""
    assert (tmp_path / "a.log").stat().st_mode & 0o777 == 0o600
    log.close()


# -- the journal ---------------------------------------------------------------------------------------------------


def test_entries_are_numbered_on_over_every_new_engine(tmp_path):
    for _ in range(3):
        made = Journal(tmp_path / "engine.journal", SystemClock())
        made.record(service="a", to="RUNNING")
        made.record(service="a", to="STOPPED", why="ünïcode \ud800")
        made.close()
    found = list(entries(tmp_path / "engine.journal"))
    assert [entry["seq"] for entry in found] == [1, 2, 3, 4, 5, 6]
    assert set(found[0]) == {"seq", "time", "service", "to"}
    assert [entry["seq"] for entry in entries(tmp_path / "engine.journal", after=4)] == [5, 6]


def test_the_journal_is_bounded_and_its_numbers_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "MAX_SIZE", 1000)
    made = Journal(tmp_path / "engine.journal", SystemClock())
    for _ in range(200):
        made.record(service="a")
    made.close()
    assert sorted(files(tmp_path)) == ["engine.journal", "engine.journal.1"]
    assert sum(map(len, files(tmp_path).values())) <= 2000
    numbers = [entry["seq"] for entry in entries(tmp_path / "engine.journal")]
    assert numbers == list(range(numbers[0], 201))
    again = Journal(tmp_path / "engine.journal", SystemClock())
    again.record(service="a")
    again.close()
    assert list(entries(tmp_path / "engine.journal"))[-1]["seq"] == 201


@pytest.mark.parametrize(
    "torn",
    [
        b'{"seq": 3, "serv',
        b"\0\0\0",
        b"[ghostd: 7 bytes of output are missing here: x]\n",
        b'"seq"\n',
        b'{"seq": "9"}\n',
    ],
)
def test_what_is_no_entry_is_passed_over_and_costs_only_itself(tmp_path, torn):
    path = tmp_path / "engine.journal"
    path.write_bytes(b'{"seq": 1}\n{"seq": 2}\n' + torn)
    made = Journal(path, SystemClock())
    made.record(service="a")
    made.close()
    assert [entry["seq"] for entry in entries(path)] == [1, 2, 3]


def test_no_journal_has_no_entries(tmp_path):
    assert list(entries(tmp_path / "engine.journal")) == []


def test_a_full_disk_costs_the_entries_and_shows_as_a_gap(tmp_path):
    path = tmp_path / "engine.journal"
    path.symlink_to("/dev/full")
    made = Journal(path, SystemClock())
    made.record(service="a")
    path.unlink()
    made.record(service="a")
    made.close()
    lines = path.read_bytes().splitlines()
    assert b"missing here" in lines[0]
    assert json.loads(lines[1])["seq"] == 2
    assert path.stat().st_size < 1000
