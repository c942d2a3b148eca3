"""The ledger's file: whole or not there, private, told clearly where it can not be used, and never harmed by a kill."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from store_kit import StandingClock, child, claimed, done, new

from ghostd.base.errors import Cannot
from ghostd.model.alert import Finding, Severity
from ghostd.model.job import Origin, State
from ghostd.store import schema
from ghostd.store.db import open_ledger
from ghostd.store.statements import STATEMENTS, load

STORE = Path(schema.__file__).parent


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ghost.db"


def opened(path: Path, **more):
    return open_ledger(path, clock=StandingClock(), **more)


def refusal(path: Path, **more) -> Cannot:
    with pytest.raises(Cannot) as refused:
        opened(path, **more)
    assert refused.value.hint, "the next step"
    assert str(path) in refused.value.message
    return refused.value


# Made and opened -------------------------------------------------------------------------------------------------


def test_a_new_ledger_is_private_synced_and_alone_in_its_folder(path):
    ledger = opened(path)
    assert {entry.name for entry in path.parent.iterdir()} <= {"ghost.db", "ghost.db-wal", "ghost.db-shm"}
    assert {entry.stat().st_mode & 0o777 for entry in path.parent.iterdir()} == {0o600}
    settings = {name: ledger._file._run(f"PRAGMA {name}")[0][0] for name in ("journal_mode", "synchronous")}
    assert settings == {"journal_mode": "wal", "synchronous": 2}
    assert ledger._file._run("PRAGMA foreign_keys")[0][0] == 1
    assert ledger.integrity() == []
    ledger.close()


def test_a_ledger_that_others_could_read_is_made_private(path):
    opened(path).close()
    path.chmod(0o644)
    opened(path).close()
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["with space?#%41.db", "ünï.db"])
def test_any_name_will_do(tmp_path, name):
    ledger = opened(tmp_path / name)
    ledger.put(new("a"))
    ledger.close()
    assert opened(tmp_path / name).get("a") is not None


def test_processes_that_make_it_at_once_all_use_the_same(tmp_path):
    several = [child("opener", tmp_path) for _ in range(4)]
    for one in several:
        assert one.stdout.readline() == "ready\n"
    for one in several:
        one.stdin.write("go\n")
        one.stdin.flush()
    assert [one.communicate(timeout=60)[0] for one in several] == ["opened\n"] * 4
    assert [event.seq for event in opened(tmp_path / "ghost.db").events()] == [1, 2, 3, 4]


def test_opening_does_not_pay_for_what_only_a_migration_needs(path):
    opened(path).close()
    program = (
        "import sys; from pathlib import Path; from ghostd.base.clock import SystemClock\n"
        "from ghostd.store.db import open_ledger; open_ledger(Path(sys.argv[1]), clock=SystemClock()).newest()\n"
        "print('sqlite_utils' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_ledger_belongs_to_the_thread_that_opened_it(path):
    ledger = opened(path)
    caught = []

    def elsewhere() -> None:
        try:
            ledger.newest()
        except sqlite3.ProgrammingError as error:
            caught.append(str(error))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert "thread" in caught[0]


# Versions --------------------------------------------------------------------------------------------------------


def test_an_empty_file_becomes_a_ledger(path):
    path.touch(mode=0o600)
    ledger = opened(path)
    ledger.put(new("a"))
    assert ledger._file._run("PRAGMA user_version")[0][0] == 1 + len(schema.STEPS)
    assert ledger._file._run("PRAGMA journal_mode")[0][0] == "wal"


def _add_colour(db) -> None:
    db["jobs"].add_column("colour", str, not_null_default="red")


def _rebuild_deliveries(db) -> None:
    db["deliveries"].transform(defaults={"attempts": 0})


def _rename(db) -> None:
    db["journal"].transform(rename={"source": "place"})


def _fails(db) -> None:
    db["jobs"].add_column("half", str)
    raise RuntimeError("the step is wrong")


def test_an_older_ledger_climbs_step_by_step_and_keeps_its_rows(path, monkeypatch):
    ledger = opened(path)
    ledger.put(new("a"))
    ledger.journal(Origin(door="chat", source="talk.md"), b"raw")
    before = _indexes(ledger)
    ledger.close()
    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, _add_colour, _rebuild_deliveries, _rename))
    ledger = opened(path)
    assert ledger._file._run("PRAGMA user_version")[0][0] == 1 + len(schema.STEPS)
    assert [row["colour"] for row in ledger._file._run("SELECT colour FROM jobs")] == ["red"]
    assert [row["place"] for row in ledger._file._run("SELECT place FROM journal")] == ["talk.md"]
    assert _indexes(ledger) == before
    loose = [row["name"] for row in ledger._file._run("PRAGMA table_list") if not row["strict"]]
    assert [name for name in loose if not name.startswith("sqlite_")] == []
    assert ledger.integrity() == []
    assert claimed(ledger).job.body == new("a").body


def _indexes(ledger) -> set[str]:
    return {row["name"] for row in ledger._file._run("SELECT name FROM sqlite_schema WHERE type = 'index'")}


def _first_ledger(path: Path) -> sqlite3.Connection:
    """A ledger as version 1 made it, with jobs in several states and what had landed."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(Path(__file__).with_name("ledger_v1.sql").read_text())
    connection.execute(f"PRAGMA application_id = {schema.APPLICATION}")
    connection.execute("PRAGMA user_version = 1")
    for seq, state in enumerate(("applied", "queued", "running"), 1):
        connection.execute(
            "INSERT INTO jobs (seq, id, kind, state, lane, repo, branch, digest, door, door_source, priority, title,"
            " depends_on, options, received_at, owner, leased_at, lease)"
            " VALUES (?, ?, 'patch', ?, 'MAIN', '/srv/app/.git', 'ghost/work', 'd', 'command', '', 1, 't', '[]', '{}',"
            " 0, 'me', 1.0, 60.0)",
            (seq, f"p{seq}", state),
        )
        connection.execute("INSERT INTO bodies VALUES (?, x'7b7d', x'')", (seq,))
    connection.execute("INSERT INTO landed VALUES ('r', 'b', 1, 'o', 'p1', 'd', 'e', 'MAIN', NULL, '[]', '[]')")
    connection.commit()
    return connection


