"""`ghostd`: the daemon that keeps the services alive, and its controls."""

from __future__ import annotations

import sys

import click

from ghostd import __version__
from ghostd.cli.verbs import Verb, Verbs, run

_HERE = "ghostd.cli.commands.daemon."
VERBS = {
    "init": Verb(module=_HERE + "init", summary="Make a workspace with its configuration and secrets."),
    "start": Verb(module=_HERE + "start", summary="Start in the background; returns when all services are ready."),
    "run": Verb(module=_HERE + "run", summary="Run in the foreground, for systemd and containers."),
    "stop": Verb(module=_HERE + "stop", summary="Stop all services, then ghostd itself."),
    "restart": Verb(module=_HERE + "restart", summary="Restart services, or all of them."),
    "status": Verb(module=_HERE + "status", summary="The services, their states, and why."),
    "logs": Verb(module=_HERE + "logs", summary="What a service wrote."),
    "check": Verb(module=_HERE + "check", summary="Every problem of the configuration at once."),
    "doctor": Verb(module=_HERE + "doctor", summary="What this machine has for ghost, and what is missing."),
}


@click.group(cls=Verbs, verbs=VERBS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ghostd")
def ghostd() -> None:
    """Keep the services of a workspace alive.

    \b
    Example:
      ghostd init && ghostd start
    """


def main() -> None:
    """The entry point of the `ghostd` command."""
    sys.exit(run(ghostd, "ghostd"))


if __name__ == "__main__":
    main()
