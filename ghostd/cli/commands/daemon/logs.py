"""`ghostd logs`: what a service wrote, with or without a daemon."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import click

from ghostd.base.errors import Cannot
from ghostd.base.log import printable
from ghostd.cli import output
from ghostd.cli.commands.daemon import here
from ghostd.cli.verbs import Asked, common
from ghostd.model.settings import Places

#: Between two looks at a file that is followed.
_LOOK = 0.2
_BLOCK = 1 << 16


@click.command("logs")
@click.argument("service")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until ^C.")
@click.option("-n", "--lines", default=50, show_default=True, type=click.IntRange(min=0), help="Last lines to show.")
@common
def command(asked: Asked, service: str, follow: bool, lines: int) -> None:  # noqa: FBT001 - click passes it by name
    """Show the last lines that SERVICE wrote; `ghostd` and `keeper` are the daemon's own.

    \b
    Example:
      ghostd logs gateway -n 20 -f
    """
    path = _find(here.places(asked), service)
    for line in _lines(path, lines, follow=follow):
        text = printable(line.decode("utf-8", "backslashreplace"))
        if asked.json:
            output.emit({"service": service, "line": text})
        else:
            output.say(text)


def _find(where: Places, service: str) -> Path:
    path = where.log / f"{service}.log"
    if service != Path(service).name or not path.is_file():
        known = sorted(file.name.removesuffix(".log") for file in where.log.glob("*.log"))
        hint = f"there are logs of {', '.join(known)}" if known else "nothing has been started here yet"
        raise Cannot(f"show a log of {service}: there is none", kind="no-log", hint=hint, service=service)
    return path


def _lines(path: Path, count: int, *, follow: bool) -> Iterator[bytes]:
    file = path.open("rb")
    try:
        yield from _last(file, count)
        begun = b""
        while follow:
            *whole, begun = (begun + file.read()).split(b"\n")
            yield from whole
            if not whole and _moved(path, file):
                # Put aside and read to its end: go on with the new one.
                file.close()
                file = path.open("rb")
            else:
                time.sleep(_LOOK)
    finally:
        file.close()


def _last(file: IO[bytes], count: int) -> list[bytes]:
    """The last lines of a file of any size; the position is then its end."""
    end = start = file.seek(0, os.SEEK_END)
    text, block = b"", _BLOCK
    while start > 0 and text.count(b"\n") <= count:
        start, block = max(0, start - block), block * 2
        file.seek(start)
        text = file.read(end - start)
    file.seek(end)
    return text.removesuffix(b"\n").split(b"\n")[-count:] if count and text else []


def _moved(path: Path, file: IO[bytes]) -> bool:
    try:
        return path.stat().st_ino != os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False
