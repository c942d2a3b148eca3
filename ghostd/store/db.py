"""The ledger in one SQLite file; the only door to SQLite.

Every change runs under BEGIN IMMEDIATE: a transaction that reads first and writes later is refused, without waiting,
where somebody wrote in between. The write-ahead log is synced at each commit, so a commit survives a power cut; but for
those few that a redo makes good, which are lost only together with everything after them.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from ghostd.base.clock import Clock
from ghostd.base.errors import Cannot
from ghostd.base.files import PRIVATE_FILE, sync_dir
from ghostd.store import schema
from ghostd.store.alerts import AlertTable
from ghostd.store.gates import GateTable
from ghostd.store.graph import GraphTable
from ghostd.store.history import BranchIndex
from ghostd.store.jobs import Movement
from ghostd.store.outbox import EventLog
from ghostd.store.part import Row
from ghostd.store.ports import Bell
from ghostd.store.sealings import Sealings
from ghostd.store.shelf import Shelf
from ghostd.store.small import SmallThings
from ghostd.store.statements import STATEMENTS

#: Seconds that we wait for another writer. A transaction takes milliseconds; only a stopped process holds it so long.
PATIENCE = 10.0
#: A log that a long reader made grow is cut back to this.
_LOG_LIMIT = 16 << 20
#: So many pages of the log go into the file at once: what was written often goes but once.
_LOG_PAGES = 4000
_SETTINGS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
    f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}",
    f"PRAGMA journal_size_limit = {_LOG_LIMIT}",
)


class SqliteDatabase:
    """One connection. It belongs to the thread that opened it; SQLite's own error tells who forgets."""

    def __init__(self, connection: sqlite3.Connection, place: Path, bell: Bell | None) -> None:
        self._connection = connection
        self._place = place
        self._bell = bell
        self._ring = False
        #: Whether commits are synced now; a connection begins so.
        self._synced = True

    def all(self, statement: str, /, **places: Any) -> Sequence[Row]:
        try:
            return self._run(STATEMENTS[statement], places)
        except UnicodeEncodeError:
            # A lone surrogate in a stranger's text: no database keeps it, and it must not stop a queue.
            return self._run(STATEMENTS[statement], {name: _storable(value) for name, value in places.items()})

    def one(self, statement: str, /, **places: Any) -> Row | None:
        # All rows are taken, since a statement that writes is done only when its last row was.
        found = self.all(statement, **places)
        return found[0] if found else None

    @contextmanager
    def write(self, *, synced: bool = True, quiet: bool = False) -> Iterator[None]:
        self._ring = False
        if synced != self._synced:
            # NORMAL leaves out the sync at the commit, and nothing else: the file stays whole at a power cut.
            self._run(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
            self._synced = synced
        try:
            self._run("BEGIN IMMEDIATE")
            yield
            self._run("COMMIT")
        except BaseException:
            # A full disk has ended it already.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        if self._ring and self._bell is not None and not quiet:
            self._bell.ring()

    def ring_after(self) -> None:
        self._ring = True

    def problems(self) -> list[str]:
        """What is wrong with the file; empty where nothing is."""
        try:
            found = [str(row[0]) for row in self._run("PRAGMA quick_check")]
            broken = [f"{row[0]}: row {row[1]} refers to nothing" for row in self._run("PRAGMA foreign_key_check")]
        except Cannot as error:
            if error.kind != "ledger-damaged":
                raise
            return [error.message]
        return [text for text in found if text != "ok"] + broken

    def copy(self, path: Path) -> None:
        """Write a consistent copy; a file that is there is replaced by a whole one."""
        with _translated(path):
            with _built_beside(path) as (target, finished):
                self._connection.backup(target)
                target.close()
                os.replace(_synced(finished), path)
            sync_dir(path.parent)

    def close(self) -> None:
        self._connection.close()

    def _run(self, sql: str, places: Mapping[str, Any] | None = None) -> list[Any]:
        try:
            return self._connection.execute(sql, places or {}).fetchall()
        except sqlite3.Error as error:
            # As `_translated`, which would cost as much as a small statement.
            _raise_told(self._place, error)
            raise


class SqliteLedger(Movement, Shelf, BranchIndex, GraphTable, Sealings, GateTable, EventLog, AlertTable, SmallThings):
    """Everything behind one door (`store.ports.Ledger`), over one connection."""

    def __init__(self, db: SqliteDatabase, clock: Clock) -> None:
        super().__init__(db, clock)
        self._file = db

    def integrity(self) -> list[str]:
        return self._file.problems()

    def backup(self, path: Path) -> None:
        self._file.copy(path)

    def close(self) -> None:
        self._file.close()


def open_ledger(path: Path, *, clock: Clock, bell: Bell | None = None, patience: float = PATIENCE) -> SqliteLedger:
    """The ledger at `path`, made where there is none, brought up to this version where it is older.

    Raises Cannot, here and at each use: `disk-full`, `ledger-busy`, `ledger-damaged`, `ledger-too-new` (here only),
    `ledger-unreachable`.
    """
    with _translated(path):
        if not path.exists():
            _make(path)
        connection = _connect(path, patience)
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
    return SqliteLedger(SqliteDatabase(connection, path, bell), clock)


def _connect(path: Path, patience: float) -> sqlite3.Connection:
    # As an address, so that a file that has just gone is not made again, empty and for all to read.
    address = path.absolute().as_uri() + "?mode=rw"
    connection = sqlite3.connect(
        address, uri=True, timeout=patience, isolation_level=None, cached_statements=len(STATEMENTS) + 8
    )
    connection.row_factory = sqlite3.Row
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    if path.stat().st_mode & 0o077:
        path.chmod(PRIVATE_FILE)
    # Before the settings: steps may rebuild tables, which foreign keys would forbid.
    if not schema.fits(connection, path):
        schema.bring_up(connection, path)
    for setting in _SETTINGS:
        connection.execute(setting)


def _make(path: Path) -> None:
    """A new ledger appears whole or not at all; of two that make it at once one wins, and both use that one."""
    with _built_beside(path) as (connection, finished):
        # Not in WAL mode: what can not be written is told by the commit, not swallowed by the close.
        schema.bring_up(connection, path)
        connection.close()
        try:
            os.link(_synced(finished), path)
        except FileExistsError:
            return
    sync_dir(path.parent)


@contextmanager
def _built_beside(path: Path) -> Iterator[tuple[sqlite3.Connection, Path]]:
    """A connection to a new private file near `path`, and that file; whatever is left of it is removed."""
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        file = Path(folder) / "new"
        file.touch(mode=PRIVATE_FILE)
        with closing(_connect(file, PATIENCE)) as connection:
            yield connection, file


def _synced(file: Path) -> Path:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
    return file


def _storable(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


# Failures --------------------------------------------------------------------------------------------------------

_FULL = ("disk-full", "the disk is full, or a quota or size limit is reached", "free some space; nothing was changed")
_DAMAGED = (
    "ledger-damaged",
    "the file is damaged or no ledger",
    "move it away; ghost rebuild makes a new one from Git, a backup holds more",
)
_BUSY = ("ledger-busy", "another process holds it", "try again; a stopped ghost process may hold it (ghostd status)")
_UNREACHABLE = ("ledger-unreachable", "it can not be opened or written", "look at the folder's owner, mode and disk")

#: What people can do something about: kind, words, next step. Extended codes come before their family.
_FAILURES: Mapping[int, tuple[str, str, str]] = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR_SHMSIZE: _FULL,
    sqlite3.SQLITE_IOERR_WRITE: _FULL,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_IOERR_SHORT_READ: _DAMAGED,
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_CANTOPEN: _UNREACHABLE,
    sqlite3.SQLITE_READONLY: _UNREACHABLE,
    sqlite3.SQLITE_PERM: _UNREACHABLE,
    sqlite3.SQLITE_IOERR: _UNREACHABLE,
}
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def _translated(place: Path) -> Iterator[None]:
    """The one place where the database's errors become sentences; what is left is a bug of ours and stays as it is."""
    try:
        yield
    except sqlite3.Error as error:
        _raise_told(place, error)
        raise
    except OSError as error:
        raise _cannot(place, _FULL if error.errno in _NO_SPACE else _UNREACHABLE, str(error)) from error


def _raise_told(place: Path, error: sqlite3.Error) -> None:
    code = getattr(error, "sqlite_errorcode", 0)
    failure = _FAILURES.get(code) or _FAILURES.get(code & 0xFF)
    if failure is not None:
        raise _cannot(place, failure, str(error)) from error


def _cannot(place: Path, failure: tuple[str, str, str], cause: str) -> Cannot:
    kind, words, hint = failure
    return Cannot(f"use ledger {place}: {words}", kind=kind, hint=hint, path=str(place), cause=cause)


def version() -> str:
    """The version of the SQLite library."""
    return sqlite3.sqlite_version
