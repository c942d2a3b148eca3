"""What /proc tells of processes: who lives, whose child it is, and which service it came from.

The keeper imports this, so it needs nothing but `os` and stays tiny.
"""

from __future__ import annotations

import os
import signal
from typing import NamedTuple

#: In the environment of every service: `<name>:<nonce>`. It survives forks, so it tells where an orphan came from.
MARK = "GHOST_CHILD"
_GONE = ("Z", "X")


class Process(NamedTuple):
    """One line of /proc/<pid>/stat. `start` (ticks since boot) and the pid together name one process for ever."""

    pid: int
    state: str
    parent: int
    session: int
    start: int


def look(pid: int) -> Process | None:
    """The process with this pid, None when it is gone or only waits to be reaped."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - pathlib would triple the keeper's imports
            text = file.read()
    except OSError:
        return None
    # The command's name stands in parentheses and may itself hold blanks and parentheses.
    fields = text[text.rindex(b")") + 2 :].split()
    state = fields[0].decode()
    if state in _GONE:
        return None
    return Process(pid, state, int(fields[1]), int(fields[3]), int(fields[19]))


def lives(pid: int, start: int) -> bool:
    """Whether the very process that was recorded still runs; a later one with its pid does not count."""
    process = look(pid)
    return process is not None and process.start == start


def everybody() -> dict[int, Process]:
    """All processes that live now."""
    found = (look(int(name)) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208 - as above
    return {process.pid: process for process in found if process is not None}


def mark(pid: int) -> str:
    """The service mark in a process's first environment, "" where there is none or it is not ours to read."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123 - as above
            variables = file.read().split(b"\0")
    except OSError:
        return ""
    wanted = MARK.encode() + b"="
    return next((os.fsdecode(item[len(wanted) :]) for item in variables if item.startswith(wanted)), "")


def children(pid: int) -> set[int] | None:
    """The pids of a single-threaded process's children, dead ones included; None where the kernel does not tell."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb") as file:  # noqa: PTH123 - as above
            return {int(word) for word in file.read().split()}
    except OSError:
        return None


def below(pid: int, among: dict[int, Process]) -> set[int]:
    """All descendants of a process."""
    offspring: dict[int, list[int]] = {}
    for process in among.values():
        offspring.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    todo = [pid]
    while todo:
        for child in offspring.get(todo.pop(), ()):
            if child not in found:
                found.add(child)
                todo.append(child)
    return found


def kill(pid: int, sig: int = signal.SIGKILL) -> None:
    """Signal a process; one that is gone or not ours is no error."""
    try:
        os.kill(pid, sig)
    except (ProcessLookupError, PermissionError):
        return


def boot() -> str:
    """This boot's id: start times of another boot mean nothing."""
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:  # noqa: PTH123 - as above
            return file.read().decode().strip()
    except OSError:
        return ""
