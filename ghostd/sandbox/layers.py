"""Run one command to its end, limited and timed, and leave no process of it behind.

The caller becomes a subreaper: whatever the command starts, even by a double fork or in a session of its own, stays
below the caller and is found and killed when the command ends or its time is up.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from ghostd.base import process
from ghostd.model.service import Limits
from ghostd.sandbox.limits import setter

_PR_SET_CHILD_SUBREAPER = 36
#: Enough of the output to see why a gate said no; a flood must not fill the memory or the ledger.
OUTPUT_KEPT = 64 * 1024
_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a command ended: `status` is the exit status, minus a signal, or None where it could not be started."""

    status: int | None
    #: The last bytes of stdout and stderr together, at most OUTPUT_KEPT.
    output: bytes
    timed_out: bool
    duration_ms: int
    #: Processes that were still there at the end and were killed.
    leftovers: int
    #: Why it could not be started.
    error: str = ""


def run_limited(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    limits: Limits,
    timeout: float,
    on_tick: Callable[[], None] = lambda: None,
    tick: float = 1.0,
) -> Finished:
    """Run `argv` in `cwd` with nothing but `env`; `on_tick` is called about each `tick` seconds meanwhile.

    An exception of `on_tick` (the lease is lost, the caller was interrupted) kills the whole tree and goes on upward.
    """
    _become_subreaper()
    before = {child.pid for child in _children()}
    begin = time.monotonic()
    try:
        child = process.start(
            argv, cwd=cwd, env=env, stdout=process.PIPE, stderr=process.STDOUT, preexec=setter(limits)
        )
    except OSError as error:
        return Finished(
            status=None, output=b"", timed_out=False, duration_ms=0, leftovers=0, error=f"{argv[0]}: {error.strerror}"
        )
    timed_out = False
    tail = bytearray()
    try:
        with contextlib.closing(child.stdout) as pipe:  # type: ignore[type-var]
            timed_out = not _follow(pipe.fileno(), child.pid, tail, begin + timeout, on_tick, tick)  # type: ignore[union-attr]
    finally:
        leftovers = _kill_tree(child.pid, before)
        status = child.wait()
    return Finished(
        status=status,
        output=bytes(tail),
        timed_out=timed_out,
        duration_ms=round((time.monotonic() - begin) * 1000),
        leftovers=leftovers,
    )


def _follow(pipe: int, pid: int, tail: bytearray, deadline: float, on_tick: Callable[[], None], tick: float) -> bool:
    """Read the output until the command itself has ended (its children may hold the pipe); False at the deadline."""
    os.set_blocking(pipe, False)
    exited = os.pidfd_open(pid)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            selector.register(exited, selectors.EVENT_READ)
            next_tick = time.monotonic() + tick
            while (now := time.monotonic()) < deadline:
                ready = {key.fd for key, _ in selector.select(min(deadline, next_tick) - now)}
                if pipe in ready and not _read(pipe, tail):
                    selector.unregister(pipe)
                if exited in ready:
                    _read(pipe, tail)
                    return True
                if time.monotonic() >= next_tick:
                    on_tick()
                    next_tick = time.monotonic() + tick
        return False
    finally:
        os.close(exited)


def _read(pipe: int, tail: bytearray) -> bool:
    """Take what is there, keep its end; False when nobody holds the other side any more."""
    while True:
        try:
            chunk = os.read(pipe, _CHUNK)
        except BlockingIOError:
            return True
        if not chunk:
            return False
        tail += chunk
        del tail[:-OUTPUT_KEPT]
        if len(chunk) < _CHUNK:
            return True


def _become_subreaper() -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def _children(*, recursive: bool = False) -> list[psutil.Process]:
    return psutil.Process().children(recursive=recursive)


def _kill_tree(pid: int, before: set[int]) -> int:
    """Kill all below the command, and what it left to us as the subreaper; how many were still alive beside itself.

    Frozen first and killed then, round by round: a process that forks while it is hunted is found in the next round.
    """
    killed = set()
    for _ in range(100):
        prey = [p for child in _children() if child.pid not in before for p in [child, *_below(child)]]
        alive = [p for p in prey if _alive(p)]
        if not alive:
            break
        for sig in (signal.SIGSTOP, signal.SIGKILL):
            for target in alive:
                with contextlib.suppress(psutil.NoSuchProcess):
                    target.send_signal(sig)
        killed |= {p.pid for p in alive}
        for target in alive:
            if target.pid != pid:
                _reap(target.pid)
        time.sleep(0.001)
    process.kill_group(pid)
    for child in _children():
        if child.pid not in before and child.pid != pid:
            _reap(child.pid)
    return len(killed - {pid})


def _below(child: psutil.Process) -> list[psutil.Process]:
    try:
        return child.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _alive(candidate: psutil.Process) -> bool:
    try:
        return bool(candidate.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _reap(pid: int) -> None:
    """Take the exit status of a process that was left to us; a grandchild is not ours and answers ECHILD."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
