"""Run gates on a tree: each in a fresh throw-away copy, limited and timed, nothing of it left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ghostd.base.files import make_dir
from ghostd.base.log import printable
from ghostd.model.settings import GateSettings
from ghostd.pipeline.rules import Said, Verdict
from ghostd.pipeline.workshop import is_alive
from ghostd.repo import worktree
from ghostd.repo.git import Repository
from ghostd.sandbox.layers import Finished, run_limited

#: A gate finds its tools where the user does, and nothing else of our environment.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "VIRTUAL_ENV")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where gates run, and what is called while they do (to renew the lease, to feed the watchdog)."""

    folder: Path
    owner: str
    on_tick: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is examined: a tree of a repository, and the facts that a gate may read from its environment."""

    repo: Repository
    tree: str
    facts: dict[str, str]


def run_gate(gate: GateSettings, subject: Subject, bench: Bench, *, max_retries: int, deadline: float) -> Verdict:
    """The gate's verdict; one that fails is run again up to `max_retries` times. `deadline` is monotonic."""
    verdict = _once(gate, subject, bench, deadline)
    while verdict.said is Said.FAILED and verdict.runs <= max_retries:
        again = _once(gate, subject, bench, deadline)
        verdict = replace(again, runs=verdict.runs + 1, duration_ms=verdict.duration_ms + again.duration_ms)
    return verdict


def _once(gate: GateSettings, subject: Subject, bench: Bench, deadline: float) -> Verdict:
    with throw_away(bench) as folder:
        files, home = make_dir(folder / "files"), make_dir(folder / "home")
        worktree.export(subject.repo, subject.tree, files)
        finished = run_limited(
            gate.run,
            cwd=files,
            # The copy lies inside of somebody's repository: no git of a gate may find that one by looking upward.
            env=_environment(home) | subject.facts | {"GHOST_GATE": gate.name, "GIT_CEILING_DIRECTORIES": str(folder)},
            limits=gate.limits,
            timeout=max(0.0, min(gate.timeout, deadline - time.monotonic())),
            on_tick=bench.on_tick,
        )
    return _verdict(gate, finished)


def _environment(home: Path) -> dict[str, str]:
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    # Python writes no .pyc into the copy, so that a gate which looks at its own folder sees the tree only.
    return passed | {"HOME": str(home), "TMPDIR": str(home), "CI": "true", "PYTHONDONTWRITEBYTECODE": "1"}


def _verdict(gate: GateSettings, finished: Finished) -> Verdict:
    if finished.status is None:
        said, error = Said.ERROR, finished.error
    elif finished.timed_out:
        said, error = Said.TIMEOUT, f"it was killed after {gate.timeout:g} s"
    elif finished.status in (126, 127) and gate.run[0] == "/bin/sh":
        # A shell's own words for "can not run that": a missing tool is no verdict on the patch.
        said, error = Said.ERROR, f"the shell could not run its command (exit status {finished.status})"
    else:
        said, error = (Said.PASSED if finished.status == 0 else Said.FAILED), ""
    return Verdict(
        name=gate.name,
        said=said,
        required=gate.required,
        duration_ms=finished.duration_ms,
        status=finished.status,
        output=printable(finished.output.decode(errors="replace")),
        error=error,
    )


@contextlib.contextmanager
def throw_away(bench: Bench) -> Iterator[Path]:
    """A folder of our own, gone at the end. A kill leaves it; its name tells whose it was, and `recover` removes it."""
    folder = make_dir(bench.folder / f"{bench.owner.replace(':', '_')}~{time.monotonic_ns()}")
    try:
        yield folder
    finally:
        remove(folder)


def in_use(name: str) -> bool:
    """Whether a throw-away folder of this name belongs to a process that still runs."""
    match name.rpartition("~")[0].rsplit("_", 2):
        case [host, pid, start] if pid.isdigit():
            return is_alive(f"{host}:{pid}:{start}")
        case _:
            return False


def remove(folder: Path) -> None:
    """Remove a folder whatever a gate did to its permissions."""
    for above, names, _ in os.walk(folder):
        for path in (Path(above, name) for name in names):
            if not path.is_symlink():
                path.chmod(stat.S_IRWXU)
    shutil.rmtree(folder)
