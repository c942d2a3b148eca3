"""`ghost doctor`: what this machine has for ghost, what is missing, and how to get it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from ghostd.cli import session
from ghostd.cli.doctor.check import Check, tell
from ghostd.cli.doctor.machine import machine, tools
from ghostd.cli.doctor.sandbox import sandbox
from ghostd.cli.doctor.workspace import configuration, workspace_checks
from ghostd.cli.verbs import Asked, common
from ghostd.model.settings import Places


@click.command("doctor")
@common
def command(asked: Asked) -> int:
    """Look at the tools, the machine, the sandbox's layers and the workspace.

    Exit status 1 where something is missing that the configuration needs.

    \b
    Example:
      ghost doctor
      ghost doctor --json
    """
    return tell(tuple(checks(session.find(asked))), asked)


def checks(workspace: Path | None) -> Iterator[Check]:
    """Everything that is looked at, in the order in which it is shown."""
    settings, told = configuration(workspace)
    yield from tools(settings)
    yield from machine(settings, Places(workspace=settings.workspace).state if settings else None)
    yield from sandbox(settings)
    yield told
    if settings is not None:
        yield from workspace_checks(settings)