def _shape(connection) -> dict[tuple[str, str], object]:
    """Everything that a ledger is made of: the columns of its tables, and the words of the rest without the layout."""
    named = connection.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
    tables = {
        (kind, name): [tuple(row) for row in connection.execute(f"PRAGMA table_xinfo({name})")]
        for kind, name, _ in named
        if kind == "table"
    }
    return tables | {(kind, name): " ".join(sql.split()) for kind, name, sql in named if kind != "table"}


def test_a_ledger_of_version_1_becomes_what_a_new_one_is_and_keeps_its_rows(path, tmp_path):
    _first_ledger(path).close()
    ledger = opened(path)
    assert [job.id for job in ledger.jobs(newest_first=False)] == ["p1", "p2", "p3"]
    (landed,) = ledger.branch_commits("r", "b")
    assert (landed.id, landed.restores) == ("p1", None)
    assert ledger.integrity() == []
    fresh = opened(tmp_path / "fresh.db")
    assert _shape(ledger._file._connection) == _shape(fresh._file._connection)
    # One that was under way goes on under the new rule.
    assert [job.id for job in ledger.void({"me": False})] == ["p3"]
    ledger.close()
    fresh.close()


def test_the_steps_and_the_schema_are_plain_statements():
    """They are split at each ";" that ends a line, so a trigger must not have one within."""
    for text in (STORE / "schema.sql").read_text(), (STORE / "steps" / "002.sql").read_text():
        assert all(sqlite3.complete_statement(part + ";") for part in text.split(";\n")[:-1])


def test_a_step_that_fails_leaves_the_ledger_as_it_was(path, monkeypatch):
    ledger = opened(path)
    ledger.put(new("a"))
    ledger.close()
    with monkeypatch.context() as patched:
        patched.setattr(schema, "STEPS", (*schema.STEPS, _add_colour, _fails))
        with pytest.raises(RuntimeError):
            opened(path)
    ledger = opened(path)
    assert ledger.get("a") is not None
    assert not {"colour", "half"} & {row["name"] for row in ledger._file._run("PRAGMA table_info(jobs)")}


def test_a_newer_ledger_is_left_alone(path):
    ledger = opened(path)
    ledger._file._run("PRAGMA user_version = 99")
    ledger.close()
    before = path.read_bytes()
    refused = refusal(path)
    assert (refused.kind, refused.details["version"]) == ("ledger-too-new", 99)
    assert path.read_bytes() == before


# What can be wrong with it ---------------------------------------------------------------------------------------


def _no_database(path: Path) -> None:
    path.write_bytes(b"This is a letter to my aunt, and no database at all.\n" * 100)


