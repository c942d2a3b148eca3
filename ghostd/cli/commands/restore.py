"""`ghost restore`: bring the files of a frozen phase back with one commit."""

from __future__ import annotations

from typing import Any

import click

from ghostd.cli import changes, output, results
from ghostd.cli.lanes import chosen
from ghostd.cli.verbs import Asked, common
from ghostd.cli.waiting import Finisher, open_shop
from ghostd.model.job import Job, Kind, Origin
from ghostd.model.settings import LaneSettings
from ghostd.pipeline import ask, restore
from ghostd.pipeline.workshop import Workshop


@click.command(name="restore")
@click.argument("phase")
@click.option("--lane", help="Lane by name or alias [default: the default lane].")
@click.option("--dry-run", is_flag=True, help="Say what would happen.")
@common
def command(*, asked: Asked, phase: str, lane: str | None, dry_run: bool) -> int:
    """Make one commit whose files are exactly those of PHASE's newest tag; history only grows.

    Patches that came later are taken back by it, and `ghost rollback restore-1` brings them back.

    \b
    Example:
      ghost restore P8.13
    """
    with open_shop(asked) as shop:
        its = chosen(shop.settings, lane)
        if dry_run:
            told = _tried(shop, phase, its)
        else:
            job = ask.for_phase(shop, Kind.RESTORE, phase, its, Origin(door="command"))
            told = _of_job(Finisher(shop, quiet=asked.verbosity < 0).finish(job.id), phase)
    if asked.json:
        output.emit(told)
    else:
        _show(told)
    return 1 if told["status"] in ("failed", "rejected", "cancelled") else 0


def _tried(shop: Workshop, phase: str, lane: LaneSettings) -> dict[str, Any]:
    branch, found = ask.try_restore(shop, phase, lane)
    told = _document("restore", found.status, phase) | restore.preview(branch, found)
    if not found.needed:
        return told | {"tag": found.tag}
    return told | {"tag": found.tag, "reverted": list(found.reverted), "reapplied": list(found.reapplied)}


def _of_job(job: Job, phase: str) -> dict[str, Any]:
    told = dict(job.result or {})
    keys = ("tag", "commit", "tree", "reverted", "reapplied", "stat", "error")
    return _document(job.id, told["status"], phase) | {key: told[key] for key in keys if key in told}


def _document(id: str, status: str, phase: str) -> dict[str, Any]:
    unknown = dict.fromkeys(("tag", "commit", "tree", "error"))
    return {"id": id, "status": status, "phase": phase, **unknown, "reverted": [], "reapplied": []}


def _show(told: dict[str, Any]) -> None:
    words = (f"{told['status']:<13}", told["id"], (told["commit"] or "")[:10], told["tag"] or "")
    output.say("  ".join(word for word in words if word))
    changes.show(told)
    if told["error"]:
        results.explain(told["error"])
