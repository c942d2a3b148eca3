"""`ghost show`: everything known of one patch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from ghostd.base.clock import rfc3339
from ghostd.base.errors import Cannot
from ghostd.base.log import printable
from ghostd.cli import output, results
from ghostd.cli.verbs import Asked, common
from ghostd.cli.waiting import known_job, open_shop
from ghostd.model.job import Job
from ghostd.pipeline import result
from ghostd.pipeline.workshop import Workshop
from ghostd.store.ports import GateRun


@click.command(name="show")
@click.argument("id")
@click.option("--gate", help="All that this gate printed for the patch, run by run.")
@common
def command(*, asked: Asked, id: str, gate: str | None) -> None:
    """State, result, gates, origin, proof and events of the patch ID.

    \b
    Example:
      ghost show fix-1
      ghost show fix-1 --gate tests
    """
    with open_shop(asked) as shop:
        job = known_job(shop, id)
        if gate is not None:
            _show_gate(asked, job, gate, shop.ledger.gate_runs(job.id, gate))
            return
        document = _document(shop, job)
    if asked.json:
        output.emit(document)
        return
    results.show([document], quiet=False)
    for key in ("state", "kind", "received", "finished", "origin", "phase", "session", "taken_back_by", "summary"):
        if document[key]:
            output.say(f"{key + ':':<15}{document[key]}")
    if document["gate_runs"]:
        output.say("")
        output.table(
            ("GATE", "ATTEMPT", "RUN", "VERDICT", "MS", "OUTPUT"), [_row(run) for run in document["gate_runs"]]
        )
    output.say("")
    output.table(("SEQ", "TIME", "EVENT"), [(e["seq"], e["time"], e["type"]) for e in document["events"]])


def _document(shop: Workshop, job: Job) -> dict[str, Any]:
    return result.of_job(job, shop.places) | {
        "kind": job.kind.value,
        "state": job.state.value,
        "title": job.title,
        "phase": job.phase,
        "session": job.session,
        "origin": f"{job.origin.door} {job.origin.source}".strip(),
        "received": rfc3339(job.received_at),
        "finished": rfc3339(job.finished_at) if job.finished_at else None,
        "taken_back_by": shop.ledger.taken_back(job.repo, job.branch, job.id),
        "proof": job.statement.decode() if job.statement else None,
        "gate_runs": [_run(run) for run in shop.ledger.gate_runs(job.id)],
        "events": [event.as_json() for event in shop.ledger.events(0, subject=job.id, limit=10_000)],
    }


def _run(run: GateRun) -> dict[str, Any]:
    return {
        "gate": run.gate,
        "attempt": run.attempt,
        "run": run.run,
        "status": run.verdict,
        "exit": run.status,
        "duration_ms": run.duration_ms,
        "cached": run.cached,
        "flake": run.flake,
        "output_bytes": len(run.output) + run.cut,
        "cut": run.cut,
        "kept": run.kept,
        "audit": run.audit,
        "time": rfc3339(run.time),
    }


def _row(run: Mapping[str, Any]) -> tuple[Any, ...]:
    marks = "".join(f" ({mark})" for mark in ("cached", "flake") if run[mark])
    return (
        run["gate"],
        run["attempt"],
        run["run"],
        f"{run['status']}{marks}",
        run["duration_ms"],
        f"{run['output_bytes']} B",
    )


def _show_gate(asked: Asked, job: Job, gate: str, runs: Sequence[GateRun]) -> None:
    """All that a gate printed, as text that can do no harm to a terminal."""
    if not runs:
        raise Cannot(
            f"show gate {gate} of {job.id}: it was not run for it, or its output is forgotten",
            kind="no-gate-run",
            hint=f"ghost show {job.id} lists the gates that were",
        )
    if asked.json:
        told = [_run(run) | {"output": run.output.decode(errors="replace")} for run in runs]
        output.emit({"id": job.id, "gate": gate, "runs": told})
        return
    for run in runs:
        cut = f", the first {run.cut} bytes were too many to keep" if run.cut else ""
        reused = ", an earlier pass stands for it" if run.cached else ""
        output.say(f"== attempt {run.attempt}, run {run.run}: {run.verdict}, {run.duration_ms} ms{reused}{cut}")
        output.say(printable(run.output.decode(errors="replace")).rstrip("\n"))
