"""`ghost log`: the patches on a working branch, newest first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from ghostd.base.clock import rfc3339
from ghostd.cli import output
from ghostd.cli.lanes import chosen
from ghostd.cli.verbs import Asked, common
from ghostd.cli.waiting import open_shop
from ghostd.pipeline.land import learn
from ghostd.repo import history


@click.command(name="log")
@click.option("--lane", help="Lane by name or alias [default: the default lane].")
@click.option("-n", "limit", default=50, show_default=True, type=click.IntRange(1), help="At most so many.")
@common
def command(*, asked: Asked, lane: str | None, limit: int) -> None:
    """The commits of ghost on a lane's branch, newest first, as Git has them.

    \b
    Example:
      ghost log -n 10
    """
    with open_shop(asked) as shop:
        its = chosen(shop.settings, lane)
        repo = shop.repositories.of(its)
        learn(shop, repo, its.branch)
        entries = history.log(repo, its.branch, limit)
        rows = [
            {
                "id": landed.id,
                "commit": entry.commit,
                "subject": entry.subject,
                "author": entry.author,
                "time": rfc3339(entry.when),
                "lane": landed.lane,
                "phase": landed.phase,
                "reverts": list(landed.reverts),
                "reapplies": list(landed.reapplies),
                "taken_back_by": shop.ledger.taken_back(repo.identity, its.branch, landed.id),
            }
            for entry in entries
            if (landed := entry.landed) is not None
        ]
    if asked.json:
        output.emit({"branch": its.branch, "patches": rows})
        return
    if not rows:
        output.talk(f"ghost: no patches on {its.branch} yet; ghost apply FILE makes the first")
        return
    output.table(("COMMIT", "TIME", "ID", "", "SUBJECT"), map(_line, rows))


def _line(row: Mapping[str, Any]) -> tuple[str, ...]:
    back = "taken back" if row["taken_back_by"] else ""
    return (row["commit"][:10], row["time"][:19], row["id"], back, row["subject"])
