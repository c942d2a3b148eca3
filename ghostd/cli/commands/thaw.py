"""`ghost thaw`: open a frozen phase again; its tag stays."""

from __future__ import annotations

import click

from ghostd.cli import phases
from ghostd.cli.verbs import Asked, common
from ghostd.model.job import Kind


@click.command(name="thaw")
@click.argument("phase")
@click.option("--lane", help="Lane by name or alias [default: the default lane].")
@common
def command(*, asked: Asked, phase: str, lane: str | None) -> int:
    """Let PHASE take patches again.

    \b
    Example:
      ghost thaw P8.13
    """
    return phases.ask_and_show(asked, Kind.THAW, phase, lane)
