"""Every way in which an attempt can end, as a value: the RESULT, the summary, and what the ledger writes down."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from ghostd.base.errors import Cannot, of_os_error
from ghostd.model.job import Happening, Kind, Outcome
from ghostd.pipeline import prove, result, rules, summary
from ghostd.pipeline.attempt import Attempt

_LOG = logging.getLogger(__name__)


def known(attempt: Attempt) -> dict[str, Any]:
    """The fields of a RESULT that every ending of the attempt shares."""
    job = attempt.job
    return {
        "lane": job.lane,
        "branch": job.branch,
        "digest": job.digest,
        "attempts": job.attempts,
        "duration_ms": round((time.monotonic() - attempt.begun) * 1000),
        "warnings": list(job.options.get("warnings", ())),
        "summary": summary.place(attempt.shop.places, job),
    }


def record(attempt: Attempt, happening: Happening, told: Mapping[str, Any], **more: Any) -> Outcome:
    """The terminal outcome. The summary's file is written here, so that it is there when the record is.

    Where it can not be written, its text is in the ledger all the same, and `recover` or the next look writes it.
    What ends without a commit of its own is sealed here.
    """
    shop, job = attempt.shop, attempt.job
    if not attempt.committed:
        more = {"statement": prove.of_end(attempt, told), **more}
    text = summary.render(job, told, finished_at=shop.clock.wall(), verdicts=attempt.verdicts)
    written = summary.try_write(shop.places, job, text)
    return Outcome(happening=happening, result=told, summary=text, summary_written=written, **more)


def ended(attempt: Attempt, error: Cannot) -> Outcome:
    """Reject, try again, or give up, as the error's kind says; behind the commit point only record."""
    job = attempt.job
    if attempt.committed:
        return again(attempt, error, rules.pause(job.attempts))
    limit = attempt.patch().execution.max_retries if job.kind is Kind.PATCH else len(rules.RETRY_PAUSES)
    match rules.after_failure(error.kind, job.attempts, limit, attempt.shop.clock.wall()):
        case float(due):
            return Outcome(happening=Happening.RETRY, result={"error": error.as_json()}, retry_at=due)
        case Happening() as happening:
            status = "failed" if happening is Happening.FAIL else "rejected"
            gates = result.gates(attempt.verdicts, ())
            told = result.blank(job.id, status, **known(attempt), gates=gates, error=error.as_json())
            return record(attempt, happening, told)


def again(attempt: Attempt, error: Cannot, pause: float = 0.0) -> Outcome:
    """Back into the queue, whatever the error says of it."""
    due = attempt.shop.clock.wall() + pause
    return Outcome(happening=Happening.RETRY, result={"error": error.as_json()}, retry_at=due)


def explained(error: Exception, id: str) -> Cannot:
    """Any failure as an expected one; what nobody expected is logged whole."""
    match error:
        case Cannot():
            return error
        case OSError():
            return of_os_error(error, f"finish {id}")
        case _:
            _LOG.error("a bug met %s", id, exc_info=error)
            return Cannot(
                f"finish {id}: this is a bug of ghost: {type(error).__name__}: {error}",
                kind="bug",
                hint="the executor's log has the report; please send it",
            )
