"""Freeze and thaw from the command line: ask, wait, show."""

from __future__ import annotations

from ghostd.cli import output, results
from ghostd.cli.lanes import chosen
from ghostd.cli.verbs import Asked
from ghostd.cli.waiting import Finisher, open_shop
from ghostd.model.job import Kind, Origin, State
from ghostd.pipeline import ask


def ask_and_show(asked: Asked, kind: Kind, phase: str, lane_name: str | None) -> int:
    """Queue the job, wait for it, print the contract's document; the exit status."""
    with open_shop(asked) as shop:
        lane = chosen(shop.settings, lane_name)
        job = ask.for_phase(shop, kind, phase, lane, Origin(door="command"))
        job = Finisher(shop, quiet=asked.verbosity < 0).finish(job.id)
    told = dict(job.result or {})
    if job.state is not State.APPLIED:
        raise results.as_cannot(told["error"])
    document = {key: told[key] for key in ("phase", "tag", "commit", "patches", "status")}
    if asked.json:
        output.emit(document)
    else:
        output.say(f"{told['status']:<11}  {told['tag']}  {told['commit'][:10]}  {len(told['patches'])} patches")
    return 0
