"""`ghost show`: everything known of one patch."""

from __future__ import annotations

from typing import Any

import click

from ghostd.base.clock import rfc3339
from ghostd.cli import output, results
from ghostd.cli.verbs import Asked, common
from ghostd.cli.waiting import known_job, open_shop
from ghostd.model.job import Job
from ghostd.pipeline import result
from ghostd.pipeline.workshop import Workshop


@click.command(name="show")
@click.argument("id")
@common
def command(*, asked: Asked, id: str) -> None:
    """State, result, origin, proof and events of the patch ID.

    \b
    Example:
      ghost show fix-1
    """
    with open_shop(asked) as shop:
        document = _document(shop, known_job(shop, id))
    if asked.json:
        output.emit(document)
        return
    results.show([document], quiet=False)
    for key in ("state", "kind", "received", "finished", "origin", "phase", "session", "taken_back_by", "summary"):
        if document[key]:
            output.say(f"{key + ':':<15}{document[key]}")
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
        "events": [event.as_json() for event in shop.ledger.events(0, subject=job.id, limit=10_000)],
    }
