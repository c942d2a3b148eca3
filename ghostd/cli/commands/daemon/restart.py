"""`ghostd restart`: services by name, or all of them."""

from __future__ import annotations

import click

from ghostd.cli import output
from ghostd.cli.commands.daemon import here
from ghostd.cli.verbs import FAILED, Asked, common
from ghostd.supervise.client import Control


@click.command("restart")
@click.argument("services", nargs=-1, metavar="[SERVICE]...")
@common
def command(asked: Asked, services: tuple[str, ...]) -> int:
    """Restart SERVICEs, by themselves all; each stops before what it requires and starts after it is ready.

    \b
    Example:
      ghostd restart gateway
    """
    where = here.places(asked)
    control = Control(where.control)
    if not control.alive():
        raise here.not_running(where)
    rows = control.restart(services)
    failed = [row for row in rows if not row["ready"]]
    if asked.json:
        output.emit({"services": rows})
    elif asked.verbosity >= 0 or failed:
        here.tell(rows if asked.verbosity >= 0 else failed)
    return FAILED if failed else 0
