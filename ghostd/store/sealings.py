"""Sealed statements in the order in which their jobs ended, kept for the proof log of each branch."""

from __future__ import annotations

from collections.abc import Sequence

from ghostd.store.part import Part
from ghostd.store.ports import Sealing


class Sealings(Part):
    """Written by the ledger itself at the end of each job (a trigger), so that no way to end one can leave it out."""

    def sealings(self, repo: str, branch: str, *, since: int = 0, limit: int = 1000) -> Sequence[Sealing]:
        rows = self._db.all("sealings", repo=repo, branch=branch, since=since, limit=limit)
        return [Sealing(seq=row["seq"], id=row["id"], statement=row["statement"]) for row in rows]
