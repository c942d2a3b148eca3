"""Visit the points of an operation: stop it there, do it again, and tell what is wrong then."""

from __future__ import annotations

import errno
import json
import os
import shutil
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from operations import OPERATIONS, Operation, problems
from stopping import CALLER_DIES, DIE, GO, GO_AND_DIE, Decide, Point, watched


def _at(point: int, said: int) -> Decide:
    return lambda here: said if here.number == point else GO


def _from(point: int, error: int) -> Decide:
    """The call at the point fails, and all later ones of its kind, as on a disk that stays full."""
    kinds: set[str] = set()

    def decide(here: Point) -> int:
        if here.number == point:
            kinds.add(here.call)
        return error if here.call in kinds else GO

    return decide


#: What happens at a point.
MODES: Mapping[str, Callable[[int], Decide]] = {
    "kill": lambda point: _at(point, DIE),
    "kill-after": lambda point: _at(point, GO_AND_DIE),
    "kill-one": lambda point: _at(point, CALLER_DIES),
    "ENOSPC": lambda point: _at(point, errno.ENOSPC),
    "ENOSPC-sticky": lambda point: _from(point, errno.ENOSPC),
    "EIO": lambda point: _at(point, errno.EIO),
}


@dataclass(frozen=True, slots=True)
class Visit:
    """One point of one operation, in one mode, in the folder of one slot."""

    operation: str
    mode: str
    point: int
    slot: Path


@dataclass(frozen=True, slots=True)
class Found:
    visit: Visit
    call: str
    problems: tuple[str, ...]


def prepare(operation: Operation, slot: Path) -> None:
    """Make the folder of a slot ready. It always has the same path, because a ledger knows its repository by path."""
    slot.mkdir(parents=True)
    if apart(lambda: _prepared(operation, slot)):
        raise RuntimeError(f"cannot prepare {operation.name}: see above")
    shutil.copytree(slot / "now", slot / "pristine", symlinks=True)


def _prepared(operation: Operation, slot: Path) -> int:
    operation.prepare(slot / "now")
    return 0


def count(operation: Operation, slot: Path) -> list[Point]:
    """Every point of the operation, which is let through."""
    points: list[Point] = []
    _renew(slot)

    def note(point: Point) -> int:
        points.append(point)
        return GO

    ended = watched(_quietly(lambda: operation.act(slot / "now")), note)
    if ended.status or ended.late:
        raise RuntimeError(f"{operation.name} ended with status {ended.status} though nothing stopped it")
    return points


def visit(here: Visit) -> Found:
    """Stop the operation at the point, then do it again and look."""
    operation = OPERATIONS[here.operation]
    calls: list[str] = []
    decide = MODES[here.mode](here.point)

    def watching(point: Point) -> int:
        if point.number == here.point:
            calls.append(f"{point.call} {point.file}")
        return decide(point)

    _renew(here.slot)
    ended = watched(_quietly(lambda: operation.act(here.slot / "now")), watching)
    said = here.slot / "problems.json"
    said.unlink(missing_ok=True)
    apart(lambda: _looked(operation, here.slot, said))
    found = json.loads(said.read_text()) if said.exists() else ["the look at it failed: see above"]
    late = ["it hung"] if ended.late else []
    return Found(here, calls[0] if calls else "not reached", tuple(late + found))


def _looked(operation: Operation, slot: Path, said: Path) -> int:
    said.write_text(json.dumps(problems(operation, slot / "now")))
    return 0


def _renew(slot: Path) -> None:
    shutil.rmtree(slot / "now", ignore_errors=True)
    shutil.copytree(slot / "pristine", slot / "now", symlinks=True)


def apart(act: Callable[[], int]) -> int:
    """Do something in a child, so that nothing of it stays in this process; its exit status."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = act()
        except BaseException:  # noqa: BLE001 - the child's door: whatever it was is told, and the child ends here
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _quietly(act: Callable[[], int]) -> Callable[[], int]:
    """What a stopped command says is of no interest."""

    def quiet() -> int:
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        return act()

    return quiet
