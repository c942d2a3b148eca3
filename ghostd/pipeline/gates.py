"""Run gates on a tree, side by side: each in a copy of its own, shut in, limited and timed, and nothing of it stays.

Threads only wait for the commands. The ledger and the lease belong to the thread that asks, which is woken each second.
A kill leaves copies and homes of a dead process, which the next start takes over or removes (`recover`), and no row.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from ghostd.base.files import make_dir
from ghostd.base.log import printable
from ghostd.model.settings import GateSettings
from ghostd.pipeline import audit
from ghostd.pipeline.rules import Said, Verdict
from ghostd.pipeline.task import Answer, Ran, Task
from ghostd.pipeline.workshop import is_alive
from ghostd.repo import rubbish
from ghostd.repo.worktree import Pool
from ghostd.sandbox.cell import Cell
from ghostd.sandbox.layers import Finished, run_limited

#: A gate finds its tools where the user does, and nothing else of our environment.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "VIRTUAL_ENV")
#: All of an output is kept up to this; a flood must not fill the memory or the ledger.
OUTPUT_CAP = 16 << 20
#: So much of its end goes on in RESULT, the summary and the proof.
OUTPUT_TAIL = 64 << 10
#: Seconds between two ticks of the thread that asks, and between two looks of the others whether they shall stop.
_TICK, _LOOK = 1.0, 0.2

Made = TypeVar("Made")


class Stopped(Exception):  # noqa: N818 - a fact
    """Whoever asked for the gates does not want them any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where gates run, and what is called while they do (to renew the lease, to feed the watchdog)."""

    folder: Path
    owner: str
    on_tick: Callable[[], None]
    #: Copies of trees of the one repository that is worked on.
    pool: Pool
    #: Set when all that runs here shall end.
    stop: threading.Event = field(default_factory=threading.Event)

    def look(self) -> None:
        """Called in the threads now and then. Raises Stopped, which kills what the thread runs."""
        if self.stop.is_set():
            raise Stopped


def run_all(tasks: Sequence[Task], bench: Bench) -> Generator[tuple[int, Answer]]:
    """Run gates side by side; yields (index of the task, answer) as they end. One that can not be run ends all."""
    yield from side_by_side([lambda task=task: run_gate(task, bench) for task in tasks], bench)  # type: ignore[misc]


def side_by_side(works: Sequence[Callable[[], Made]], bench: Bench) -> Generator[tuple[int, Made]]:
    """Do works in as many threads as there are cores; yields (index, what it made) in the order in which they end.

    Whatever ends the caller's interest (an exception of a work or of the tick, a closed generator) stops them all.
    """
    cores = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(max(1, min(cores, len(works)))) as threads:
        waiting = {threads.submit(work): index for index, work in enumerate(works)}
        try:
            while waiting:
                done, _ = wait(waiting, timeout=_TICK, return_when=FIRST_COMPLETED)
                bench.on_tick()
                for each in sorted(done, key=lambda one: waiting[one]):
                    yield waiting.pop(each), each.result()
        except BaseException:
            bench.stop.set()
            for each in waiting:
                each.cancel()
            raise


def run_gate(task: Task, bench: Bench) -> Answer:
    """The gate's verdict; one that fails is run again up to `max_retries` times."""
    runs = [_once(task, bench)]
    while runs[-1].verdict.said is Said.FAILED and len(runs) <= task.max_retries:
        runs.append(_once(task, bench))
    return answer(task, runs)


def answer(task: Task, runs: Sequence[Ran]) -> Answer:
    """What a gate says after all of its runs: the last one decides, and the ones before make it a flake."""
    last = runs[-1].verdict
    verdict = replace(
        last,
        runs=len(runs),
        duration_ms=sum(run.verdict.duration_ms for run in runs),
        tree=task.subject.tree,
        flake=len(runs) > 1 and last.said is Said.PASSED,
        audit=audit.record(task, environment(Path()), runs) if task.audited else None,
    )
    return Answer(verdict=verdict, runs=tuple(runs))


