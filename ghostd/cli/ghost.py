"""`ghost`: what people and agents do with patches."""

from __future__ import annotations

import sys

import click

from ghostd import __version__
from ghostd.cli.verbs import Verb, Verbs, run

_HERE = "ghostd.cli.commands."
VERBS = {
    "demo": Verb(module=_HERE + "demo", summary="See everything work, in a workspace of its own."),
    "apply": Verb(module=_HERE + "apply", summary="Turn patches into commits."),
    "rollback": Verb(module=_HERE + "rollback", summary="Take patches back with a revert commit."),
    "freeze": Verb(module=_HERE + "freeze", summary="Tag a phase and close it for patches."),
    "thaw": Verb(module=_HERE + "thaw", summary="Open a frozen phase again."),
    "restore": Verb(module=_HERE + "restore", summary="Bring the files of a frozen phase back with one commit."),
    "phases": Verb(module=_HERE + "phases", summary="The phases, which of them are frozen, and their patches."),
    "log": Verb(module=_HERE + "log", summary="The patches on a working branch, newest first."),
    "show": Verb(module=_HERE + "show", summary="Everything known of one patch."),
    "diff": Verb(module=_HERE + "diff", summary="What the commit of a patch changed."),
    "summary": Verb(module=_HERE + "summary", summary="The summary of one patch."),
    "queue": Verb(module=_HERE + "queue", summary="Look at the queue, hold, release, cancel, requeue, pause."),
    "status": Verb(module=_HERE + "status", summary="How things stand, in one screen."),
    "lint": Verb(module=_HERE + "lint", summary="Check patch files without applying them."),
    "convert": Verb(module=_HERE + "convert", summary="Turn a patch into another format."),
    "cache": Verb(module=_HERE + "cache", summary="Passes of gates that stand for a run; look and forget."),
    "verify": Verb(module=_HERE + "verify", summary="Compare Git, the ledger and the proofs."),
    "token": Verb(module=_HERE + "token", summary="Make tokens for the API."),
    "doctor": Verb(module=_HERE + "doctor", summary="What this machine has for ghost, and what is missing."),
}


@click.group(cls=Verbs, verbs=VERBS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ghost")
def ghost() -> None:
    """Turn every patch into one validated Git commit that can be taken back.

    \b
    Example:
      ghost apply fix.yaml
      ghost rollback fix-1
    """


def main() -> None:
    """The entry point of the `ghost` command."""
    sys.exit(run(ghost, "ghost"))


if __name__ == "__main__":
    main()
