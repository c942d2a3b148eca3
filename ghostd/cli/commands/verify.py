"""`ghost verify`: compare Git, the ledger and the proofs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from ghostd.base.log import one_line
from ghostd.cli import output
from ghostd.cli.verbs import Asked, common
from ghostd.cli.waiting import open_shop
from ghostd.model.settings import LaneSettings
from ghostd.pipeline.verify import verify, verify_offline
from ghostd.repo.git import open_repository


@click.command(name="verify")
@click.option("--offline", is_flag=True, help="From Git alone: no ledger, no daemon, no workspace is needed.")
@click.option(
    "--repo",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="With --offline: the repository [default: the one that we are in].",
)
@click.option("--branch", "branches", multiple=True, help="With --offline: a branch beside those with a proof log.")
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Public SSH key that signatures are checked with [default: that of signing_key].",
)
@common
def command(*, asked: Asked, offline: bool, repo: Path | None, branches: tuple[str, ...], key: Path | None) -> int:
    """Read every commit and proof of ghost anew and make each change once more; exit 1 where something differs.

    \b
    Example:
      ghost verify
      ghost verify --offline --repo clone --key ghost.pub
    """
    if not offline and (repo or branches):
        raise click.UsageError("--repo and --branch go with --offline; a workspace knows its own")
    with _progress(quiet=asked.verbosity < 0) as progress:
        if offline:
            found = _offline(repo or Path.cwd(), branches, key, progress)
        else:
            with open_shop(asked) as shop:
                found = verify(shop, key=key, progress=progress)
    return _show(asked, found)


def _offline(
    where: Path, branches: tuple[str, ...], key: Path | None, progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """The usual branch is looked at where no other is named, so that a repository without any log does not pass."""
    with open_repository(where) as repo:
        usual = LaneSettings(name="", repo=where).branch
        return verify_offline(repo, branches or (usual,), key=key, progress=progress)


def _show(asked: Asked, found: dict[str, Any]) -> int:
    if asked.json:
        output.emit(found)
    else:
        for problem in found["problems"]:
            output.say(one_line(problem))
        counts = ", ".join(f"{count} {name}" for name, count in found["proofs"].items() if count)
        told = f"{found['patches']} patches" + (f" ({counts})" if counts else "")
        output.say(f"{told}, " + ("all as it should be" if found["ok"] else "they differ"))
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
