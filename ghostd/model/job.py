"""A job: one change on its way through the queue, and the table of the states it can be in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What a job does. Every change is a job, so that all share one queue, one lease, one recovery."""

    PATCH = "patch"
    ROLLBACK = "rollback"
    FREEZE = "freeze"
    THAW = "thaw"
    RESTORE = "restore"


class State(StrEnum):
    """Where a job is. The last four are terminal."""

    QUEUED = "queued"
    HELD = "held"
    RUNNING = "running"
    APPLIED = "applied"
    REJECTED = "rejected"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = frozenset({State.APPLIED, State.REJECTED, State.FAILED, State.CANCELLED})


class Happening(StrEnum):
    """What can happen to a job."""

    CLAIM = "claim"
    APPLY = "apply"
    REJECT = "reject"
    FAIL = "fail"
    RETRY = "retry"
    LEASE_LOST = "lease-lost"
    HOLD = "hold"
    RELEASE = "release"
    CANCEL = "cancel"
    REQUEUE = "requeue"


#: The whole state machine: every (state, happening) has a cell; None is an illegal transition.
TRANSITIONS: Mapping[tuple[State, Happening], State | None] = {
    (State.QUEUED, Happening.CLAIM): State.RUNNING,
    (State.QUEUED, Happening.APPLY): None,
    (State.QUEUED, Happening.REJECT): None,
    (State.QUEUED, Happening.FAIL): None,
    (State.QUEUED, Happening.RETRY): None,
    (State.QUEUED, Happening.LEASE_LOST): None,
    (State.QUEUED, Happening.HOLD): State.HELD,
    (State.QUEUED, Happening.RELEASE): None,
    (State.QUEUED, Happening.CANCEL): State.CANCELLED,
    (State.QUEUED, Happening.REQUEUE): None,
    (State.HELD, Happening.CLAIM): None,
    (State.HELD, Happening.APPLY): None,
    (State.HELD, Happening.REJECT): None,
    (State.HELD, Happening.FAIL): None,
    (State.HELD, Happening.RETRY): None,
    (State.HELD, Happening.LEASE_LOST): None,
    (State.HELD, Happening.HOLD): None,
    (State.HELD, Happening.RELEASE): State.QUEUED,
    (State.HELD, Happening.CANCEL): State.CANCELLED,
    (State.HELD, Happening.REQUEUE): None,
    (State.RUNNING, Happening.CLAIM): None,
    (State.RUNNING, Happening.APPLY): State.APPLIED,
    (State.RUNNING, Happening.REJECT): State.REJECTED,
    (State.RUNNING, Happening.FAIL): State.FAILED,
    (State.RUNNING, Happening.RETRY): State.QUEUED,
    (State.RUNNING, Happening.LEASE_LOST): State.QUEUED,
    (State.RUNNING, Happening.HOLD): None,
    (State.RUNNING, Happening.RELEASE): None,
    (State.RUNNING, Happening.CANCEL): None,
    (State.RUNNING, Happening.REQUEUE): None,
    **{(state, happening): None for state in TERMINAL for happening in Happening},
    (State.REJECTED, Happening.REQUEUE): State.QUEUED,
    (State.FAILED, Happening.REQUEUE): State.QUEUED,
    (State.CANCELLED, Happening.REQUEUE): State.QUEUED,
}


class IllegalTransition(Exception):  # noqa: N818 - reads as a sentence
    """A job can not do that from where it is."""


def advance(state: State, happening: Happening) -> State:
    """The state after `happening`; the only door to a job's state. Raises IllegalTransition."""
    after = TRANSITIONS[state, happening]
    if after is None:
        raise IllegalTransition(f"{happening} a job that is {state}")
    return after


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Through which door a job came, and from whom as far as the door knows."""

    #: command, drop, chat, webhook, api
    door: str
    #: The door's own word for where: a file, a delivery id, a token's subject.
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """What intake hands to the ledger."""

    id: str
    kind: Kind
    lane: str
    #: Absolute path of the repository's common Git directory, and the branch without refs/heads/.
    repo: str
    branch: str
    #: SHA-256 in hex of `body`.
    digest: str
    #: Canonical patch, or the canonical request of a rollback, freeze or thaw.
    body: bytes
    #: The bytes as they came, for people; empty for our own jobs.
    source: bytes = b""
    origin: Origin
    priority: int = 1
    phase: str | None = None
    session: str | None = None
    #: First line for lists: the patch's description.
    title: str = ""
    depends_on: tuple[str, ...] = ()
    #: It waits for somebody's release before anything is run.
    held: bool = False
    #: Choices of the submitter: {"no_gates": true}, …
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A row of the queue."""

    #: Order of arrival.
    seq: int
    id: str
    kind: Kind
    state: State
    lane: str
    repo: str
    branch: str
    digest: str
    body: bytes
    origin: Origin
    priority: int
    phase: str | None
    session: str | None
    title: str
    depends_on: tuple[str, ...]
    options: Mapping[str, Any]
    #: Wall time of arrival in whole seconds: also the date of the commit, so that a replay gives the same ids.
    received_at: int
    #: How often it was claimed since it was (re)queued.
    attempts: int
    #: Wall time before which it is not claimed; 0 for at once.
    not_before: float
    #: Number of its current or last claim; grows by one with each claim on (repo, branch).
    fence: int
    started_at: float | None
    finished_at: float | None
    #: The sealed statement of its proof, empty before it was sealed.
    statement: bytes
    #: The terminal result as JSON-able facts (RESULT of the contract); None before.
    result: Mapping[str, Any] | None
    #: Markdown of the summary; empty before it is terminal.
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to work on a job: valid while (repo, branch, fence) is the newest."""

    job: Job
    fence: int
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job ended, or that it shall be tried again at `retry_at` (wall time)."""

    happening: Happening
    result: Mapping[str, Any]
    summary: str = ""
    #: The summary's file is on disk already.
    summary_written: bool = False
    commit: str | None = None
    retry_at: float | None = None
    #: Events beside the terminal one, as (type, data); their subject is data["id"] where it has one, else the job.
    events: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    #: The statement of this end; None for that which was sealed before the commit.
    statement: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """A commit of ours on a working branch, as its trailers tell it."""

    commit: str
    #: The id that made the commit: a patch, rollback-<n> or restore-<n>.
    id: str
    digest: str
    proof: str
    lane: str
    phase: str | None
    #: Ids that this commit takes back, and ids that it brings back.
    reverts: tuple[str, ...] = ()
    reapplies: tuple[str, ...] = ()
    #: The phase tag whose tree this commit has; None for any other.
    restores: str | None = None
