"""The queue's movement: jobs come in, are claimed under a lease and a fence, and come to an end.

Each movement is one transaction, which also writes the events that tell it. Leases are measured by the monotonic clock,
which all processes of a machine share; so a clock that is set neither ends nor prolongs one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any

from ghostd.base.errors import Cannot
from ghostd.model.job import Claim, Happening, IllegalTransition, Job, Kind, NewJob, Outcome, State
from ghostd.store import rows, rules
from ghostd.store.history import BranchIndex
from ghostd.store.part import Row, as_text
from ghostd.store.ports import Gained, Put


class _Lost(Exception):  # noqa: N818 - a fact
    """One of several claims is not ours any more; undoes the transaction."""


class Movement(BranchIndex):
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
        if not self._runnable(lane):
            return None
        # Not synced: after a power cut the job is queued as it was before, and nobody works on it any more.
        with self._db.write(synced=False):
            jobs = [rows.job(row) for row in self._runnable(lane)]
            return self._claimed(jobs, owner, lease)[0] if jobs else None

    def claim_more(self, claim: Claim, lease: float, *, most: int, fits: Callable[[Job], bool]) -> Sequence[Claim]:
        # Most groups are of one job: that nobody follows is seen without the writer's lock.
        if not self._in_line(claim, 1):
            return []
        # Nobody is woken for it: the end of the group is near, and tells of all.
        with self._db.write(synced=False, quiet=True):
            return self._claimed(self._followers(claim, most, fits), claim.owner, lease)

    def renew(self, claim: Claim, lease: float) -> bool:
        with self._db.write(synced=False):
            return self._hold(claim, "renew_lease", lease)

    def seal_all(self, statements: Iterable[tuple[Claim, bytes]], lease: float) -> bool:
        try:
            with self._db.write():
                for claim, statement in statements:
                    self._seal(claim, statement, lease)
        except _Lost:
            return False
        return True

    def finish(self, claim: Claim, outcome: Outcome) -> Job | None:
        return self.finish_all([(claim, outcome)])[0]

    def finish_all(self, ends: Iterable[tuple[Claim, Outcome]], gained: Gained | None = None) -> Sequence[Job | None]:
        with self._db.write():
            if gained is not None:
                self._gain(gained)
            return [self._finished(claim, outcome) for claim, outcome in ends]

    def _seal(self, claim: Claim, statement: bytes, lease: float) -> None:
        if not self._hold(claim, "seal_job", lease, statement=statement):
            raise _Lost

    def _finished(self, claim: Claim, outcome: Outcome) -> Job | None:
        """Only what a worker changes is written; of the rest the claim's own copy is as good as the row."""
        after = rules.ended(claim.job, outcome, self._clock.wall())
        due = after.state.terminal and bool(after.summary) and not outcome.summary_written
        kept = self._db.one(
            "end_job",
            seq=after.seq,
            fence=claim.fence,
            owner=claim.owner,
            state=after.state.value,
            not_before=after.not_before,
            finished_at=after.finished_at,
            statement=rules.sealed_by(outcome, after.state),
            result=None if after.result is None else as_text(after.result),
            summary=after.summary,
            summary_due=int(due),
        )
        if kept is None:
            return None
        for type, subject, data in rules.ending(after, outcome):
            self._tell(type, subject, data, lane=after.lane)
        return replace(after, statement=kept["statement"])

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

    def _runnable(self, lane: str) -> Sequence[Row]:
        return self._db.all("next_runnable", lane=lane, now=self._clock.wall())

    def _in_line(self, claim: Claim, most: int) -> Sequence[Row]:
        return self._db.all("next_in_line", lane=claim.job.lane, now=self._clock.wall(), most=most)

    def _followers(self, claim: Claim, most: int, fits: Callable[[Job], bool]) -> list[Job]:
        """Those next in line behind a claimed job that can be done together with it, up to the first that can not."""

        def joins(job: Job) -> bool:
            same = (job.repo, job.branch) == (claim.job.repo, claim.job.branch)
            return same and job.kind is Kind.PATCH and not job.depends_on and fits(job)

        return list(takewhile(joins, (rows.job(row) for row in self._in_line(claim, most))))

    def _claimed(self, jobs: Sequence[Job], owner: str, lease: float) -> list[Claim]:
        """Claims on jobs of one branch, each under a fence of its own."""
        claims = []
        for fence, job in enumerate(jobs, self._fences(jobs)):
            after = rules.claimed(job, fence, self._clock.wall())
            self._save(after, owner=owner, lease=lease)
            self._told(after, Happening.CLAIM, owner=owner, fence=fence)
            claims.append(Claim(job=after, fence=fence, owner=owner))
        return claims

    def _fences(self, jobs: Sequence[Job]) -> int:
        """The first of as many new fences as there are jobs; 0 for none."""
        if not jobs:
            return 0
        row = self._db.one("next_fence", repo=jobs[0].repo, branch=jobs[0].branch, many=len(jobs))
        assert row is not None
        return int(row["fence"]) - len(jobs) + 1

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
