"""`ghostd start`: the engine in the background, and an answer when every service is ready or has failed."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from ghostd.base import process
from ghostd.base.errors import Cannot
from ghostd.base.log import one_line
from ghostd.base.sockets import bind_datagram
from ghostd.cli import output, session
from ghostd.cli.commands.daemon import here
from ghostd.cli.verbs import FAILED, Asked, common
from ghostd.model.settings import Places
from ghostd.supervise.client import Control
from ghostd.supervise.lock import holder


@click.command("start")
@common
def command(asked: Asked) -> int:
    """Start ghostd in the background. Returns when every service is ready, or says which is not.

    \b
    Example:
      ghostd start && ghostd status
    """
    where = Places(workspace=session.open_workspace(asked).settings.workspace)
    running = holder(where.run)
    if running is None:
        _start(where, asked)
    control = Control(where.control)
    if running is not None and not control.alive():
        raise here.not_running(where)
    status = control.status()
    failed = here.down(status["services"])
    if asked.json:
        output.emit({**status, "already_running": running is not None})
    else:
        _tell(status, failed, already=running is not None, asked=asked)
    return FAILED if failed and running is None else 0


def _tell(status: dict[str, Any], failed: list[Any], *, already: bool, asked: Asked) -> None:
    ready = sum(row["ready"] for row in status["services"])
    if asked.verbosity >= 0:
        state = "runs already" if already else "runs"
        output.say(f"ghostd {state}, pid {status['pid']}: {ready} of {len(status['services'])} services are ready")
    if failed and not already:
        here.tell(failed)
        output.talk("ghostd: ghostd logs SERVICE shows what a service wrote")


def _start(where: Places, asked: Asked) -> None:
    """Start the engine and wait for its word. Raises Cannot with its reason when it gives up."""
    with _ear() as (ear, address), _log(where) as log:
        engine = process.start(
            here.engine_command(where),
            cwd=where.workspace,
            env={**os.environ, "NOTIFY_SOCKET": address},
            stdout=log,
            stderr=log,
        )
        pidfd = os.pidfd_open(engine.pid)
        try:
            _wait(ear, pidfd, where, asked)
        except KeyboardInterrupt:
            output.talk("\nghostd goes on starting in the background; ghostd status tells how far it is")
            raise
        finally:
            os.close(pidfd)
    # It is not ours any more: it outlives this command.
    engine.returncode = 0


def _wait(ear: socket.socket, pidfd: int, where: Places, asked: Asked) -> None:
    progress = sys.stderr.isatty() and not asked.json and asked.verbosity >= 0
    poll = select.poll()
    poll.register(ear, select.POLLIN)
    poll.register(pidfd, select.POLLIN)
    while True:
        ready = [fd for fd, _ in poll.poll()]
        told = dict(line.partition("=")[::2] for line in _read(ear))
        if "X_GHOST_ERROR" in told:
            raise _refused(told["X_GHOST_ERROR"])
        if progress and "STATUS" in told:
            sys.stderr.write(f"\r\x1b[K{one_line(told['STATUS'], 100)}")
            sys.stderr.flush()
        if told.get("READY") == "1" or (pidfd in ready and not told):
            break
    if progress:
        sys.stderr.write("\r\x1b[K")
    if told.get("READY") != "1":
        raise Cannot(
            "start ghostd: it ended before its services were ready",
            kind="start-failed",
            hint=f"look into {where.log / 'ghostd.log'}",
        )


def _read(ear: socket.socket) -> list[str]:
    try:
        return ear.recv(1 << 16).decode("utf-8", "replace").split("\n")
    except BlockingIOError:
        return []


def _refused(text: str) -> Cannot:
    """The engine's own error, as if it had happened here."""
    error = json.loads(text)
    kind, message, hint = error.pop("kind"), error.pop("message"), error.pop("hint")
    return Cannot(str(message).removeprefix("cannot "), kind=kind, hint=hint, **error)


@contextlib.contextmanager
def _ear() -> Iterator[tuple[socket.socket, str]]:
    """A notify socket of our own. It lies in a short folder: a workspace's own path may be too long for an address."""
    with tempfile.TemporaryDirectory(prefix="ghostd-") as folder:
        path = Path(folder) / "start.sock"
        with bind_datagram(path) as ear:
            yield ear, str(path)


@contextlib.contextmanager
def _log(where: Places) -> Iterator[int]:
    fd = os.open(where.log / "ghostd.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)
