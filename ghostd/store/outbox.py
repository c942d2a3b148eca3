"""The ordered log of events, and how far each of its readers has come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ghostd.model.event import Event
from ghostd.store import rows
from ghostd.store.part import Part


class EventLog(Part):
    """Events are appended and read, never changed. Writers take turns, so their order is that of the commits."""

    def append(self, type: str, subject: str, data: Mapping[str, Any], *, lane: str | None = None) -> int:
        with self._db.write():
            return self._tell(type, subject, data, lane=lane)

    def events(self, since: int = 0, *, limit: int = 500, subject: str | None = None) -> Sequence[Event]:
        if subject is None:
            found = self._db.all("events_since", since=since, limit=limit)
        else:
            found = self._db.all("events_of", subject=subject, since=since, limit=limit)
        return [rows.event(row) for row in found]

    def newest(self) -> int:
        row = self._db.one("newest_event")
        return 0 if row is None else int(row["seq"])

    def cursor(self, reader: str) -> int:
        row = self._db.one("cursor", reader=reader)
        return 0 if row is None else int(row["seq"])

    def advance(self, reader: str, seq: int) -> None:
        with self._db.write():
            self._db.all("advance_cursor", reader=reader, seq=seq)
