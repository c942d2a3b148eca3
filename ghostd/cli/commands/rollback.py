"""`ghost rollback`: take patches back with one revert commit."""

from __future__ import annotations

from typing import Any

import click

from ghostd.cli import output, results
from ghostd.cli.verbs import Asked, common
from ghostd.cli.waiting import Finisher, open_shop
from ghostd.model.job import Job, Origin
from ghostd.pipeline import ask
from ghostd.pipeline.rollback import Trial


@click.command(name="rollback")
@click.argument("ids", nargs=-1, required=True)
@click.option("--with-dependents", is_flag=True, help="Also take back later patches that build on these.")
@click.option("--dry-run", is_flag=True, help="Say what would happen.")
@common
def command(*, asked: Asked, ids: tuple[str, ...], with_dependents: bool, dry_run: bool) -> int:
    """Take back the patches IDS with one commit that reverts them; history only grows.

    Rolling back a rollback brings its patches back.

    \b
    Example:
      ghost rollback fix-1
      ghost rollback rollback-1
    """
    with open_shop(asked) as shop:
        if dry_run:
            told = _of_trial(ask.try_rollback(shop, ids, with_dependents=with_dependents))
        else:
            job = ask.for_rollback(shop, ids, Origin(door="command"), with_dependents=with_dependents)
            told = _of_job(Finisher(shop, quiet=asked.verbosity < 0).finish(job.id))
    if asked.json:
        output.emit(told)
    else:
        _show(told)
    return 1 if told["status"] in ("blocked", "failed", "rejected") else 0


def _of_trial(trial: Trial) -> dict[str, Any]:
    return _document(
        "rollback", trial.status, None, reverted=trial.reverted, dependents=trial.dependents, conflicts=trial.conflicts
    )


def _of_job(job: Job) -> dict[str, Any]:
    """The contract's document; a rollback that was refused for what stands in its way is `blocked`."""
    told = dict(job.result or {})
    error = told.get("error") or {}
    status = "blocked" if error.get("kind") == "blocked" else told["status"]
    return _document(
        job.id,
        status,
        told.get("commit"),
        reverted=told.get("reverted", ()),
        dependents=error.get("dependents", ()),
        conflicts=error.get("conflicts", ()),
    ) | {"error": told.get("error")}


def _document(id: str, status: str, commit: str | None, **lists: Any) -> dict[str, Any]:
    return {"id": id, "status": status, "commit": commit, **{key: list(value) for key, value in lists.items()}}


def _show(told: dict[str, Any]) -> None:
    output.say(
        f"{told['status']:<11}  {told['id']}  {(told['commit'] or '')[:10]}  {' '.join(told['reverted'])}".rstrip()
    )
    for name in ("dependents", "conflicts"):
        if told[name]:
            output.say(f"{name}: {' '.join(told[name])}")
    if told.get("error"):
        results.explain(told["error"])