def _somebody_elses(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE cookies (name)")
    other.close()


def _a_folder(path: Path) -> None:
    path.mkdir()


def _no_folder(path: Path) -> None:
    path.parent.rmdir()


WRONG = [
    (_no_database, "ledger-damaged"),
    (_somebody_elses, "ledger-damaged"),
    (_a_folder, "ledger-unreachable"),
    (_no_folder, "ledger-unreachable"),
]


@pytest.mark.parametrize(("make", "kind"), WRONG)
def test_what_is_no_ledger_is_told_and_not_touched(path, make, kind):
    path = path.parent / "state" / "ghost.db"
    path.parent.mkdir()
    make(path)
    before = path.read_bytes() if path.is_file() else None
    assert refusal(path).kind == kind
    assert (path.read_bytes() if path.is_file() else None) == before


def test_damage_inside_is_found_by_the_check_and_told_at_use(path):
    ledger = opened(path)
    for number in range(50):
        ledger.put(new(f"p{number}", body=b"x" * 3000))
    ledger.close()
    torn = bytearray(path.read_bytes())
    torn[-20 * 4096 :] = b"\xa5" * (20 * 4096)
    path.write_bytes(torn)
    ledger = opened(path)
    assert ledger.integrity() != []
    with pytest.raises(Cannot) as refused:
        ledger.jobs()
    assert refused.value.kind == "ledger-damaged"
    ledger.close()


def test_a_file_that_was_cut_short_is_damaged(path):
    opened(path).close()
    os.truncate(path, 4096 * 3 + 100)
    assert refusal(path).kind == "ledger-damaged"


def test_a_torn_row_shows_in_the_check(path):
    ledger = opened(path)
    ledger.put(new("a"))
    ledger._file._run("PRAGMA foreign_keys = OFF")
    ledger._file._run("DELETE FROM jobs")
    assert ledger.integrity() == ["bodies: row 1 refers to nothing"]


def test_a_lock_that_is_not_given_back_is_told_after_our_patience(path):
    ledger = opened(path, patience=0.05)
    ledger.put(new("a"))
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(Cannot) as refused:
        ledger.put(new("b"))
    assert refused.value.kind == "ledger-busy"
    assert ledger.get("a") is not None, "reading goes on"
    holder.execute("ROLLBACK")
    holder.close()
    assert ledger.put(new("b")).created


def test_a_transaction_holds_the_writers_lock_from_its_first_word(path):
    """One that took it only at its first write would be refused where somebody wrote after its first read."""
    ledger, other = opened(path), opened(path, patience=0.05)
    with ledger._file.write():
        assert ledger.newest() == 0
        with pytest.raises(Cannot) as refused:
            other.append("ghost.service.state", "other", {})
        ledger._tell("ghost.service.state", "mine", {}, lane=None)
    assert refused.value.kind == "ledger-busy"
    assert [event.subject for event in ledger.events()] == ["mine"]


def test_who_finds_nothing_to_do_does_not_wait_for_a_writer(path):
    ledger = opened(path, patience=0.05)
    ledger.put(new("a"))
    seen = Finding(rule="service", component="web", severity=Severity.WARNING, title="down")
    ledger.observe([seen], targets={}, rules=["service"])
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert ledger.claim("EMPTY", "me", 60.0) is None
    assert not ledger.put(new("a")).created
    assert ledger.void({"dead": False}) == ()
    ledger.observe([seen], targets={}, rules=["service"])
    holder.close()


# No space --------------------------------------------------------------------------------------------------------


def test_a_full_database_refuses_changes_nothing_and_goes_on_when_there_is_space(path):
    ledger = opened(path)
    ledger.put(new("a"))
    claim = claimed(ledger)
    pages = ledger._file._run("PRAGMA page_count")[0][0]
    ledger._file._run(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(Cannot) as refused:
        ledger.put(new("big", body=b"x" * 1_000_000))
    assert refused.value.kind == "disk-full"
    assert ledger.get("big") is None
    assert ledger.newest() == 3
    ledger._file._run("PRAGMA max_page_count = 100000")
    assert ledger.put(new("big", body=b"x" * 1_000_000)).created
    assert ledger.finish(claim, done()) is not None


@pytest.mark.parametrize("limit", [400_000, 32 + 97 * (4096 + 24)], ids=["within a frame", "between two frames"])
def test_files_that_may_not_grow_lose_nothing_that_was_acknowledged(tmp_path, limit):
    """A limit on the size of files fails the real write below SQLite: a short one, or one that writes nothing."""
    process = child("limited", tmp_path, limit)
    told = process.communicate(timeout=60)[0].split("\n")
    kind, acknowledged = told[0].split()
    assert kind == "disk-full"
    assert int(acknowledged) > 1
    assert told[1] == f"went on {int(acknowledged) + 1} []"


def test_a_full_disk_is_told_and_lost_nothing_after_it(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "ghost-test", str(disk)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode != 0:
        pytest.skip("no right to mount a small disk")
    try:
        acknowledged = _fill(disk)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
    assert acknowledged > 1


def _fill(disk: Path) -> int:
    filler = disk / "filler"
    filler.write_bytes(b"x" * 200_000)
    ledger = opened(disk / "ghost.db")
    acknowledged, kind = 0, None
    while kind is None:
        try:
            ledger.put(new(f"p{acknowledged}", body=b"x" * 10_000))
            acknowledged += 1
        except Cannot as error:
            kind = error.kind
    assert kind == "disk-full"
    assert (len(ledger.jobs()), ledger.newest(), ledger.integrity()) == (acknowledged, 2 * acknowledged, [])
    filler.unlink()
    assert ledger.put(new("again")).created
    ledger.close()
    return acknowledged


# Copies ----------------------------------------------------------------------------------------------------------


def test_a_backup_is_a_whole_private_ledger_of_that_moment(path, tmp_path):
    ledger = opened(path)
    ledger.put(new("a"))
    copy = tmp_path / "copies" / "copy.db"
    copy.parent.mkdir()
    copy.write_bytes(b"an older copy")
    ledger.backup(copy)
    ledger.put(new("b"))
    assert list(copy.parent.iterdir()) == [copy], "one file holds it all"
    assert copy.stat().st_mode & 0o777 == 0o600
    again = opened(copy)
    assert [job.id for job in again.jobs()] == ["a"]
    assert again.integrity() == []


# Kills -----------------------------------------------------------------------------------------------------------


def test_a_kill_at_any_moment_loses_nothing_that_was_acknowledged(path):
    """A child works and is killed, twelve times on one ledger; each time all rows, events and leases agree."""
    chance = random.Random(20250729)
    put, finished = set(), set()
    for round_ in range(12):
        told = _work_and_die(path.parent, f"r{round_}", chance.randrange(2, 60))
        put |= {id for what, id in told if what == "put"}
        finished |= {id for what, id in told if what == "finished"}
        _agrees(path, put, finished)
    assert len(finished) > 50


def _work_and_die(folder: Path, name: str, lines: int) -> list[list[str]]:
    process = child("churn", folder, name)
    first = [process.stdout.readline() for _ in range(lines)]
    process.send_signal(signal.SIGKILL)
    rest = process.communicate(timeout=30)[0]
    whole = ("".join(first) + rest).splitlines(keepends=True)
    return [line.split() for line in whole if line.endswith("\n")]


def _agrees(path: Path, put: set[str], finished: set[str]) -> None:
    ledger = opened(path)
    ledger.void(dict.fromkeys(ledger.owners(), False))
    assert ledger.integrity() == []
    rows = {job.id: job for job in ledger.jobs(limit=100_000)}
    assert put <= set(rows)
    assert {rows[id].state for id in finished} <= {State.APPLIED}
    events = ledger.events(limit=100_000)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    last = {event.subject: event.data["state"] for event in events}
    assert last == {id: job.state.value for id, job in rows.items()}, "the last event tells the row's state"
    assert all(job.statement == b"sealed" for job in rows.values() if job.state is State.APPLIED)
    ledger.close()


# SQL as prose ----------------------------------------------------------------------------------------------------


def test_every_statement_is_used_and_every_used_one_is_there():
    used = "".join(file.read_text() for file in STORE.glob("*.py"))
    assert [name for name in STATEMENTS if f'"{name}"' not in used] == []


@pytest.mark.parametrize("name", STATEMENTS)
def test_every_statement_fits_the_schema_and_says_what_it_means(path, name):
    connection = sqlite3.connect(":memory:")
    connection.executescript((STORE / "schema.sql").read_text())
    places = dict.fromkeys(_places(STATEMENTS[name]), 1)
    connection.execute(f"EXPLAIN {STATEMENTS[name]}", places)
    connection.close()
    text = (STORE / "queries.sql").read_text()
    meaning = text.split(f"-- name: {name}\n", 1)[1].split("\n", 1)[0]
    assert meaning.startswith("-- ")
    assert meaning.endswith(".")


def _places(sql: str) -> set[str]:
    import re

    return set(re.findall(r":([a-z_]+)", sql.replace("'paused:'", "''")))


def test_statements_are_read_by_name():
    text = "-- A title\n\n-- name: one\n-- Means one.\nSELECT 1;\n\n-- name: two\n-- Means two.\nSELECT ';';\n"
    assert load(text) == {"one": "SELECT 1", "two": "SELECT ';'"}
