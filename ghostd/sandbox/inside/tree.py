"""Find and kill everything below this process. It has to be a subreaper: then nothing below it can leave."""

from __future__ import annotations

import os

_STOP, _KILL = 19, 9
#: A bomb that forks while it is hunted is found in the next round; this many rounds stop every one that was seen.
_ROUNDS = 1000


def kill_below() -> int:
    """Kill all processes below this one and reap them; how many were alive.

    Frozen first and killed then: a process that is stopped forks no more, so the rounds come to an end.
    """
    known: set[int] = set()
    for _ in range(_ROUNDS):
        fresh = set(_below()) - known
        if not fresh:
            break
        known |= fresh
        for pid in fresh:
            _signal(pid, _STOP)
    for pid in known:
        _signal(pid, _KILL)
    while _reaped():
        # What was a grandchild is our child now.
        for pid in _below():
            _signal(pid, _KILL)
    return len(known)


def reap() -> tuple[int, int]:
    """Wait for any child, and take its status: in this process all of them are the command's."""
    ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    return os.waitpid(ended.si_pid, 0)


def _reaped() -> bool:
    try:
        reap()
    except ChildProcessError:
        return False
    return True


def others() -> int:
    """How many processes live in this PID namespace beside its first one, which is this one. Needs its own /proc."""
    return sum(1 for name in os.listdir("/proc") if name.isdigit() and name != "1" and _alive(int(name)))


def _below() -> list[int]:
    """Living processes below this one."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            state, parent = _state(int(name))
            if state not in "ZX":
                parents[int(name)] = parent
    found, rim = [], {os.getpid()}
    while rim:
        rim = {pid for pid, parent in parents.items() if parent in rim}
        found += sorted(rim)
    return found


def _alive(pid: int) -> bool:
    return _state(pid)[0] not in "ZX"


def _state(pid: int) -> tuple[str, int]:
    """The state letter and the parent, proc_pid_stat(5); X for one that is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b") ")[2].split()
    except OSError:
        return "X", 0
    return fields[0].decode(), int(fields[1])


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return
