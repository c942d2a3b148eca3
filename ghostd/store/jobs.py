"""The queue's movement: jobs come in, are claimed under a lease and a fence, and come to an end.

Each movement is one transaction, which also writes the events that tell it. Leases are measured by the monotonic clock,
which all processes of a machine share; so a clock that is set neither ends nor prolongs one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ghostd.base.errors import Cannot
from ghostd.model.job import Claim, Happening, IllegalTransition, Job, NewJob, Outcome, State
from ghostd.store import rows, rules
from ghostd.store.part import Part, as_text
from ghostd.store.ports import Put


class Movement(Part):
    """Everything that changes where a job stands."""

    def put(self, new: NewJob, *, max_queue: int | None = None) -> Put:
        # Most repetitions are seen without taking the writer's lock.
        if (known := self._known(new.id)) is not None:
            return Put(job=known, created=False)
        with self._db.write():
            created = self._take_in(new, max_queue)
            job = self._known(new.id)
        assert job is not None
        return Put(job=job, created=created)

    def claim(self, lane: str, owner: str, lease: float) -> Claim | None:
        # An idle worker looks only; what it sees may be gone when it holds the lock, so it looks again.
        if self._next(lane) is None:
            return None
        with self._db.write():
            job = self._next(lane)
            if job is None:
                return None
            after = rules.claimed(job, self._next_fence(job), self._clock.wall())
            self._save(after, owner=owner, lease=lease)
            self._told(after, Happening.CLAIM, owner=owner, fence=after.fence)
        return Claim(job=after, fence=after.fence, owner=owner)

    def renew(self, claim: Claim, lease: float) -> bool:
        return self._hold(claim, "renew_lease", lease)

    def seal(self, claim: Claim, statement: bytes, lease: float) -> bool:
        return self._hold(claim, "seal_job", lease, statement=statement)

    def finish(self, claim: Claim, outcome: Outcome) -> Job | None:
        with self._db.write():
            row = self._db.one("claimed_job", seq=claim.job.seq, fence=claim.fence, owner=claim.owner)
            if row is None:
                return None
            after = rules.ended(rows.job(row), outcome, self._clock.wall())
            due = after.state.terminal and bool(after.summary) and not outcome.summary_written
            self._save(after, summary_due=due)
            for type, subject, data in rules.ending(after, outcome):
                self._tell(type, subject, data, lane=after.lane)
        return after

    def void(self, alive: Mapping[str, bool]) -> Sequence[Job]:
        dead = as_text([owner for owner, lives in alive.items() if not lives])
        if not self._abandoned(dead):
            return ()
        with self._db.write():
            freed = [rules.lost(job) for job in self._abandoned(dead)]
            for job in freed:
                self._save(job)
                self._told(job, Happening.LEASE_LOST, why="its worker died or lost its lease")
        return freed

    def act(self, id: str, happening: str) -> Job:
        wanted = Happening(happening)
        if wanted not in rules.BY_HAND:
            raise ValueError(f"{happening} is not done by hand")
        with self._db.write():
            after = self._by_hand(id, wanted)
            self._save(after)
            self._told(after, wanted)
        return after

    def _take_in(self, new: NewJob, max_queue: int | None) -> bool:
        row = self._db.one("put_job", **_columns(new), received_at=int(self._clock.wall()))
        if row is None:
            return False
        self._db.all("put_body", seq=row["seq"], body=new.body, source=new.source)
        job = self._known(new.id)
        assert job is not None
        self._refuse_overflow(new, max_queue)
        door = {"door": new.origin.door, "digest": new.digest}
        self._tell("ghost.patch.received", job.id, rules.facts(job, **door), lane=job.lane)
        waits = "ghost.patch.held" if new.held else "ghost.patch.queued"
        self._tell(waits, job.id, rules.facts(job), lane=job.lane)
        return True

    def _refuse_overflow(self, new: NewJob, most: int | None) -> None:
        """Looked at with the new job in place, so that a repetition is never refused."""
        full = most is not None and self._db.one("is_full", lane=new.lane, most=most + 1)
        if full and full["full"]:
            raise Cannot(
                f"queue {new.id}: {most} jobs wait in lane {new.lane} already",
                kind="queue-full",
                hint="send it again later, or raise max_queue of the lane",
                lane=new.lane,
                max_queue=most,
            )

    def _by_hand(self, id: str, wanted: Happening) -> Job:
        job = self._known(id)
        if job is None:
            raise Cannot(f"{wanted} {id}: no such job", kind="unknown-id", hint="ghost queue ls shows what there is")
        try:
            return rules.by_hand(job, wanted, self._clock.wall())
        except IllegalTransition as error:
            hint = rules.BY_HAND[wanted]
            raise Cannot(f"{wanted} {id}: it is {job.state}", kind="illegal-state", hint=hint, id=id) from error

    def _hold(self, claim: Claim, written: str, /, lease: float, **places: Any) -> bool:
        mine = {"seq": claim.job.seq, "fence": claim.fence, "owner": claim.owner}
        with self._db.write():
            # Read under the writer's lock, so that nobody who looks for old leases later can be earlier than this.
            now = self._clock.monotonic()
            return self._db.one(written, **mine, now=now, lease=lease, **places) is not None

    def _save(
        self, job: Job, *, owner: str | None = None, lease: float | None = None, summary_due: bool = False
    ) -> None:
        """The only door to a job's state in the table; without an owner its lease ends here."""
        self._db.all(
            "save_job",
            seq=job.seq,
            state=job.state.value,
            attempts=job.attempts,
            not_before=job.not_before,
            fence=job.fence,
            owner=owner,
            leased_at=None if owner is None else self._clock.monotonic(),
            lease=lease,
            started_at=job.started_at,
            finished_at=job.finished_at,
            statement=job.statement,
            result=None if job.result is None else as_text(job.result),
            summary=job.summary,
            summary_due=int(summary_due),
        )

    def _told(self, job: Job, happening: Happening, **more: Any) -> None:
        self._tell(rules.told_by(job.kind, happening), job.id, rules.facts(job, **more), lane=job.lane)

    def _known(self, id: str) -> Job | None:
        row = self._db.one("job", id=id)
        return None if row is None else rows.job(row)

    def _next(self, lane: str) -> Job | None:
        row = self._db.one("next_runnable", lane=lane, now=self._clock.wall())
        return None if row is None else rows.job(row)

    def _next_fence(self, job: Job) -> int:
        row = self._db.one("next_fence", repo=job.repo, branch=job.branch)
        assert row is not None
        return int(row["fence"])

    def _abandoned(self, dead: str) -> list[Job]:
        return [rows.job(row) for row in self._db.all("abandoned_jobs", dead=dead, now=self._clock.monotonic())]


def _columns(new: NewJob) -> dict[str, Any]:
    return {
        "id": new.id,
        "kind": new.kind.value,
        "state": (State.HELD if new.held else State.QUEUED).value,
        "lane": new.lane,
        "repo": new.repo,
        "branch": new.branch,
        "digest": new.digest,
        "door": new.origin.door,
        "door_source": new.origin.source,
        "priority": new.priority,
        "phase": new.phase,
        "session": new.session,
        "title": new.title,
        "depends_on": json.dumps(new.depends_on, separators=(",", ":")),
        "options": as_text(new.options),
    }
