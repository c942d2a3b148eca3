"""What becomes of a job and which event tells it, and what becomes of an alert. Pure; `advance` moves the states."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ghostd.model.alert import Alert, AlertState, Finding
from ghostd.model.job import Happening, Job, Kind, Outcome, State, advance

#: The event of each happening. A job's events have its id as their subject, whatever kind it is.
_TOLD_BY: Mapping[Happening, str] = {
    Happening.CLAIM: "ghost.patch.claimed",
    Happening.APPLY: "ghost.patch.applied",
    Happening.REJECT: "ghost.patch.rejected",
    Happening.FAIL: "ghost.patch.failed",
    Happening.RETRY: "ghost.patch.retry",
    Happening.LEASE_LOST: "ghost.patch.queued",
    Happening.HOLD: "ghost.patch.held",
    Happening.RELEASE: "ghost.patch.queued",
    Happening.CANCEL: "ghost.patch.cancelled",
    Happening.REQUEUE: "ghost.patch.queued",
}
#: Freezing and thawing make no commit.
_DONE_BY: Mapping[Kind, str] = {Kind.FREEZE: "ghost.phase.frozen", Kind.THAW: "ghost.phase.thawed"}
#: What people may do to a job, and what to do where its state does not allow it.
BY_HAND: Mapping[Happening, str] = {
    Happening.HOLD: "only a queued job can be held",
    Happening.RELEASE: "only a held job can be released",
    Happening.CANCEL: "only a queued or held job can be cancelled; ghost rollback takes an applied one back",
    Happening.REQUEUE: "only a rejected, failed or cancelled job can be requeued",
}


def told_by(kind: Kind, happening: Happening) -> str:
    """The type of the event that tells the happening."""
    return _DONE_BY.get(kind, _TOLD_BY[happening]) if happening is Happening.APPLY else _TOLD_BY[happening]


def facts(job: Job, **more: Any) -> dict[str, Any]:
    """What every event of a job says."""
    shared = {"kind": job.kind.value, "state": job.state.value, "branch": job.branch, "attempts": job.attempts}
    return {**shared, "title": job.title, "phase": job.phase, **more}


def claimed(job: Job, fence: int, now: float) -> Job:
    """The job in a worker's hands."""
    running = advance(job.state, Happening.CLAIM)
    return replace(job, state=running, fence=fence, attempts=job.attempts + 1, started_at=now)


def lost(job: Job) -> Job:
    """The job whose worker is gone, back in the queue. Its statement stays: a commit may have been made from it."""
    return replace(job, state=advance(job.state, Happening.LEASE_LOST), not_before=0.0)


def ended(job: Job, outcome: Outcome, now: float) -> Job:
    """The job after an attempt: terminal, or back in the queue until `retry_at`. Of its statement see `sealed_by`."""
    after = advance(job.state, outcome.happening)
    if not after.terminal:
        return replace(job, state=after, not_before=outcome.retry_at or 0.0)
    return replace(job, state=after, finished_at=now, result=dict(outcome.result), summary=outcome.summary)


def sealed_by(outcome: Outcome, after: State) -> bytes | None:
    """The statement that an end writes into the row; None where the one in there stays."""
    if outcome.statement is not None and after.terminal:
        return outcome.statement
    # What was sealed for a commit that was never made tells nothing about another end.
    return b"" if after.terminal and after is not State.APPLIED else None


def by_hand(job: Job, happening: Happening, now: float) -> Job:
    """The job after somebody held, released, cancelled or requeued it. Raises IllegalTransition."""
    after = advance(job.state, happening)
    match happening:
        case Happening.CANCEL:
            told = {"id": job.id, "status": after.value, "lane": job.lane, "branch": job.branch, "digest": job.digest}
            return replace(job, state=after, finished_at=now, result={**told, "attempts": job.attempts, "error": None})
        case Happening.REQUEUE:
            anew = replace(job, state=after, attempts=0, not_before=0.0, started_at=None, finished_at=None)
            return replace(anew, statement=b"", result=None, summary="")
        case _:
            return replace(job, state=after)


def ending(job: Job, outcome: Outcome) -> list[tuple[str, str, Mapping[str, Any]]]:
    """The events of an attempt's end as (type, subject, data): the job's own one comes last, when all is told.

    An extra event of the same type is the worker's fuller word for it, and becomes part of it.
    """
    own = told_by(job.kind, outcome.happening)
    told = facts(job, commit=outcome.commit, retry_at=outcome.retry_at)
    told |= {key: outcome.result[key] for key in ("error", "duration_ms", "stat") if key in outcome.result}
    extra = [(type, str(data.get("id", job.id)), data) for type, data in outcome.events]
    for _, _, data in (event for event in extra if event[:2] == (own, job.id)):
        told |= data
    return [event for event in extra if event[:2] != (own, job.id)] + [(own, job.id, told)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """How the alert table has to change to say what is seen now."""

    opened: Sequence[Finding]
    #: Open alerts as they should read. Only another severity is worth telling anew.
    changed: Sequence[Alert]
    reworded: Sequence[Alert]
    resolved: Sequence[Alert]


def compare(
    standing: Iterable[Alert], findings: Iterable[Finding], rules: Collection[str], now: float
) -> Changes | None:
    """What has to change; None where nothing has. Each cause counts once, as it was found last."""
    seen = {finding.fingerprint: finding for finding in findings}
    known = {alert.fingerprint: alert for alert in standing}
    new = [(alert, _reworded(alert, seen[name])) for name, alert in known.items() if name in seen]
    changes = Changes(
        opened=[finding for name, finding in seen.items() if name not in known],
        changed=[replace(after, version=old.version + 1) for old, after in new if old.severity is not after.severity],
        reworded=[after for old, after in new if old != after and old.severity is after.severity],
        resolved=[_resolved(a, now) for name, a in known.items() if name not in seen and _rule(name) in rules],
    )
    return changes if changes.opened or changes.changed or changes.reworded or changes.resolved else None


def _reworded(alert: Alert, finding: Finding) -> Alert:
    return replace(alert, severity=finding.severity, title=finding.title, data=dict(finding.data))


def _resolved(alert: Alert, now: float) -> Alert:
    return replace(alert, state=AlertState.RESOLVED, version=alert.version + 1, resolved_at=now)


def _rule(fingerprint: str) -> str:
    return fingerprint.partition(":")[0]
