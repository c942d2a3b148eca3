"""What gates said and printed, and the passes that may stand for a run.

A run's row and the event that tells it are one transaction. A kill before it loses the run's output with the attempt
that it belonged to: the next attempt runs the gate again.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ghostd.store.part import Part, Row, as_text
from ghostd.store.ports import GateRun, Pass

#: So many runs are remembered beside those that were asked to be kept for good.
MOST_RUNS = 5_000
#: So many passes, and none that was not used for a month.
MOST_PASSES = 2_000
OLDEST = 30 * 24 * 3600.0


class GateTable(Part):
    """Runs of gates, and their cache."""

    def ran(self, runs: Iterable[GateRun], *, told: Mapping[str, Any] | None = None, lane: str | None = None) -> None:
        now = self._clock.wall()
        rows = [_columns(run) for run in runs]
        with self._db.write():
            for row in rows:
                self._db.all("add_gate_run", **row, time=now)
            if told is not None and rows:
                self._tell("ghost.patch.gate", rows[0]["id"], told, lane=lane)
            self._db.all("drop_gate_runs", most=MOST_RUNS)

    def gate_runs(self, id: str, gate: str | None = None) -> Sequence[GateRun]:
        return [_run(row) for row in self._db.all("gate_runs", id=id, gate=gate)]

    def cached_pass(self, key: str) -> Pass | None:
        row = self._db.one("cached_pass", key=key)
        if row is None or row["used_at"] < self._clock.wall() - OLDEST:
            return None
        return _pass(row)

    def use_pass(self, key: str) -> None:
        with self._db.write():
            self._db.all("use_pass", key=key, now=self._clock.wall())

    def add_pass(self, key: str, gate: str, id: str, tool: str, files: str, duration_ms: int) -> None:
        now = self._clock.wall()
        with self._db.write():
            places = {"gate": gate, "id": id, "tool": tool, "files": files, "duration_ms": duration_ms}
            self._db.all("add_pass", key=key, **places, now=now)
            self._db.all("drop_old_passes", before=now - OLDEST)
            self._db.all("drop_most_passes", most=MOST_PASSES)

    def passes(self) -> Sequence[Pass]:
        return [_pass(row) for row in self._db.all("passes")]

    def clear_passes(self, gate: str | None = None) -> int:
        with self._db.write():
            return len(self._db.all("clear_passes", gate=gate))


def _columns(run: GateRun) -> dict[str, Any]:
    return {
        "id": run.id,
        "attempt": run.attempt,
        "gate": run.gate,
        "run": run.run,
        "verdict": run.verdict,
        "status": run.status,
        "duration_ms": run.duration_ms,
        "cached": int(run.cached),
        "flake": int(run.flake),
        "output": zlib.compress(run.output),
        "cut": run.cut,
        "audit": None if run.audit is None else as_text(run.audit),
        "kept": int(run.kept),
    }


def _run(row: Row) -> GateRun:
    return GateRun(
        id=row["id"],
        attempt=row["attempt"],
        gate=row["gate"],
        run=row["run"],
        verdict=row["verdict"],
        status=row["status"],
        duration_ms=row["duration_ms"],
        cached=bool(row["cached"]),
        flake=bool(row["flake"]),
        output=zlib.decompress(row["output"]),
        cut=row["cut"],
        audit=None if row["audit"] is None else json.loads(row["audit"]),
        kept=bool(row["kept"]),
        time=row["time"],
    )


def _pass(row: Row) -> Pass:
    return Pass(
        key=row["key"],
        gate=row["gate"],
        id=row["id"],
        tool=row["tool"],
        files=row["files"],
        duration_ms=row["duration_ms"],
        made_at=row["made_at"],
        used_at=row["used_at"],
        uses=row["uses"],
    )
