"""`ghostd init`: make a workspace."""

from __future__ import annotations

from pathlib import Path

import click

from ghostd.base.log import one_line
from ghostd.cli import output, session
from ghostd.cli.verbs import Asked, common
from ghostd.config.init import Made

_NEXT = """
next:
  ghostd start            # all services, in the background
  ghost apply fix.yaml    # one patch, one commit"""


@click.command("init")
@click.option(
    "--repo",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The repository to work on [default: the one that we are in].",
)
@common
def command(asked: Asked, repo: Path | None) -> None:
    """Make .ghost/ in a repository: configuration, state and secrets. Changes nothing else there; may be repeated.

    \b
    Example:
      cd my-project && ghostd init && ghostd start
    """
    made = session.make(asked, repo)
    if asked.json:
        output.emit({"workspace": made.workspace, "repo": made.repo, "made": made.made})
    elif asked.verbosity >= 0:
        _tell(made)


def _tell(made: Made) -> None:
    for path in made.made:
        output.say(f"made {one_line(path)}")
    if not made.made:
        output.say(f"{one_line(str(made.workspace))} is complete already")
    output.say(_NEXT)
