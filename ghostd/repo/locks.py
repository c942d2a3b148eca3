"""Whose lock is it? Git's locks are files without a name in them; the kernel knows who is near."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ghostd.base.errors import Cannot
from ghostd.base.log import one_line

PROC = Path("/proc")
#: How often a waiting writer looks again.
PAUSE = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process that may hold a lock."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"process {self.pid} ({self.command})"


def locked(what: str, lock: Path, places: Iterable[Path]) -> Cannot:
    """The error for a lock that did not go away in time: who holds it, and what to do."""
    near = holder(lock, places)
    if near is None:
        who, hint = "left by a process that is gone", f"if no git is at work there, remove it: rm {lock}"
    else:
        who, hint = f"held by {near}", "let it finish, then try again"
    details = {"lock": str(lock), "holder": near.pid if near else None}
    return Cannot(f"{what}: {lock} is {who}", kind="git-locked", hint=hint, **details)


def holder(lock: Path, places: Iterable[Path]) -> Process | None:
    """Who has the lock file open; else a git that works in one of `places`: git closes its locks while it thinks."""
    written = author(lock)
    if written is not None:
        return _process(written)
    wanted = os.path.realpath(lock)
    roots = [os.path.realpath(place) for place in places]
    near = None
    for pid in _pids():
        if wanted in _open_files(pid):
            return _process(pid)
        if near is None and _is_git(pid) and _works_in(pid, roots):
            near = pid
    return _process(near) if near else None


def _pids() -> Iterator[int]:
    own = os.getpid()
    return (pid for entry in PROC.iterdir() if entry.name.isdigit() and (pid := int(entry.name)) != own)


def _open_files(pid: int) -> set[str]:
    """Processes come and go, and those of others are closed to us: then there is nothing to know."""
    found = set()
    with contextlib.suppress(OSError):
        for fd in (PROC / str(pid) / "fd").iterdir():
            with contextlib.suppress(OSError):
                found.add(str(fd.readlink()))
    return found


def _is_git(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return (PROC / str(pid) / "comm").read_bytes().startswith(b"git")
    return False


def _works_in(pid: int, roots: Iterable[str]) -> bool:
    with contextlib.suppress(OSError):
        cwd = str((PROC / str(pid) / "cwd").readlink())
        return any(cwd == root or cwd.startswith(root.rstrip("/") + "/") for root in roots)
    return False


def _process(pid: int) -> Process | None:
    with contextlib.suppress(OSError):
        words = (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        return Process(pid=pid, command=one_line(words, 120))
    return None


# --- locks of our own -------------------------------------------------------------------------------------------


def _signature(pid: int) -> bytes:
    """Names one process for good: a pid comes again, a pid with its start time does not."""
    with contextlib.suppress(OSError, IndexError):
        # The second field is the command in brackets and may hold anything; the start time is the 20th after it.
        start = (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()[19]
        return b"ghost %d %s\n" % (pid, start)
    return b""


def author(lock: Path) -> int | None:
    """The process that took a lock of our own kind; None for any other lock, and 0 where that process is gone."""
    try:
        text = lock.read_bytes()[:100]
    except OSError:
        return None
    word, _, rest = text.partition(b" ")
    pid = rest.partition(b" ")[0]
    if word != b"ghost" or not pid.isdigit():
        return None
    return int(pid) if _signature(int(pid)) == text else 0


@contextlib.contextmanager
def holding(lock: Path, timeout: float) -> Iterator[bool]:
    """Hold one of Git's lock files for the block; False where another kept it for all of `timeout`.

    The file appears with our name in it, in one step, so that one left by a kill is known for ours.
    """
    # On plain names: this is done for each patch.
    name, claim = str(lock), f"{lock.parent}/ghost-lock-{os.getpid()}"
    try:
        _claim(claim)
        taken = _link(claim, name, timeout)
    finally:
        _remove(claim)
    try:
        yield taken
    finally:
        if taken:
            _remove(name)


def _claim(name: str) -> None:
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        os.write(fd, _own_signature(os.getpid()))
    finally:
        os.close(fd)


@functools.cache
def _own_signature(pid: int) -> bytes:
    return _signature(pid)


def _remove(name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name)


def _link(claim: str, lock: str, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while True:
        try:
            os.link(claim, lock)
        except FileExistsError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(PAUSE)
        else:
            return True
