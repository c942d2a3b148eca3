"""What the bridge decides: where to go on in a file that changed, when a dropped file is whole, what its end means."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from ghostd.bridges.fences import START, Mark
from ghostd.bridges.transcripts import Shape
from ghostd.model.job import State

#: So much of a file's beginning, and so much before the place that was reached, tells whether it is still the same.
SAMPLE = 1024
#: A dropped file that did not change between two looks so far apart counts as whole.
STILL = 0.2
#: Suffixes of patches in a drop folder.
PATCHES = frozenset({".json", ".yaml", ".yml"})
#: Added to a file's name for its result.
RESULT = ".result.json"
#: A name may have 255 bytes, and a number and `RESULT` have to fit behind it.
_LONGEST_NAME = 200


# Following a file -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far a file was read, and by what it is known again after a restart."""

    device: int
    inode: int
    #: SHA-256 of its first `head_size` bytes, and of the `tail_size` bytes before the mark.
    head: str
    head_size: int
    tail: str
    tail_size: int
    mark: Mark
    shape: Shape

    def as_text(self) -> str:
        """For the ledger."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> Position:
        """Back from the ledger. Raises ValueError, TypeError or KeyError for what another version wrote."""
        value = json.loads(text)
        return cls(**{**value, "mark": Mark(**value["mark"]), "shape": Shape(value["shape"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A file as it is now. `head` are its first bytes (more than a sample), `before` those before the known mark."""

    device: int
    inode: int
    size: int
    head: bytes
    before: bytes
    shape: Shape


class Course(StrEnum):
    """How to read a file that changed, and why."""

    ON = "grown"
    FIRST = "new"
    REPLACED = "replaced"
    TRUNCATED = "truncated"
    REWRITTEN = "rewritten"


def course(position: Position | None, look: Look) -> Course:
    """Only ON goes on at the known mark; everything else reads from the start."""
    if position is None:
        return Course.FIRST
    if (position.device, position.inode) != (look.device, look.inode):
        return Course.REPLACED
    if look.size < position.mark.offset:
        return Course.TRUNCATED
    same_head = _digest(look.head[: position.head_size]) == position.head
    same_tail = _digest(look.before) == position.tail
    return Course.ON if same_head and same_tail and position.shape is look.shape else Course.REWRITTEN


def moved_to(look: Look, mark: Mark, before: bytes) -> Position:
    """The position after reading up to `mark`, in front of which the bytes `before` stand."""
    head = look.head[:SAMPLE]
    return Position(
        device=look.device,
        inode=look.inode,
        head=_digest(head),
        head_size=len(head),
        tail=_digest(before),
        tail_size=len(before),
        mark=mark,
        shape=look.shape,
    )


def first_position(look: Look) -> Position:
    """The position of a file of which nothing was read."""
    return moved_to(look, START, b"")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# Drop folders ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A file in a drop folder at one look; two that are equal are the same file, unchanged."""

    name: str
    device: int
    inode: int
    size: int
    modified_ns: int
    regular: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A file that is watched for changes, and since when (monotonic) it has none."""

    seen: Seen
    since: float


class Ripeness(StrEnum):
    """What to do with a file in a drop folder."""

    TAKE = "take"
    WAIT = "wait"
    #: No patch by its name or kind: told once, left alone.
    FOREIGN = "foreign"
    IGNORE = "ignore"


def ripeness(watched: Watched, now: float) -> Ripeness:
    """Whether a file is whole and a patch by its name. Names with a dot in front are somebody's work in progress."""
    name = watched.seen.name
    if name.startswith("."):
        return Ripeness.IGNORE
    if not watched.seen.regular or suffix(name) not in PATCHES or name.endswith(RESULT):
        return Ripeness.FOREIGN
    return Ripeness.TAKE if now - watched.since >= STILL else Ripeness.WAIT


def look_again(before: Watched | None, seen: Seen, now: float) -> Watched:
    """The watch on a file after another look at it."""
    return before if before is not None and before.seen == seen else Watched(seen=seen, since=now)


def suffix(name: str) -> str:
    """`.yaml` of `a.b.YAML`."""
    stem, dot, rest = name.rpartition(".")
    return f".{rest.lower()}" if stem and dot else ""


class Shelf(StrEnum):
    """Where a file goes when all of its patches are terminal."""

    COMPLETED = ".completed"
    FAILED = ".failed"


def shelf(states: Sequence[State | None]) -> Shelf | None:
    """None while a job is on its way. `states` has None for a patch that never became a job."""
    if any(state is not None and not state.terminal for state in states):
        return None
    return Shelf.COMPLETED if states and all(state is State.APPLIED for state in states) else Shelf.FAILED


def free_name(name: str, taken: Collection[str]) -> str:
    """`name`, or with the first number that makes it free: `a.yaml`, `a.2.yaml`, `a.3.yaml`. Too long a one is cut."""
    stem, dot, rest = name.rpartition(".")
    while len(os.fsencode(stem)) > _LONGEST_NAME:
        stem = stem[:-1]
    number, candidate = 1, f"{stem}{dot}{rest}"
    while candidate in taken:
        number += 1
        candidate = f"{stem}.{number}.{rest}"
    return candidate


# When it does not work at once ----------------------------------------------------------------------------------


def pause(failures: int) -> float:
    """Seconds before the next try after `failures` in a row: a full disk or a locked ledger goes by."""
    return float(min(30.0, 0.5 * 2 ** min(failures - 1, 10)))
