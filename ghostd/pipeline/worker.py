"""Claim a lane's jobs and bring each to an outcome: one at a time, or several of a branch in one go."""

from __future__ import annotations

import time
from dataclasses import replace

from ghostd.base.errors import Cannot
from ghostd.model.job import Claim, Happening, Job, Kind, Outcome
from ghostd.model.patch import Patch
from ghostd.model.settings import LaneSettings
from ghostd.patches.read import from_canonical
from ghostd.pipeline import change, phase, result
from ghostd.pipeline.attempt import Attempt, LeaseLost
from ghostd.pipeline.ending import ended, explained, known, record
from ghostd.pipeline.land import Ends, Make, land, learn
from ghostd.pipeline.workshop import Workshop

#: A group has no more jobs than this, and takes no further one after so many seconds: others wait for the branch too.
MOST = 64
WHILE = 0.05
#: So many are claimed at once.
AT_ONCE = 16

_MAKERS: dict[Kind, Make] = {
    Kind.PATCH: change.patched,
    Kind.ROLLBACK: change.rolled_back,
    Kind.RESTORE: change.restored,
}
_PHASES = {Kind.FREEZE: (phase.freeze, "ghost.phase.frozen"), Kind.THAW: (phase.thaw, "ghost.phase.thawed")}


class Worker:
    """Works for one lane; belongs to one thread."""

    def __init__(self, shop: Workshop, lane: LaneSettings) -> None:
        self._shop = shop
        self._lane = lane
        #: What is in our hands and not recorded yet, in its order; so many of them share the way that is under way.
        self._claims: list[Claim] = []
        self._sharing = 0
        #: Patches that were read to find out whether they can share.
        self._read: dict[str, Patch] = {}

    def run_one(self) -> str | None:
        """Work on the next job, and on those behind it that can share its way; the id of the first one.

        None where nothing can be claimed now.
        """
        claim = self._shop.ledger.claim(self._lane.name, self._shop.owner, self._shop.settings.store.lease)
        if claim is None:
            return None
        self._claims = [claim]
        try:
            # What was claimed and had no time to join a group begins the next one.
            while self._claims:
                self._work(self._claims[0])
        except BaseException:
            # Interrupted: back into the queue at once. What was committed is found by the next attempt.
            self._give_back()
            raise
        finally:
            self._read.clear()
        return claim.job.id

    def _work(self, claim: Claim) -> None:
        try:
            ends = self._ends(claim)
        except LeaseLost:
            # Another worker may have one of the jobs. Whatever is still ours is begun anew.
            self._give_back()
            return
        self._shop.ledger.finish_all(ends.outcomes, ends.gained)
        done = {claim.job.seq for claim, _ in ends.outcomes}
        self._claims = [claim for claim in self._claims if claim.job.seq not in done]

    def _give_back(self) -> None:
        now = self._shop.clock.wall()
        outcome = Outcome(happening=Happening.RETRY, result={}, retry_at=now)
        claims, self._claims = self._claims, []
        self._shop.ledger.finish_all([(claim, outcome) for claim in claims])

    def _ends(self, claim: Claim) -> Ends:
        """How the job ended, and those that shared its way."""
        try:
            attempt = self._attempt(claim)
        except Cannot as error:
            return Ends(outcomes=[(claim, _without_repository(claim, error))])
        make = _MAKERS.get(claim.job.kind)
        if make is None:
            return Ends(outcomes=[(claim, _phase(attempt))])
        self._sharing = 1
        alone = claim.job.kind is not Kind.PATCH or bool(self._lane.cooldown) or not self._can_share(claim.job)
        # Read to find that out.
        attempt.read = self._read.get(claim.job.id)
        if alone:
            return land(attempt, make)
        return land(attempt, make, lambda: self._another(attempt))

    def _attempt(self, claim: Claim) -> Attempt:
        """Raises Cannot where the repository can not be opened."""
        begun = time.monotonic()
        repo = self._shop.repositories.identified(claim.job.repo)
        lane, branch = self._lane, claim.job.branch
        if lane.branch != branch:
            lane = replace(lane, branch=branch)
        read = self._read.get(claim.job.id)
        return Attempt(shop=self._shop, claim=claim, lane=lane, repo=repo, begun=begun, read=read)

    def _another(self, first: Attempt) -> Attempt | None:
        """The job behind those that share already, if it can join them; None where none can, or the group is full."""
        if self._sharing >= MOST or time.monotonic() - first.begun > WHILE:
            return None
        if self._sharing == len(self._claims):
            most, lease = min(AT_ONCE, MOST - self._sharing), self._shop.settings.store.lease
            self._claims += self._shop.ledger.claim_more(first.claim, lease, most=most, fits=self._can_share)
        if self._sharing == len(self._claims):
            return None
        self._sharing += 1
        return self._attempt(self._claims[self._sharing - 1])

    def _can_share(self, job: Job) -> bool:
        try:
            patch = self._read[job.id] = self._read.get(job.id) or from_canonical(job.body)
            return not change.needs_alone(self._lane, patch, self._shop.settings.gates)
        except Exception:  # noqa: BLE001 - whatever it is, it is told when the job is done alone
            return False


def _without_repository(claim: Claim, error: Cannot) -> Outcome:
    told = result.blank(claim.job.id, "failed", lane=claim.job.lane, branch=claim.job.branch, error=error.as_json())
    return Outcome(happening=Happening.FAIL, result=told)


def _phase(attempt: Attempt) -> Outcome:
    """Freeze or thaw. Both can be done twice without harm, so a crash needs no traces."""
    act, event = _PHASES[attempt.job.kind]
    try:
        learn(attempt.shop, attempt.repo, attempt.job.branch)
        told = act(attempt.shop, attempt.repo, attempt.job)
        full = result.blank(attempt.job.id, **known(attempt), **told)
        return record(attempt, Happening.APPLY, full, events=((event, told),))
    except Exception as error:  # noqa: BLE001 - the path's door: a bug of ours ends this job, and not its lane
        return ended(attempt, explained(error, attempt.job.id))
