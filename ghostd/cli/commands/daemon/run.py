"""`ghostd run`: the engine in the foreground."""

from __future__ import annotations

import os
import sys

import click

from ghostd.base.errors import Cannot
from ghostd.cli import session
from ghostd.cli.commands.daemon import here
from ghostd.cli.verbs import Asked, common
from ghostd.model.settings import Places
from ghostd.supervise.lock import holder


@click.command("run")
@common
def command(asked: Asked) -> None:
    """Run ghostd in the foreground until SIGTERM or ^C, for systemd and containers. Tells $NOTIFY_SOCKET when ready.

    \b
    Example:
      ghostd run --workspace /srv/project/.ghost
    """
    where = Places(workspace=session.open_workspace(asked).settings.workspace)
    running = holder(where.run)
    if running is not None:
        raise Cannot(
            f"start a second ghostd in {where.workspace}: one runs already, with pid {running}",
            kind="already-running",
            hint="ghostd status shows it, ghostd stop ends it",
            pid=running,
        )
    sys.stdout.flush()
    # This very process becomes the engine: whoever started us signals and waits for the right one.
    argv = here.engine_command(where, "--foreground")
    os.execv(argv[0], argv)  # noqa: S606 - argv of our own making
