"""`ghost phases`: the phases, which of them are frozen, and their patches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from ghostd.base.clock import rfc3339
from ghostd.cli import output
from ghostd.cli.lanes import chosen
from ghostd.cli.verbs import Asked, common
from ghostd.cli.waiting import open_shop
from ghostd.pipeline import phase
from ghostd.pipeline.ask import looked_at
from ghostd.pipeline.workshop import Workshop


@click.command(name="phases")
@click.option("--lane", help="Only this lane, by name or alias.")
@common
def command(*, asked: Asked, lane: str | None) -> None:
    """Every phase of a lane: frozen, thawed, or open as long as it was never frozen; with its newest tag.

    \b
    Example:
      ghost phases
    """
    with open_shop(asked) as shop:
        lanes = shop.settings.lanes if lane is None else {chosen(shop.settings, lane).name: None}
        rows = [row for name in lanes for row in _rows(shop, name)]
    if asked.json:
        output.emit({"phases": rows})
        return
    if not rows:
        output.talk("ghost: no phases yet; ghost freeze PHASE makes the first")
        return
    output.table(("PHASE", "LANE", "STATE", "TAG", "COMMIT", "TIME", "PATCHES"), map(_line, rows))


def _rows(shop: Workshop, lane: str) -> list[dict[str, Any]]:
    its = shop.settings.lanes[lane]
    return [_row(found) for found in phase.listed(looked_at(shop, its), shop.settings, lane)]


def _row(found: phase.Phase) -> dict[str, Any]:
    return {
        "phase": found.name,
        "lane": found.lane,
        "branch": found.branch,
        "state": found.state,
        "tag": found.tag and found.tag.name,
        "commit": found.tag and found.tag.commit,
        "time": found.tag and rfc3339(found.tag.when),
        "signed": found.tag is not None and found.tag.signature is not None,
        "patches": list(found.patches),
        "tags": list(found.tags),
    }


def _line(row: Mapping[str, Any]) -> tuple[str, ...]:
    tag = (row["tag"] or "-", (row["commit"] or "-")[:10], (row["time"] or "-")[:19])
    return (row["phase"], row["lane"], row["state"], *tag, str(len(row["patches"])))