def _once(task: Task, bench: Bench) -> Ran:
    with bench.pool.checkout(task.subject.tree) as files:
        finished = run_in(files, task, bench)
    return judged(task.gate, finished)


def run_in(files: Path, task: Task, bench: Bench) -> Finished:
    """Run a gate's command in a folder, with a home of its own that is gone at the end."""
    gate, facts = task.gate, dict(task.subject.facts)
    borrowed = _borrowed(files, task)
    with throw_away(bench) as home:
        return run_limited(
            gate.run,
            cwd=files,
            # The copy lies inside of somebody's repository: no git of a gate may find that one by looking upward.
            env=environment(home) | facts | {"GIT_CEILING_DIRECTORIES": str(files.parent)},
            limits=gate.limits,
            timeout=max(0.0, min(gate.timeout, task.deadline - time.monotonic())),
            on_tick=bench.look,
            tick=_LOOK,
            cell=Cell(writable=(files, home), readable=borrowed, network=gate.network, policy=task.policy),
            keep=OUTPUT_CAP,
        )


def _borrowed(files: Path, task: Task) -> tuple[Path, ...]:
    """Link what the gate borrows into the copy, where the tree has nothing of that name; where each really is.

    The copy's keeper takes the links away again, as anything else that a gate leaves.
    """
    lent = []
    for path in task.gate.borrow if task.lender is not None else ():
        here, there = files / path, task.lender / path  # type: ignore[operator]  # said above
        # A symlink in the tree must not lead the new one out of the copy.
        inside = here.parent.is_dir() and here.parent.resolve().is_relative_to(files.resolve())
        if inside and there.exists() and not os.path.lexists(here):
            here.symlink_to(there.resolve())
            lent.append(there.resolve())
    return tuple(lent)


def environment(home: Path) -> dict[str, str]:
    """What every gate's environment holds beside the facts of its patch."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    # Python writes no .pyc into the copy, so that a gate which looks at its own folder sees the tree only.
    return passed | {"HOME": str(home), "TMPDIR": str(home), "CI": "true", "PYTHONDONTWRITEBYTECODE": "1"}


def judged(gate: GateSettings, finished: Finished) -> Ran:
    """What the end of a gate's command means."""
    if finished.status is None:
        said, error = Said.ERROR, finished.error
    elif finished.timed_out:
        said, error = Said.TIMEOUT, f"it was killed after {finished.duration_ms / 1000:.3g} s"
    elif finished.status and finished.out_of_memory:
        said, error = Said.FAILED, "it ran out of memory"
    elif finished.status in (126, 127) and gate.run[0] == "/bin/sh":
        # A shell's own words for "can not run that": a missing tool is no verdict on the patch.
        said, error = Said.ERROR, f"the shell could not run its command (exit status {finished.status})"
    else:
        said, error = (Said.PASSED if finished.status == 0 else Said.FAILED), ""
    verdict = Verdict(
        name=gate.name,
        said=said,
        required=gate.required,
        duration_ms=finished.duration_ms,
        status=finished.status,
        digest=hashlib.sha256(finished.output).hexdigest(),
        output=printable(finished.output[-OUTPUT_TAIL:].decode(errors="replace")),
        error=error,
    )
    return Ran(verdict=verdict, finished=finished)


@contextlib.contextmanager
def throw_away(bench: Bench) -> Iterator[Path]:
    """A folder of our own, gone at the end. A kill leaves it; its name tells whose it was, and `recover` removes it."""
    name = f"{bench.owner.replace(':', '_')}~{time.monotonic_ns()}-{threading.get_ident()}"
    folder = make_dir(bench.folder / name)
    try:
        yield folder
    finally:
        rubbish.remove(folder)


def in_use(name: str) -> bool:
    """Whether a throw-away folder of this name belongs to a process that still runs."""
    match name.rpartition("~")[0].rsplit("_", 2):
        case [host, pid, start] if pid.isdigit():
            return is_alive(f"{host}:{pid}:{start}")
        case _:
            return False
