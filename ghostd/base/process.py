"""The one door to `subprocess`: argv only, no shell, own session, output bounded, whole groups killed.

Whoever imports this waits for its own children by pid, never for "any child", so that no exit status is stolen.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """What a command left behind. `status` is the exit status, or minus the signal that killed it."""

    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes
    timed_out: bool = False


def run(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    timeout: float | None = None,
) -> Completed:
    """Run a command to its end. Raises FileNotFoundError or PermissionError where it can not be started.

    After `timeout` seconds its whole session is killed and `timed_out` is set.
    """
    with subprocess.Popen(  # noqa: S603 - argv of our own making, never a shell
        list(argv),
        cwd=cwd,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as child:
        timed_out = False
        try:
            out, err = child.communicate(stdin, timeout)
        except subprocess.TimeoutExpired:
            timed_out = True
            kill_group(child.pid)
            out, err = child.communicate()
        except BaseException:
            kill_group(child.pid)
            raise
    return Completed(argv=tuple(argv), status=child.returncode, stdout=out, stderr=err, timed_out=timed_out)


def start(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: int | IO[bytes] | None = subprocess.DEVNULL,
    stdout: int | IO[bytes] | None = subprocess.DEVNULL,
    stderr: int | IO[bytes] | None = subprocess.DEVNULL,
    preexec: Callable[[], None] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own and return at once; the caller waits for it by its pid.

    `preexec` runs in the child between fork and exec (limits); it forces a fork of this process, so only small
    single-threaded processes may pass it.
    """
    return subprocess.Popen(  # noqa: S603 - argv of our own making, never a shell
        list(argv),
        cwd=cwd,
        env=env,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        preexec_fn=preexec,  # noqa: PLW1509 - documented above
    )


PIPE = subprocess.PIPE
STDOUT = subprocess.STDOUT
TimeoutExpired = subprocess.TimeoutExpired


def kill_group(pid: int, sig: signal.Signals = signal.SIGKILL) -> None:
    """Signal the process group that `pid` leads; one that is gone already is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, sig)
