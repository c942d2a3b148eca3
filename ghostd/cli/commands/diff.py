"""`ghost diff`: what the commit of a patch changed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

from ghostd.base.log import one_line, printable
from ghostd.cli import output
from ghostd.cli.verbs import Asked, common
from ghostd.cli.waiting import open_shop
from ghostd.pipeline import ask
from ghostd.repo import compare

#: What a line of a diff begins with, and its colour; the first that fits counts.
_COLOURS = (
    (("diff --git ", "--- ", "+++ "), "bright_white"),
    (("@@",), "cyan"),
    (("+",), "green"),
    (("-",), "red"),
)


@click.command(name="diff")
@click.argument("id")
@click.option("--stat", is_flag=True, help="Only a line for each file.")
@common
def command(*, asked: Asked, id: str, stat: bool) -> None:
    """The unified diff of the commit that ID made: a patch, a rollback or a restore.

    On a terminal it is coloured; in a pipe it is exact, so that `git apply` takes it.

    \b
    Example:
      ghost diff fix-1
      ghost diff fix-1 --stat
    """
    with open_shop(asked) as shop:
        ((_, repo, landed),) = ask.where(shop, [id], "show the diff of")
        found = compare.shown(repo, landed.commit)
    if asked.json:
        text = None if stat else found.text.decode("utf-8", "backslashreplace")
        output.emit({"id": id, "commit": landed.commit, "files": [_row(file) for file in found.files], "diff": text})
    elif stat:
        _show_stat(found.files)
    elif sys.stdout.isatty():
        _show_coloured(found.text.decode("utf-8", "backslashreplace"))
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(found.text)


def _row(file: compare.FileStat) -> dict[str, Any]:
    return {
        "path": _name(file.path),
        "old_path": None if file.old is None else _name(file.old),
        "status": file.status,
        "insertions": file.insertions,
        "deletions": file.deletions,
        "binary": file.binary,
    }


def _name(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")


def _show_stat(files: Sequence[compare.FileStat]) -> None:
    for file in files:
        name = one_line(_name(file.path) if file.old is None else f"{_name(file.old)} -> {_name(file.path)}", 200)
        size = "binary" if file.binary else f"+{file.insertions} -{file.deletions}"
        output.say(f"{file.status}  {size:<12}  {name}")
    lines = (sum(file.insertions for file in files), sum(file.deletions for file in files))
    output.say(f"{len(files)} file{'' if len(files) == 1 else 's'}, +{lines[0]} -{lines[1]}")


def _show_coloured(text: str) -> None:
    for line in printable(text).split("\n")[:-1]:
        output.say(click.style(line, fg=_colour(line, _COLOURS)))


def _colour(line: str, table: Iterable[tuple[tuple[str, ...], str | None]]) -> str | None:
    return next((colour for begins, colour in table if line.startswith(begins)), None)
