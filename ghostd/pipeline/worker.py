"""Claim a lane's jobs one at a time and bring each to an outcome."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

from ghostd.base.errors import Cannot, of_os_error
from ghostd.model.job import Claim, Happening, Kind, Outcome
from ghostd.model.settings import LaneSettings
from ghostd.patches.read import from_canonical
from ghostd.pipeline import change, phase, result, rules
from ghostd.pipeline.attempt import Attempt, LeaseLost
from ghostd.pipeline.land import known, land, learn, record
from ghostd.pipeline.workshop import Workshop

_LOG = logging.getLogger(__name__)


class Worker:
    """Works for one lane; belongs to one thread."""

    def __init__(self, shop: Workshop, lane: LaneSettings) -> None:
        self._shop = shop
        self._lane = lane

    def run_one(self) -> str | None:
        """Work on the next job and tell its id; None where nothing can be claimed now."""
        claim = self._shop.ledger.claim(self._lane.name, self._shop.owner, self._shop.settings.store.lease)
        if claim is None:
            return None
        try:
            outcome = self._outcome(claim)
        except LeaseLost:
            return claim.job.id
        except BaseException:
            # Interrupted: back into the queue at once. What was committed is found by the next attempt.
            self._give_back(claim)
            raise
        self._shop.ledger.finish(claim, outcome)
        return claim.job.id

    def _give_back(self, claim: Claim) -> None:
        now = self._shop.clock.wall()
        self._shop.ledger.finish(claim, Outcome(happening=Happening.RETRY, result={}, retry_at=now))

    def _outcome(self, claim: Claim) -> Outcome:
        """Every way in which an attempt can end, as a value; only a lost lease is an exception."""
        lane = replace(self._lane, branch=claim.job.branch)
        begun = time.monotonic()
        try:
            repo = self._shop.repositories.identified(claim.job.repo)
        except Cannot as error:
            return self._without_repository(claim, error)
        attempt = Attempt(shop=self._shop, claim=claim, lane=lane, repo=repo, begun=begun)
        try:
            return _by_kind(attempt)
        except Cannot as error:
            return _ended(attempt, error)
        except OSError as error:
            return _ended(attempt, of_os_error(error, f"finish {claim.job.id}"))
        except LeaseLost:
            raise
        except Exception as error:  # noqa: BLE001 - the worker's door: one patch that trips over a bug of ours must not stop its lane
            _LOG.exception("a bug met %s", claim.job.id)
            return _ended(attempt, _bug(claim.job.id, error))

    def _without_repository(self, claim: Claim, error: Cannot) -> Outcome:
        told = result.blank(claim.job.id, "failed", lane=claim.job.lane, branch=claim.job.branch, error=error.as_json())
        return Outcome(happening=Happening.FAIL, result=told)


def _bug(id: str, error: Exception) -> Cannot:
    return Cannot(
        f"finish {id}: this is a bug of ghost: {type(error).__name__}: {error}",
        kind="bug",
        hint="the executor's log has the report; please send it",
    )


def _by_kind(attempt: Attempt) -> Outcome:
    match attempt.job.kind:
        case Kind.PATCH:
            return land(attempt, change.patched)
        case Kind.ROLLBACK:
            return land(attempt, change.rolled_back)
        case Kind.FREEZE:
            return _phase(attempt, "ghost.phase.frozen")
        case Kind.THAW:
            return _phase(attempt, "ghost.phase.thawed")


def _phase(attempt: Attempt, event: str) -> Outcome:
    """Freeze or thaw. Both can be done twice without harm, so a crash needs no traces."""
    learn(attempt.shop, attempt.repo, attempt.job.branch)
    act = phase.freeze if attempt.job.kind is Kind.FREEZE else phase.thaw
    told = act(attempt.shop, attempt.repo, attempt.job)
    full = result.blank(attempt.job.id, **known(attempt), **told)
    return record(attempt, Happening.APPLY, full, events=((event, told),))


def _ended(attempt: Attempt, error: Cannot) -> Outcome:
    """Reject, try again, or give up, as the error's kind says; behind the commit point only record."""
    job = attempt.job
    if attempt.committed:
        soon = attempt.shop.clock.wall() + rules.pause(job.attempts)
        return Outcome(happening=Happening.RETRY, result={"error": error.as_json()}, retry_at=soon)
    limit = from_canonical(job.body).execution.max_retries if job.kind is Kind.PATCH else len(rules.RETRY_PAUSES)
    match rules.after_failure(error.kind, job.attempts, limit, attempt.shop.clock.wall()):
        case float(again):
            return Outcome(happening=Happening.RETRY, result={"error": error.as_json()}, retry_at=again)
        case Happening() as happening:
            status = "failed" if happening is Happening.FAIL else "rejected"
            gates = result.gates(attempt.verdicts, ())
            told = result.blank(job.id, status, **known(attempt), gates=gates, error=error.as_json())
            return record(attempt, happening, told)
