"""How a database becomes a ledger of this version: made whole from schema.sql, or brought up step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from ghostd.base.errors import Cannot

#: "ghst": tells a ledger from anybody else's database.
APPLICATION = 0x67687374
#: A step brings a ledger one version further. It is given a `sqlite_utils.Database` inside a transaction.
Step = Callable[[Any], None]
_HERE = Path(__file__).parent


class Connection(Protocol):
    """As much of a database connection as is needed here (the type itself is behind the one door)."""

    def execute(self, sql: str, /) -> Any: ...


def fits(connection: Connection, place: Path) -> bool:
    """Whether it is a ledger of this version; False for an older or an empty one. Raises Cannot for any other."""
    version = _pragma(connection, "user_version")
    if _pragma(connection, "application_id") != APPLICATION and not _is_empty(connection):
        raise Cannot(
            f"open ledger {place}: it is another program's database",
            kind="ledger-damaged",
            hint="move it away; ghost rebuild makes a new ledger from Git",
        )
    if version > _newest():
        raise Cannot(
            f"open ledger {place}: its version is {version}, and this ghost knows {_newest()} at most",
            kind="ledger-too-new",
            hint="use the newer ghost that has written it",
            version=version,
        )
    return version == _newest()


def bring_up(connection: Connection, place: Path) -> None:
    """Make it a ledger of this version, in one transaction. After a failure it is closed, which undoes all of it."""
    connection.execute("BEGIN IMMEDIATE")
    # Another process may have done it while we waited for the lock.
    if not fits(connection, place):
        _climb(connection)
        connection.execute(f"PRAGMA user_version = {_newest()}")
    connection.execute("COMMIT")


def _climb(connection: Connection) -> None:
    version = _pragma(connection, "user_version")
    if version == 0:
        _create(connection)
        return
    # Not needed to open a ledger, and takes longer than opening one.
    from sqlite_utils import Database

    handle: Any = connection
    for step in STEPS[version - 1 :]:
        step(Database(handle))


def _create(connection: Connection) -> None:
    _run("schema.sql", connection)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")


def _run(file: str, connection: Connection) -> None:
    """Run the statements of a file. A trigger's own ones end within a line, so they are not torn apart."""
    for statement in (_HERE / file).read_text(encoding="utf-8").split(";\n"):
        connection.execute(statement)


def _to_version_2(database: Any) -> None:
    _run("steps/002.sql", database.conn)


#: The step from version 1 to 2 is the first one; schema.sql always tells the newest version.
STEPS: Sequence[Step] = (_to_version_2,)


def _newest() -> int:
    return 1 + len(STEPS)


def _is_empty(connection: Connection) -> bool:
    return bool(connection.execute("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)").fetchone()[0])


def _pragma(connection: Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
