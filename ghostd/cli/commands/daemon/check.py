"""`ghostd check`: every problem of a configuration at once."""

from __future__ import annotations

from pathlib import Path

import click

from ghostd.base.errors import Cannot
from ghostd.base.log import one_line
from ghostd.cli import output, session
from ghostd.cli.verbs import FAILED, Asked, common
from ghostd.config.load import check
from ghostd.config.problems import ERROR, Problem
from ghostd.model.settings import Places


@click.command("check")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@common
def command(asked: Asked, file: Path | None) -> int:
    """List every problem of FILE (by itself the workspace's conf/ghost.toml) as `file:line: key: problem`.

    \b
    Example:
      ghostd check conf/ghost.toml
    """
    problems = check(file or _of_workspace(asked))
    good = not any(problem.level == ERROR for problem in problems)
    if asked.json:
        output.emit({"ok": good, "problems": [problem.as_json() for problem in problems]})
    else:
        _tell(problems, asked)
    return 0 if good else FAILED


def _of_workspace(asked: Asked) -> Path:
    workspace = session.find(asked)
    if workspace is None:
        raise Cannot("find a workspace here or above", kind="no-workspace", hint="name a file, or run ghostd init")
    return Places(workspace=workspace).conf


def _tell(problems: tuple[Problem, ...], asked: Asked) -> None:
    for problem in problems:
        if problem.level == ERROR:
            output.say(one_line(str(problem)))
        elif asked.verbosity >= 0:
            output.say(f"{one_line(str(problem))} (warning)")
    if not problems and asked.verbosity >= 0:
        output.say("no problems")
