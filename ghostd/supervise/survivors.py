"""What a dead keeper has left alive: found by its records and killed, so that no service ever runs twice."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ghostd.base.errors import Cannot
from ghostd.supervise import procfs
from ghostd.supervise.keeper import CHILDREN_RECORD, SELF_RECORD

#: SIGKILL works at once, but for a process in the middle of a disk operation.
_PATIENCE = 5.0


class Record(NamedTuple):
    pid: int
    start: int
    mark: str = ""


def end_survivors(folder: Path, also: Iterable[Record] = ()) -> int:
    """Kill the recorded keeper and every process of its services, and wait until they are gone; how many there were.

    `also` is what the asker itself knows of. Pid and start time have to agree, so nobody else is hit. Raises
    Cannot(survivors) rather than let a service run twice.
    """
    keeper, children = _recorded(folder)
    for record in keeper:
        if procfs.lives(record.pid, record.start):
            procfs.kill(record.pid)
    wanted = {*keeper, *children, *also}
    killed: set[int] = set()
    end = time.monotonic() + _PATIENCE
    while (found := _living(wanted)) and time.monotonic() < end:
        killed |= found
        for pid in found:
            procfs.kill(pid)
        time.sleep(0.002)
    if left := _living(wanted):
        pids = ", ".join(map(str, sorted(left)))
        raise Cannot(
            f"start services anew: {pids} of an earlier run can not be killed",
            kind="survivors",
            hint="they hang in the kernel, most likely on a disk; look there",
            pids=sorted(left),
        )
    for name in (SELF_RECORD, CHILDREN_RECORD):
        (folder / name).unlink(missing_ok=True)
    return len(killed)


def _recorded(folder: Path) -> tuple[set[Record], set[Record]]:
    return (
        {Record(one["pid"], one["start"]) for one in _read(folder / SELF_RECORD)},
        {Record(one["pid"], one["start"], one["mark"]) for one in _read(folder / CHILDREN_RECORD)},
    )


def _read(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of this boot. A torn one was about a process that had not been let go on yet."""
    with contextlib.suppress(FileNotFoundError):
        for line in path.read_bytes().splitlines():
            with contextlib.suppress(ValueError):
                content = json.loads(line)
                if isinstance(content, dict) and content.get("boot") == procfs.boot():
                    yield content


def _living(records: set[Record]) -> set[int]:
    """The recorded processes, who is in their sessions or bears their marks, and all below these."""
    starts = {record.pid: record.start for record in records}
    marks = {record.mark for record in records} - {""}
    everybody = procfs.everybody()
    roots = {pid for pid, one in everybody.items() if _is_one(one, everybody, starts) or procfs.mark(pid) in marks}
    roots.discard(os.getpid())
    return roots.union(*(procfs.below(pid, everybody) for pid in roots)) - {os.getpid()}


def _is_one(one: procfs.Process, everybody: dict[int, procfs.Process], starts: dict[int, int]) -> bool:
    if one.session not in starts or one.start < starts[one.session]:
        return False
    # A session outlives its leader and keeps its number taken; a living leader has to be the one we know.
    leader = everybody.get(one.session)
    return leader is None or leader.start == starts[one.session]
