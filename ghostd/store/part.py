"""What the parts of the ledger share: how they reach the database, and how they tell what happened."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ghostd.base.clock import Clock


class Row(Protocol):
    """A row: its values by the names of their columns."""

    def __getitem__(self, name: str, /) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...

    def keys(self) -> Sequence[str]:
        """The names, in the order of the values."""
        ...


class Database(Protocol):
    """Named statements, run one at a time. Failures that people can do something about are `Cannot`."""

    def all(self, statement: str, /, **places: Any) -> Sequence[Row]: ...

    def one(self, statement: str, /, **places: Any) -> Row | None:
        """The first row; None where there is none."""
        ...

    def write(self, *, synced: bool = True, quiet: bool = False) -> AbstractContextManager[None]:
        """A transaction that may write: all of the block or nothing, durable at its end. Blocks do not nest.

        One that is not `synced` survives a kill, and a power cut only once a later one was synced. A `quiet` one rings
        no bell.
        """
        ...

    def ring_after(self) -> None:
        """Ring the bell when the transaction under way has been committed."""
        ...


class Part:
    """One part of the ledger; all parts of a ledger share one database."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def _tell(self, type: str, subject: str, data: Mapping[str, Any], *, lane: str | None) -> int:
        """Write an event within the transaction under way, so that it stands or falls with the change that it tells."""
        now = self._clock.wall()
        row = self._db.one("add_event", type=type, subject=subject, time=now, lane=lane, data=as_text(data))
        self._db.ring_after()
        assert row is not None
        return int(row["seq"])


def as_text(value: Any) -> str:
    """JSON as the ledger keeps it: ASCII, so that no stranger's text can be unstorable."""
    return _JSON.encode(value if type(value) is dict or not isinstance(value, Mapping) else dict(value))


#: Made once: `json.dumps` would make one for each value.
_JSON = json.JSONEncoder(separators=(",", ":"))
