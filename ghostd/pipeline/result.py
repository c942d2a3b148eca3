"""RESULT of the contract: what is told of a job, finished or on its way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ghostd.base.errors import Cannot
from ghostd.model.job import Job, State
from ghostd.model.patch import Match
from ghostd.model.settings import Places
from ghostd.pipeline.rules import Verdict

_STATUS = {State.HELD: "queued", State.RUNNING: "queued"}


def blank(id: str | None, status: str, *, error: Mapping[str, Any] | None = None, **known: Any) -> dict[str, Any]:
    """A RESULT with every field of the contract, empty but for what is known."""
    return {
        "id": id,
        "status": status,
        "lane": None,
        "branch": None,
        "commit": None,
        "tree": None,
        "digest": None,
        "attempts": 0,
        "duration_ms": 0,
        "stat": {"files": 0, "insertions": 0, "deletions": 0},
        "gates": [],
        "matches": [],
        "worktree": "none",
        "summary": None,
        "warnings": [],
        **known,
        "error": dict(error) if error is not None else None,
    }


def of_job(job: Job, places: Places) -> dict[str, Any]:
    """The RESULT of a job as the ledger knows it."""
    status = _STATUS.get(job.state, job.state.value)
    base = blank(job.id, status, lane=job.lane, branch=job.branch, digest=job.digest, attempts=job.attempts)
    if job.state.terminal:
        base |= {"summary": str(places.summary(job.lane, job.id)), **(job.result or {})}
    return base


def refused(id: str | None, error: Cannot, **known: Any) -> dict[str, Any]:
    """The RESULT of a patch that a verdict ended."""
    return blank(id, "rejected", error=error.as_json(), **known)


def gates(verdicts: Sequence[Verdict], left_out: Sequence[str]) -> list[dict[str, object]]:
    """The `gates` rows: those that ran, then those that --no-gates left out."""
    skipped: list[dict[str, object]] = [{"name": name, "status": "skipped", "duration_ms": 0} for name in left_out]
    return [verdict.as_json() for verdict in verdicts] + skipped


def matches(found: Sequence[Match]) -> list[dict[str, str]]:
    """The `matches` rows."""
    return [{"path": match.path.decode(errors="backslashreplace"), "level": match.level} for match in found]


#: Kinds with which intake gives a verdict on a patch; anything else there is a failure that may pass.
VERDICTS = frozenset({"malformed", "id-reused", "strict-lane", "shell-not-allowed", "unsupported-op"})


def rejection(error: Cannot) -> dict[str, Any]:
    """The fields that turn a known job's RESULT into a rejection of its repetition."""
    return {"status": "rejected", "error": error.as_json()}


def earlier(job: Job, places: Places) -> dict[str, Any]:
    """The earlier result of a patch that did not apply, with the way to try it again as the hint."""
    told = of_job(job, places)
    error = dict(told["error"] or {"kind": job.state.value, "message": f"cannot apply {job.id}: it was {job.state}"})
    return told | {"error": error | {"hint": f"ghost queue requeue {job.id} tries it again"}}
