"""`ghost rollback`: take patches back with one revert commit."""

from __future__ import annotations

from typing import Any

import click

from ghostd.cli import changes, output, results
from ghostd.cli.lanes import chosen
from ghostd.cli.verbs import Asked, common
from ghostd.cli.waiting import Finisher, open_shop
from ghostd.model.job import Job, Origin
from ghostd.pipeline import ask, rollback
from ghostd.pipeline.workshop import Workshop

#: Later patches that would have to go too, paths that changed since, and the commits of people that did it.
_IN_THE_WAY = ("dependents", "conflicts", "by_hand")


@click.command(name="rollback")
@click.argument("ids", nargs=-1)
@click.option("--phase", help="All patches of this phase, instead of IDS.")
@click.option("--lane", help="Lane of the phase, by name or alias [default: the default lane].")
@click.option("--with-dependents", is_flag=True, help="Also take back later patches that build on these.")
@click.option("--dry-run", is_flag=True, help="Say what would happen: files, conflicts, who builds on it.")
@common
def command(
    *, asked: Asked, ids: tuple[str, ...], phase: str | None, lane: str | None, with_dependents: bool, dry_run: bool
) -> int:
    """Take back the patches IDS with one commit that reverts them; history only grows.

    Rolling back a rollback brings its patches back.

    \b
    Example:
      ghost rollback fix-1
      ghost rollback rollback-1
      ghost rollback --phase P8.13 --dry-run
    """
    if bool(ids) == (phase is not None):
        raise click.UsageError("name either IDS or a --phase")
    with open_shop(asked) as shop:
        if dry_run:
            wanted = ids if phase is None else ask.ids_of_phase(shop, phase, chosen(shop.settings, lane))
            told = _tried(shop, wanted, with_dependents=with_dependents)
        else:
            job = _queued(shop, ids, phase, lane, with_dependents=with_dependents)
            told = _of_job(Finisher(shop, quiet=asked.verbosity < 0).finish(job.id))
    if asked.json:
        output.emit(told)
    else:
        _show(told)
    return 1 if told["status"] in ("blocked", "failed", "rejected") else 0


def _queued(shop: Workshop, ids: tuple[str, ...], phase: str | None, lane: str | None, *, with_dependents: bool) -> Job:
    origin = Origin(door="command")
    if phase is None:
        return ask.for_rollback(shop, ids, origin, with_dependents=with_dependents)
    return ask.for_phase_rollback(shop, phase, chosen(shop.settings, lane), origin, with_dependents=with_dependents)


def _tried(shop: Workshop, ids: tuple[str, ...], *, with_dependents: bool) -> dict[str, Any]:
    branch, trial = ask.try_rollback(shop, ids, with_dependents=with_dependents)
    told = _document("rollback", trial.status, None)
    told |= {"reverted": trial.reverted, "reapplied": trial.reapplied}
    told |= {"dependents": trial.dependents, "conflicts": trial.conflicts, "by_hand": trial.by_hand}
    return {**told, **rollback.preview(branch, trial)}


def _of_job(job: Job) -> dict[str, Any]:
    """The contract's document; a rollback that was refused for what stands in its way is `blocked`."""
    told = dict(job.result or {})
    error = told.get("error") or {}
    status = "blocked" if error.get("kind") == "blocked" else told["status"]
    known: dict[str, Any] = {key: told[key] for key in ("reverted", "reapplied", "stat") if key in told}
    known |= {key: error[key] for key in _IN_THE_WAY if key in error}
    return _document(job.id, status, told.get("commit")) | known | {"error": told.get("error")}


def _document(id: str, status: str, commit: str | None) -> dict[str, Any]:
    lists: dict[str, Any] = {key: [] for key in ("reverted", "reapplied", *_IN_THE_WAY)}
    return {"id": id, "status": status, "commit": commit, **lists}


def _show(told: dict[str, Any]) -> None:
    output.say(
        f"{told['status']:<11}  {told['id']}  {(told['commit'] or '')[:10]}  {' '.join(told['reverted'])}".rstrip()
    )
    changes.show(told, ("reapplied", *_IN_THE_WAY, "files"))
    if told.get("error"):
        results.explain(told["error"])
