"""`ghost verify`: compare Git, the ledger and the proofs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from ghostd.base.log import one_line
from ghostd.cli import output
from ghostd.cli.verbs import Asked, common
from ghostd.cli.waiting import open_shop
from ghostd.pipeline.verify import verify


@click.command(name="verify")
@common
def command(*, asked: Asked) -> int:
    """Read every commit of ghost anew and compare it with the ledger and its proof; exit 1 when they differ.

    \b
    Example:
      ghost verify
    """
    with open_shop(asked) as shop, _progress(quiet=asked.verbosity < 0) as progress:
        found = verify(shop, progress=progress)
    if asked.json:
        output.emit(found)
    else:
        for problem in found["problems"]:
            output.say(one_line(problem))
        output.say(f"{found['patches']} patches, " + ("all as it should be" if found["ok"] else "they differ"))
    return 0 if found["ok"] else 1


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, nothing elsewhere."""
    if quiet or not sys.stderr.isatty():
        yield lambda _done, _of: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("verifying", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)
