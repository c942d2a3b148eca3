"""`ghost summary`: the summary of one patch."""

from __future__ import annotations

import click

from ghostd.base.errors import Cannot
from ghostd.base.log import printable
from ghostd.cli import output
from ghostd.cli.verbs import Asked, common
from ghostd.cli.waiting import known_job, open_shop


@click.command(name="summary")
@click.argument("id")
@common
def command(*, asked: Asked, id: str) -> None:
    """The summary of the patch ID as Markdown; it comes from the ledger, so it is there without its file too.

    \b
    Example:
      ghost summary fix-1
    """
    with open_shop(asked) as shop:
        job = known_job(shop, id)
        path = shop.places.summary(job.lane, job.id)
    if not job.summary:
        raise Cannot(f"show the summary of {id}: it is {job.state}", kind="not-finished", hint=f"ghost show {id}")
    if asked.json:
        output.emit({"id": job.id, "lane": job.lane, "path": str(path), "summary": job.summary})
    else:
        output.say(printable(job.summary).rstrip())
