"""`ghost apply`: turn patches into commits, one after another."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ghostd.base.errors import Cannot
from ghostd.cli import output, results
from ghostd.cli.sources import Piece, pieces
from ghostd.cli.verbs import Asked, common
from ghostd.cli.waiting import Finisher, daemon, open_shop
from ghostd.model.job import Origin
from ghostd.model.submission import Submission
from ghostd.patches.read import Malformed
from ghostd.pipeline import preview, result
from ghostd.pipeline.intake import Intake, Taken
from ghostd.pipeline.land import reverted
from ghostd.pipeline.rules import Repeat
from ghostd.pipeline.workshop import Workshop

_GOOD = frozenset({"applied", "already", "would-apply", "queued"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """The options of one call."""

    lane: str | None
    dry_run: bool
    wait: bool
    no_gates: bool
    keep_going: bool


@click.command(name="apply")
@click.argument("files", nargs=-1, required=True)
@click.option("--repo", type=click.Path(path_type=Path), help="The repository, where it has its own .ghost/ workspace.")
@click.option("--dry-run", is_flag=True, help="Apply in memory only and say what would happen.")
@click.option("--no-wait", is_flag=True, help="Return as soon as the patches are safe in the queue.")
@click.option("--lane", help="Lane by name or alias, whatever the patch says.")
@click.option("--no-gates", is_flag=True, help="Skip gates that are not required; written in the proof.")
@click.option("--keep-going", is_flag=True, help="Go on after a patch that failed.")
@common
def command(
    *,
    asked: Asked,
    files: tuple[str, ...],
    repo: Path | None,
    dry_run: bool,
    no_wait: bool,
    lane: str | None,
    no_gates: bool,
    keep_going: bool,
) -> int:
    """Apply patches from FILES: patch files, folders of them, chat transcripts, or - for stdin.

    \b
    Example:
      ghost apply fix.yaml
      ghost apply patches/ --keep-going
    """
    wishes = Wishes(lane=lane, dry_run=dry_run, wait=not no_wait, no_gates=no_gates, keep_going=keep_going)
    with open_shop(asked, must_exist=False, repo=repo) as shop:
        found = list(pieces(files, max_bytes=shop.settings.store.max_patch))
        told = list(_apply_all(shop, found, wishes, quiet=asked.verbosity < 0))
        if asked.json:
            output.emit({"patches": told})
        else:
            results.show(told, quiet=asked.verbosity < 0)
    return 0 if all(one["status"] in _GOOD for one in told) else 1


def _apply_all(shop: Workshop, found: Sequence[Piece], wishes: Wishes, *, quiet: bool) -> Iterator[dict[str, Any]]:
    """A RESULT for each piece; after the first bad one the rest is not run, unless asked."""
    finisher = Finisher(shop, quiet=quiet)
    failed = False
    with _progress(len(found), quiet=quiet) as advance:
        for piece in found:
            if failed and not wishes.keep_going:
                yield _not_run(piece)
                continue
            one = _dry(shop, piece, wishes) if wishes.dry_run else _apply(shop, piece, wishes, finisher)
            failed = failed or one["status"] not in _GOOD
            yield one
            advance()


def _submission(piece: Piece, wishes: Wishes) -> Submission:
    options = {"no_gates": True} if wishes.no_gates else {}
    return Submission(
        data=piece.data, origin=Origin(door="command", source=piece.name), lane=wishes.lane, options=options
    )


def _apply(shop: Workshop, piece: Piece, wishes: Wishes, finisher: Finisher) -> dict[str, Any]:
    try:
        taken = Intake(shop).submit(_submission(piece, wishes))
    except Cannot as error:
        return _refused(piece, error)
    match taken.repeat:
        case None | Repeat.WAIT:
            return _ended(shop, taken, wishes, finisher)
        case Repeat.ALREADY:
            finisher.catch_up()
            return result.of_job(taken.job, shop.places) | {"status": "already"}
        case Repeat.EARLIER:
            return result.earlier(taken.job, shop.places)
        case Repeat.REVERTED:
            by = shop.ledger.taken_back(taken.job.repo, taken.job.branch, taken.id) or ""
            return result.of_job(taken.job, shop.places) | result.rejection(reverted(taken.id, by))
        case Repeat.REWOUND | Repeat.REUSED:
            return result.of_job(taken.job, shop.places) | result.rejection(rewound(taken.id, taken.job.branch))


def _ended(shop: Workshop, taken: Taken, wishes: Wishes, finisher: Finisher) -> dict[str, Any]:
    if wishes.wait:
        return result.of_job(finisher.finish(taken.id), shop.places)
    if daemon(shop) is None:
        output.talk(f"ghost: no ghostd runs here; {taken.id} waits in the queue for ghostd start")
    return result.of_job(taken.job, shop.places)


def rewound(id: str, branch: str) -> Cannot:
    """The refusal of a patch whose commit somebody removed from the branch."""
    return Cannot(
        f"apply {id}: it was applied, but {branch} was rewound since and does not hold its commit",
        kind="rewound",
        hint="send it under a new id",
    )


def _dry(shop: Workshop, piece: Piece, wishes: Wishes) -> dict[str, Any]:
    try:
        patch, lane = Intake(shop).read(_submission(piece, wishes))
        return preview.would_apply(shop, patch, lane)
    except Cannot as error:
        return _refused(piece, error)


def _refused(piece: Piece, error: Cannot) -> dict[str, Any]:
    """A piece that intake turned away: its id where one can be read."""
    error.details.setdefault("file", piece.name)
    status = "rejected" if isinstance(error, Malformed) or error.kind in result.VERDICTS else "failed"
    return result.blank(results.id_of(piece.data), status, error=error.as_json())


def _not_run(piece: Piece) -> dict[str, Any]:
    error = Cannot(
        f"apply {piece.name}: an earlier patch failed", kind="not-run", hint="--keep-going goes on all the same"
    )
    return result.blank(results.id_of(piece.data), "cancelled", error=error.as_json())


@contextmanager
def _progress(total: int, *, quiet: bool) -> Iterator[Any]:
    """A bar on a terminal, nothing elsewhere."""
    if quiet or total <= 1 or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("applying", total=total)
        yield lambda: progress.advance(task)
