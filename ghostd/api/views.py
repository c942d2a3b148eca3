"""What the API shows of jobs, services and alerts: plain values in, JSON-able values out; nothing is asked here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from ghostd import __version__
from ghostd.base.clock import rfc3339
from ghostd.model.alert import Alert
from ghostd.model.event import Event
from ghostd.model.job import Job, State
from ghostd.model.settings import Places
from ghostd.monitor.rules import Gateway, component_form

_PUBLIC_STATUS = {State.HELD: "queued", State.RUNNING: "queued"}


def as_json(document: Mapping[str, Any]) -> bytes:
    """JSON in ASCII without `<`: safe in a terminal, in a log and in a page, whatever a stranger wrote."""
    return json.dumps(document, default=_as_text).replace("<", "\\u003c").encode()


def _as_text(value: object) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


def envelope(data: Any, now: float) -> dict[str, Any]:
    """The original's answer to everything that went well."""
    return {"status": "success", "timestamp": rfc3339(now), "data": data}


def status_url(id: str) -> str:
    """Where to ask for a patch, on the listener that was asked: every one that takes patches answers it."""
    return f"/api/patches/{quote(id, safe='()+')}/status"


def receipt(job: Job) -> dict[str, Any]:
    """The receipt of a patch that is on disk."""
    return {"id": job.id, "digest": job.digest, "status": _status(job), "status_url": status_url(job.id)}


def _status(job: Job) -> str:
    return _PUBLIC_STATUS.get(job.state, job.state.value)


def patch_line(job: Job) -> dict[str, Any]:
    """A patch in a list."""
    result = job.result or {}
    return {
        "id": job.id,
        "kind": job.kind.value,
        "status": result.get("status", _status(job)),
        "state": job.state.value,
        "lane": job.lane,
        "branch": job.branch,
        "commit": result.get("commit"),
        "digest": job.digest,
        "title": job.title,
        "phase": job.phase,
        "attempts": job.attempts,
        "received_at": rfc3339(job.received_at),
        "finished_at": rfc3339(job.finished_at) if job.finished_at is not None else None,
        "error": result.get("error"),
        "summary_url": f"/api/patches/{quote(job.id, safe='()+')}/summary" if job.summary else None,
    }


def patch(job: Job, places: Places, events: Iterable[Event]) -> dict[str, Any]:
    """Everything that is known of one patch but its text."""
    told: dict[str, Any] = {
        "tree": None,
        "duration_ms": 0,
        "stat": None,
        "gates": [],
        "matches": [],
        "worktree": "none",
        "warnings": [],
    }
    return {
        **told,
        **(job.result or {}),
        **patch_line(job),
        "door": job.origin.door,
        "session": job.session,
        "depends_on": list(job.depends_on),
        "priority": job.priority,
        "summary": str(places.summary(job.lane, job.id)) if job.summary else None,
        "events": [event.as_json() for event in events],
    }


def queue(counts: Mapping[tuple[str, State], int], lane: str) -> dict[str, int]:
    """How many patches of a lane stand in each state."""
    return {state.value: counts.get((lane, state), 0) for state in State}


def totals(counts: Mapping[tuple[str, State], int]) -> dict[str, int]:
    """How many patches stand in each state, over all lanes."""
    return {state.value: sum(n for (_, s), n in counts.items() if s is state) for state in State}


def alert(row: Alert) -> dict[str, Any]:
    """An alert as clients see it."""
    return {
        "id": row.id,
        "severity": row.severity.value,
        "state": row.state.value,
        "title": row.title,
        "fingerprint": row.fingerprint,
        "opened_at": rfc3339(row.opened_at),
        "resolved_at": rfc3339(row.resolved_at) if row.resolved_at is not None else None,
        "data": dict(row.data),
    }


def executors(services: Sequence[Mapping[str, Any]]) -> dict[str, bool]:
    """Which executors there are, by lane, and whether each works."""
    prefix = "executor-"
    return {
        str(row["name"]).removeprefix(prefix): row.get("state") == "RUNNING"
        for row in services
        if str(row.get("name", "")).startswith(prefix)
    }


def health(
    *,
    writable: bool,
    executors: Mapping[str, bool] | None,
    bound: bool,
    webhook: str,
    metrics: Mapping[str, Any],
    now: float,
) -> dict[str, Any]:
    """The component form of health as this process sees it, which answers by answering."""
    gateway = Gateway(bound=bound, responsive=True, webhook=webhook)
    works = None if executors is None else list(executors.values())
    return component_form(gateway, works, writable=writable, metrics=metrics, time=rfc3339(now), version=__version__)
