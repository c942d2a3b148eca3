"""Small facts, what doors have answered, and submissions that have no answer yet."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ghostd.model.job import Origin
from ghostd.store.part import Part, as_text
from ghostd.store.ports import Receipt


class SmallThings(Part):
    """What is too small for a part of its own."""

    def kv_get(self, key: str) -> str | None:
        row = self._db.one("fact", key=key)
        return None if row is None else str(row["value"])

    def kv_set(self, key: str, value: str) -> None:
        with self._db.write():
            self._db.all("set_fact", key=key, value=value)

    def receipt(self, key: str) -> Receipt | None:
        row = self._db.one("receipt", key=key)
        if row is None:
            return None
        return Receipt(key=key, body_digest=row["body_digest"], answer=json.loads(row["answer"]))

    def remember(self, receipt: Receipt) -> None:
        places = {"body_digest": receipt.body_digest, "answer": as_text(receipt.answer)}
        with self._db.write():
            self._db.all("add_receipt", key=receipt.key, **places, time=self._clock.wall())

    def journal(self, origin: Origin, raw: bytes) -> int:
        with self._db.write():
            places = {"door": origin.door, "source": origin.source, "time": self._clock.wall()}
            row = self._db.one("add_journal", **places, raw=raw)
        assert row is not None
        return int(row["number"])

    def journalled(self) -> Sequence[tuple[int, Origin, bytes]]:
        return [
            (row["number"], Origin(door=row["door"], source=row["source"]), row["raw"])
            for row in self._db.all("journalled")
        ]

    def settle(self, row: int) -> None:
        with self._db.write():
            self._db.all("settle", number=row)
