"""`ghostd stop`: every service, then ghostd itself, and back only when all of it is gone."""

from __future__ import annotations

import contextlib
import os
import select
import signal

import click

from ghostd.base import process
from ghostd.base.errors import Cannot
from ghostd.cli import output
from ghostd.cli.commands.daemon import here
from ghostd.cli.verbs import Asked, common
from ghostd.model.settings import Places
from ghostd.supervise.client import Control
from ghostd.supervise.lock import holder

#: Seconds of silence before it is told what is being waited for.
_PATIENCE = 2.0


@click.command("stop")
@common
def command(asked: Asked) -> int:
    """Stop all services in reverse order, then ghostd. Waits until everything has ended.

    \b
    Example:
      ghostd stop
    """
    where = here.places(asked)
    pid = holder(where.run)
    orphaned = pid is None and here.keeper_lives(where)
    if pid is not None:
        _stop(pid, where)
    elif orphaned:
        _stop_orphans(where)
    if asked.json:
        output.emit({"stopped": pid is not None or orphaned, "pid": pid})
    elif asked.verbosity >= 0:
        output.say(_words(pid, orphaned=orphaned))
    return 0


def _words(pid: int | None, *, orphaned: bool) -> str:
    if pid is not None:
        return f"ghostd has stopped (pid {pid})"
    return "ghostd was gone already; the services that it had left are stopped" if orphaned else "ghostd is not running"


def _stop(pid: int, where: Places) -> None:
    try:
        engine = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if holder(where.run) == pid:
            signal.pidfd_send_signal(engine, signal.SIGTERM)
        waiter = select.poll()
        waiter.register(engine, select.POLLIN)
        while not waiter.poll(_PATIENCE * 1000):
            _tell(where)
    finally:
        os.close(engine)


def _tell(where: Places) -> None:
    with contextlib.suppress(Cannot):
        rows = Control(where.control, timeout=_PATIENCE).status()["services"]
        output.talk(f"ghostd: waiting for {', '.join(row['name'] for row in rows if row['pid']) or 'its end'}")


def _stop_orphans(where: Places) -> None:
    """The engine was killed and its services live on: take them over to stop them, each with its grace."""
    done = process.run(here.engine_command(where, "--stop"), cwd=where.workspace)
    if done.status != 0:
        raise Cannot(
            f"stop the services: {done.stderr.decode('utf-8', 'replace').strip() or 'the engine failed'}",
            kind="stop-failed",
            hint=f"look into {where.log / 'ghostd.log'}",
        )
