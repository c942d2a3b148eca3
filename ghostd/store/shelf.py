"""The queue at rest: who waits where, by whom it is held, and which summaries are not written yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ghostd.model.job import Job, State
from ghostd.store import rows
from ghostd.store.part import Part, as_text


class Shelf(Part):
    """Everything about jobs that moves none of them."""

    def get(self, id: str) -> Job | None:
        row = self._db.one("job", id=id)
        return None if row is None else rows.job(row)

    def source(self, id: str) -> bytes:
        row = self._db.one("source", id=id)
        return b"" if row is None else bytes(row["source"])

    def jobs(
        self,
        *,
        lane: str | None = None,
        states: Iterable[State] = (),
        session: str | None = None,
        limit: int = 1000,
        newest_first: bool = True,
    ) -> Sequence[Job]:
        places = {"lane": lane, "session": session, "limit": limit}
        if wanted := sorted({state.value for state in states}):
            direction = -1 if newest_first else 1
            found = self._db.all("jobs_in_states", states=as_text(wanted), direction=direction, **places)
        else:
            found = self._db.all("newest_jobs" if newest_first else "oldest_jobs", **places)
        return [rows.job(row) for row in found]

    def counts(self) -> Mapping[tuple[str, State], int]:
        return {(row["lane"], State(row["state"])): row["many"] for row in self._db.all("counts")}

    def owners(self) -> Sequence[str]:
        return [row["owner"] for row in self._db.all("owners")]

    def branches(self) -> Sequence[tuple[str, str]]:
        return [(row["repo"], row["branch"]) for row in self._db.all("branches")]

    def committed(self, repo: str, branch: str) -> Sequence[str]:
        return [row["id"] for row in self._db.all("committed", repo=repo, branch=branch)]

    def next_due_job(self, lane: str) -> float | None:
        row = self._db.one("next_due_job", lane=lane, now=self._clock.wall())
        return None if row is None else row["due"]

    def number(self, kind: str) -> int:
        with self._db.write():
            # A ledger that was made anew from Git counts from 1, and anybody may have used such an id.
            while self._is_taken(f"{kind}-{(last := self._next_number(kind))}"):
                pass
        return last

    def pause(self, lane: str, *, paused: bool) -> None:
        with self._db.write():
            if self.paused(lane) == paused:
                return
            self._db.all("set_fact" if paused else "drop_fact", **_flag(lane, paused=paused))
            self._tell("ghost.system.lane", lane, {"paused": paused}, lane=lane)

    def paused(self, lane: str) -> bool:
        return self._db.one("fact", **_flag(lane)) is not None

    def ended_lately(self, seconds: float) -> Sequence[Job]:
        row = self._db.one("newest_end")
        if row is None or row["time"] is None:
            return ()
        return [rows.job(found) for found in self._db.all("finished_since", since=row["time"] - seconds)]

    def summary_written(self, id: str) -> None:
        with self._db.write():
            self._db.all("summary_written", id=id)

    def unwritten_summaries(self) -> Sequence[Job]:
        return [rows.job(row) for row in self._db.all("unwritten_summaries")]

    def _next_number(self, kind: str) -> int:
        row = self._db.one("next_number", kind=kind)
        assert row is not None
        return int(row["last"])

    def _is_taken(self, id: str) -> bool:
        row = self._db.one("is_taken", id=id)
        return row is not None and bool(row["taken"])


def _flag(lane: str, *, paused: bool = False) -> dict[str, str]:
    return {"key": f"paused:{lane}", "value": "1"} if paused else {"key": f"paused:{lane}"}
