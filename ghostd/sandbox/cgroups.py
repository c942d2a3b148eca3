"""Control groups: limits for a whole tree of processes, and its list. cgroups(7), versions 1 and 2.

A group of ours is made below the one that we are in, so that no limit from outside is left. A kill of this process
leaves an empty group; its name tells whose it was, and the next process that makes one removes it.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ghostd.model.service import Limits

_MOUNTS, _OURS = Path("/proc/self/mountinfo"), Path("/proc/self/cgroup")
_PREFIX, _KILL = "ghost-cell", "kill"
_PERIOD = 100_000
_ROUNDS = 200
_number = itertools.count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A folder of the group file system in which we may make groups."""

    folder: Path
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The groups of one command."""

    folders: tuple[Path, ...]
    #: (file, text) that the command's first process writes to be in them; itself, because that is quick.
    joins: tuple[tuple[str, str], ...]

    def kill(self) -> int:
        """Kill whatever is still in them; how many processes that were."""
        return sum(_kill(folder) for folder in self.folders)

    def out_of_memory(self) -> bool:
        """Whether the kernel killed something in them for want of memory."""
        return any(_oom_kills(folder) for folder in self.folders)


NO_GROUP = Group(folders=(), joins=())


@functools.cache
def slots() -> dict[str, Slot]:
    """Where groups with each controller can be made, found by making one; `kill` is any group of version 2."""
    _, where = _hierarchies()
    usable = {name: slot for name, slot in where.items() if _try(name, slot)}
    for folder in {slot.folder for slot in usable.values()}:
        _sweep(folder)
    return usable


def why() -> str:
    """What the machine has, in words."""
    versions = sorted({slot.version for name, slot in slots().items() if name != _KILL})
    if not versions:
        return "no controller of ours: the group that we are in is not writable, or has none to give"
    return "cgroup " + " and ".join(f"v{version}" for version in versions)


@contextlib.contextmanager
def around(limits: Limits, controllers: frozenset[str], *, kill: bool) -> Iterator[Group]:
    """Groups with these limits for one command, gone at the end; `kill` makes one where no limit asks for it."""
    wanted = {name: value for name, value in _limits(limits).items() if name in controllers and value is not None}
    names = [*wanted, *([_KILL] if kill and _KILL in slots() else [])]
    if not names:
        yield NO_GROUP
        return
    label = f"{_PREFIX}-{os.getpid()}-{_start(os.getpid())}-{next(_number)}"
    folders = {slots()[name].folder / label: slots()[name].version for name in names}
    try:
        for folder in folders:
            folder.mkdir()
        for name, value in wanted.items():
            _set(name, slots()[name].folder / label, slots()[name].version, value)
        yield Group(folders=tuple(folders), joins=tuple(_join(folder, v) for folder, v in folders.items()))
    finally:
        for folder in folders:
            _remove(folder)


def _limits(limits: Limits) -> dict[str, float | None]:
    return {"memory": limits.memory, "pids": limits.pids, "cpu": limits.cpu}


def _join(folder: Path, version: int) -> tuple[str, str]:
    # "0" is the writer itself; `tasks` moves one thread, without the kernel-wide lock that cgroup.procs takes.
    return str(folder / ("tasks" if version == 1 else "cgroup.procs")), "0"


def _set(controller: str, folder: Path, version: int, value: float) -> None:
    whole = str(int(value))
    quota = str(max(1000, int(value * _PERIOD)))
    files = {
        ("memory", 1): (("memory.limit_in_bytes", whole), ("memory.memsw.limit_in_bytes", whole)),
        ("memory", 2): (("memory.max", whole), ("memory.swap.max", "0"), ("memory.oom.group", "1")),
        ("pids", 1): (("pids.max", whole),),
        ("pids", 2): (("pids.max", whole),),
        ("cpu", 1): (("cpu.cfs_period_us", str(_PERIOD)), ("cpu.cfs_quota_us", quota)),
        ("cpu", 2): (("cpu.max", f"{quota} {_PERIOD}"),),
    }
    (first, text), *more = files[controller, version][::-1] if controller == "cpu" else files[controller, version]
    (folder / first).write_text(text, "ascii")
    for name, value_text in more:
        if (folder / name).exists():
            (folder / name).write_text(value_text, "ascii")


def _try(controller: str, slot: Slot) -> bool:
    """Whether a group with this controller can really be made and limited."""
    probe = slot.folder / f"{_PREFIX}-{os.getpid()}-{_start(os.getpid())}-try-{controller}"
    try:
        if slot.version != 1 and controller != _KILL:
            _enable(slot.folder, controller)
        probe.mkdir()
    except OSError:
        return False
    try:
        if controller == _KILL:
            return (probe / "cgroup.kill").exists()
        _set(controller, probe, slot.version, {"memory": 1 << 30, "pids": 64.0, "cpu": 1.0}[controller])
        return True
    except OSError:
        return False
    finally:
        probe.rmdir()


def _enable(folder: Path, controller: str) -> None:
    """Version 2: let groups below `folder` have the controller. Refused while processes are in `folder` itself."""
    switch = folder / "cgroup.subtree_control"
    if controller not in switch.read_text("ascii").split():
        switch.write_text(f"+{controller}", "ascii")


def _hierarchies() -> tuple[dict[str, str], dict[str, Slot]]:
    """Our own group in each hierarchy, and from it the candidates by controller."""
    ours: dict[str, str] = {}
    for line in _lines(_OURS):
        _, controllers, path = line.split(":", 2)
        ours |= dict.fromkeys(controllers.split(","), path)
    where: dict[str, Slot] = {}
    for line in _lines(_MOUNTS):
        fields, _, rest = line.partition(" - ")
        root, point = fields.split()[3:5]
        kind, _, options = rest.split(" ", 2)
        if kind == "cgroup":
            for name in {"memory", "pids", "cpu"} & set(options.split(",")) & set(ours):
                where[name] = Slot(folder=_inside(point, root, ours[name]), version=1)
        elif kind == "cgroup2" and "" in ours:
            where |= _unified(_inside(point, root, ours[""])) | where
    return ours, where


def _unified(own: Path) -> dict[str, Slot]:
    """Version 2: controllers go to groups below one that has no process itself, which may be the one above ours."""
    found = {_KILL: Slot(folder=own, version=2)}
    for folder in (own, own.parent):
        with contextlib.suppress(OSError):
            there = (folder / "cgroup.controllers").read_text("ascii").split()
            given = (folder / "cgroup.subtree_control").read_text("ascii").split()
            empty = not (folder / "cgroup.procs").read_text("ascii").strip()
            for name in {"memory", "pids", "cpu"} & set(there):
                if name not in found and (name in given or empty) and os.access(folder / "cgroup.procs", os.W_OK):
                    found[name] = Slot(folder=folder, version=2)
    return found


def _inside(point: str, root: str, path: str) -> Path:
    """A group's folder: its path is told from the hierarchy's root, of which the mount may show a part only."""
    return Path(point) / os.path.relpath(path, root)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return []


def _kill(folder: Path) -> int:
    """Kill all in one group: at one stroke where the kernel can, else round by round."""
    seen: set[int] = set()
    for _ in range(_ROUNDS):
        pids = {int(word) for word in _lines(folder / "cgroup.procs")}
        if not pids:
            break
        seen |= pids
        with contextlib.suppress(OSError):
            (folder / "cgroup.kill").write_text("1", "ascii")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.001)
    return len(seen)


def _remove(folder: Path) -> None:
    """Remove a group; what was killed a moment ago is counted in it until the kernel has cleared it away."""
    for _ in range(_ROUNDS):
        try:
            folder.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError:
            _kill(folder)
            time.sleep(0.001)


def _oom_kills(folder: Path) -> bool:
    told = [*_lines(folder / "memory.oom_control"), *_lines(folder / "memory.events")]
    return any(line.startswith("oom_kill ") and line != "oom_kill 0" for line in told)


def _sweep(folder: Path) -> None:
    """Remove the groups of processes that are gone; one that is not empty belongs to somebody."""
    for left in folder.glob(f"{_PREFIX}-*"):
        pid, start = left.name.removeprefix(_PREFIX + "-").split("-")[:2]
        if pid.isdigit() and _start(int(pid)) != start:
            with contextlib.suppress(OSError):
                left.rmdir()


def _start(pid: int) -> str:
    """When a process began, in ticks since the boot, proc_pid_stat(5); "" for one that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(") ")[2].split()[19]
    except OSError:
        return ""
