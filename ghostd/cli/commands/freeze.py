"""`ghost freeze`: tag a phase on the working branch and close it for patches."""

from __future__ import annotations

import click

from ghostd.cli import phases
from ghostd.cli.verbs import Asked, common
from ghostd.model.job import Kind


@click.command(name="freeze")
@click.argument("phase")
@click.option("--lane", help="Lane by name or alias [default: the default lane].")
@common
def command(*, asked: Asked, phase: str, lane: str | None) -> int:
    """Tag PHASE on the tip of the working branch; its patches are rejected from then on.

    \b
    Example:
      ghost freeze P8.13
    """
    return phases.ask_and_show(asked, Kind.FREEZE, phase, lane)
