"""Run one command to its end, shut in, limited and timed, and leave no process of it behind.

A small launcher stands between: it is a subreaper, so whatever the command starts, even by a double fork or in a
session of its own, stays below it and is killed when the command ends or its time is up; where there is a PID
namespace, the kernel does that. The launcher dies with this process, and takes the command with it.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ghostd.model.service import Limits
from ghostd.sandbox import cgroups, probe
from ghostd.sandbox.launcher import Launched, Report, Usage, session_of
from ghostd.sandbox.orders import orders
from ghostd.sandbox.rules import Cell, Plan, View, decide, open_plan

#: Enough of the output to see why a gate said no; a flood must not fill the memory or the ledger.
OUTPUT_KEPT = 64 * 1024
_CHUNK = 64 * 1024
#: Reads in a row before the clock is looked at again: a command that floods must not outrun its time.
_READS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a command ended: `status` is the exit status, minus a signal, or None where it could not be started."""

    status: int | None
    #: The last bytes of stdout and stderr together, at most as many as were asked for.
    output: bytes
    timed_out: bool
    duration_ms: int
    #: Processes that were still there at the end and were killed.
    leftovers: int
    #: Why it could not be started.
    error: str = ""
    #: Bytes of output before those that were kept.
    cut: int = 0
    #: Names of the layers that held for it.
    layers: tuple[str, ...] = ()
    #: None where it was killed before it ended.
    usage: Usage | None = None
    #: The kernel killed something of it for want of memory: its limit, where it has one.
    out_of_memory: bool = False


def run_limited(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    limits: Limits,
    timeout: float,
    on_tick: Callable[[], None] = lambda: None,
    tick: float = 1.0,
    cell: Cell | None = None,
    keep: int = OUTPUT_KEPT,
) -> Finished:
    """Run `argv` in `cwd` with nothing but `env`; `on_tick` is called about each `tick` seconds meanwhile.

    `cell` says what it may see and reach; None is no cell, limits and kill only. The last `keep` bytes of its output
    are kept. An exception of `on_tick` (the lease is lost, the caller was interrupted) kills the whole tree and goes
    on upward. Raises Cannot (sandbox-missing) where the cell's policy needs a layer that this machine lacks. Several
    threads may run commands at the same time.
    """
    plan = _plan(cell)
    begin = time.monotonic()
    tail = _Tail(keep)
    with cgroups.around(limits, plan.controllers, kill=plan.view is View.NONE) as group:
        told = orders(plan, cell, argv=argv, cwd=cwd, env=env, limits=limits, group=group)
        with Launched(told, cwd=Path("/")) as launched:
            done = _follow(launched, tail, begin + timeout, on_tick, tick)
            status = launched.end()
            report = launched.report()
            _drain(launched.output.fileno(), tail)
        lost = done and report.status is None and not report.error
        broken = lost and status >= 0
        left = (group.kill() or _kill(session_of(launched.pid))) if lost else group.kill()
        oom = group.out_of_memory()
    return Finished(
        status=None if broken else _status(report, status, done=done),
        output=bytes(tail.kept),
        timed_out=not done,
        duration_ms=round((time.monotonic() - begin) * 1000),
        leftovers=report.leftovers + left,
        error="the launcher ended without a word" if broken else report.error,
        cut=tail.cut,
        layers=plan.layers + report.layers,
        usage=report.usage,
        out_of_memory=oom,
    )


def _plan(cell: Cell | None) -> Plan:
    if cell is None or cell.policy == "off":
        # Nothing has to be known of the machine but its groups.
        return open_plan(probe.controllers())
    return decide(probe.machine(), cell.policy, network=cell.network)


def _status(report: Report, launcher: int, *, done: bool) -> int | None:
    if report.error or report.status is not None:
        return report.status
    # Killed: by us when its time was up, or with its own launcher.
    return launcher if done and launcher else -signal.SIGKILL


def _kill(pids: list[int]) -> int:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(pids)


class _Tail:
    """The end of a stream, and how much went before it."""

    def __init__(self, size: int) -> None:
        self.kept = bytearray()
        self.cut = 0
        self._size = size

    def add(self, chunk: bytes) -> None:
        self.kept += chunk
        # Cut in strides: moving the whole end for each chunk would cost its square.
        if len(self.kept) > 2 * self._size:
            self.close()

    def close(self) -> None:
        """Keep no more than was asked for."""
        over = max(0, len(self.kept) - self._size)
        del self.kept[:over]
        self.cut += over


def _follow(launched: Launched, tail: _Tail, deadline: float, on_tick: Callable[[], None], tick: float) -> bool:
    """Read the output until the command has ended and its launcher with it; False at the deadline."""
    pipe = launched.output.fileno()
    os.set_blocking(pipe, False)
    exited = os.pidfd_open(launched.pid)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            selector.register(exited, selectors.EVENT_READ)
            next_tick = time.monotonic() + tick
            while (now := time.monotonic()) < deadline:
                ready = {key.fd for key, _ in selector.select(max(0.0, min(deadline, next_tick) - now))}
                if pipe in ready and not _read(pipe, tail):
                    selector.unregister(pipe)
                if exited in ready:
                    return True
                if time.monotonic() >= next_tick:
                    on_tick()
                    next_tick = time.monotonic() + tick
        return False
    finally:
        os.close(exited)


def _drain(pipe: int, tail: _Tail) -> None:
    """Take what is left in the pipe; nobody writes any more, so it ends."""
    before = -1
    while before != (now := tail.cut + len(tail.kept)):
        before = now
        _read(pipe, tail)
    tail.close()


def _read(pipe: int, tail: _Tail) -> bool:
    """Take what is there, a bounded amount at a time; False when nobody holds the other side any more."""
    for _ in range(_READS):
        try:
            chunk = os.read(pipe, _CHUNK)
        except BlockingIOError:
            return True
        if not chunk:
            return False
        tail.add(chunk)
    return True
