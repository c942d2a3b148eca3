"""What the rest of the house may ask of the ledger. SQLite is behind it here, another database may be elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ghostd.model.alert import Alert, Delivery, Finding
from ghostd.model.event import Event
from ghostd.model.job import Claim, Job, Landed, NewJob, Origin, Outcome, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """The receipt of a job: durable when you hold it. `created` is False where the id was there already."""

    job: Job
    created: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a door answered to a delivery: `body_digest` tells a repeat from a reused id."""

    key: str
    body_digest: str
    answer: Mapping[str, Any]


class Queue(Protocol):
    """Jobs with lease and fence. Every change of state writes its event in the same transaction."""

    def put(self, new: NewJob, *, max_queue: int | None = None) -> Put:
        """Take a job in, durable when it returns, with the events `received` and `queued`. The same id again gives the
        existing row, whatever its digest. Raises Cannot(kind="queue-full") for a new one beyond `max_queue` waiting."""
        ...

    def number(self, kind: str) -> int:
        """The next number of `kind` (for `rollback-<n>`), never given twice."""
        ...

    def claim(self, lane: str, owner: str, lease: float) -> Claim | None:
        """The next runnable job of the lane, its lease ours for `lease` seconds; None where there is none, the lane is
        paused, or another holder works on the same (repository, branch). Order: priority, then arrival. A job waits
        for those it depends on while they are under way; how they ended is for the worker to judge."""
        ...

    def renew(self, claim: Claim, lease: float) -> bool:
        """Hold on to a claim. False: it is lost; stop, do not commit."""
        ...

    def seal(self, claim: Claim, statement: bytes, lease: float) -> bool:
        """Write the sealed statement into the job's row and renew. False: the claim is lost."""
        ...

    def finish(self, claim: Claim, outcome: Outcome) -> Job | None:
        """Write the outcome (terminal, or RETRY with `retry_at`), its events and the end of the lease in one
        transaction. None: the claim is lost and nothing was written."""
        ...

    def void(self, alive: Mapping[str, bool]) -> Sequence[Job]:
        """Requeue running jobs whose owner is known to be dead (`alive[owner]` False) or whose lease has ended."""
        ...

    def owners(self) -> Sequence[str]:
        """The owners of all running jobs."""
        ...

    def act(self, id: str, happening: str) -> Job:
        """Hold, release, cancel or requeue by hand. Raises Cannot(kind="unknown-id" | "illegal-state")."""
        ...

    def pause(self, lane: str, *, paused: bool) -> None: ...

    def paused(self, lane: str) -> bool: ...

    def get(self, id: str) -> Job | None: ...

    def source(self, id: str) -> bytes:
        """The bytes of a job as they came; empty where there are none."""
        ...

    def next_due_job(self, lane: str) -> float | None:
        """Wall time at which the earliest of the lane's jobs that wait for a time is due; None where none does."""
        ...

    def jobs(
        self,
        *,
        lane: str | None = None,
        states: Iterable[State] = (),
        session: str | None = None,
        limit: int = 1000,
        newest_first: bool = True,
    ) -> Sequence[Job]: ...

    def counts(self) -> Mapping[tuple[str, State], int]:
        """How many jobs stand in each (lane, state)."""
        ...

    def branches(self) -> Sequence[tuple[str, str]]:
        """Every (repository, branch) on which something was applied."""
        ...

    def committed(self, repo: str, branch: str) -> Sequence[str]:
        """The applied jobs of a branch that have to have a commit there, oldest first."""
        ...

    def summary_written(self, id: str) -> None:
        """The summary's file is on disk."""
        ...

    def unwritten_summaries(self) -> Sequence[Job]:
        """Terminal jobs whose summary file was not seen on disk."""
        ...


class History(Protocol):
    """What Git says has landed, as an index that can be thrown away."""

    def known(self, repo: str, branch: str) -> str | None:
        """The tip up to which the branch was read."""
        ...

    def learn(self, repo: str, branch: str, landed: Iterable[Landed], tip: str, *, anew: bool = False) -> None:
        """Add commits, oldest first, and move the known tip; `anew` forgets the branch first. One transaction."""
        ...

    def landed(self, repo: str, branch: str, id: str) -> Landed | None:
        """The newest commit of the branch made by this id."""
        ...

    def taken_back(self, repo: str, branch: str, id: str) -> str | None:
        """The id whose commit last took `id` back, None where it stands (or was brought back since)."""
        ...

    def branch_commits(self, repo: str, branch: str) -> Sequence[Landed]:
        """All our commits of the branch, oldest first."""
        ...


class Outbox(Protocol):
    """The ordered log of events, and each reader's own durable cursor."""

    def append(self, type: str, subject: str, data: Mapping[str, Any], *, lane: str | None = None) -> int:
        """Write one event by itself (services, phases, doors); returns its seq."""
        ...

    def events(self, since: int = 0, *, limit: int = 500, subject: str | None = None) -> Sequence[Event]:
        """Events with seq > `since`, in order."""
        ...

    def newest(self) -> int:
        """The last seq; 0 where there is none."""
        ...

    def cursor(self, reader: str) -> int: ...

    def advance(self, reader: str, seq: int) -> None: ...


class Alerts(Protocol):
    """Alerts, and their deliveries, one row for each target, in the same transaction."""

    def observe(
        self, findings: Iterable[Finding], *, targets: Mapping[str, Sequence[str]], rules: Iterable[str]
    ) -> None:
        """Bring the alert table in line with what is seen now: open the new ones, resolve those of `rules` (rule names
        that were examined) that are no longer found. Each change writes its event and one delivery for each channel
        that `targets` gives for the severity."""
        ...

    def alerts(self, *, open_only: bool = False, limit: int = 200) -> Sequence[Alert]: ...

    def due(self, now: float, *, limit: int = 20) -> Sequence[Delivery]: ...

    def attempt(self, delivery: Delivery) -> None:
        """Count the attempt, before the send."""
        ...

    def delivered(self, delivery: Delivery) -> None: ...

    def put_off(self, delivery: Delivery, error: str, *, until: float | None) -> None:
        """Try again at `until` (wall), or give up (None: a dead letter, kept and visible)."""
        ...

    def next_due(self) -> float | None:
        """Wall time of the earliest delivery that waits; None where none does."""
        ...

    def dead_letters(self) -> Sequence[Delivery]: ...


class Small(Protocol):
    """Small facts with an expiry, the deliveries that a door has seen, and the bridges' journal."""

    def kv_get(self, key: str) -> str | None: ...

    def kv_set(self, key: str, value: str) -> None: ...

    def receipt(self, key: str) -> Receipt | None: ...

    def remember(self, receipt: Receipt) -> None: ...

    def journal(self, origin: Origin, raw: bytes) -> int:
        """Keep the raw bytes of a submission before anything is parsed, durable when it returns; the row's number."""
        ...

    def journalled(self) -> Sequence[tuple[int, Origin, bytes]]:
        """Submissions that were kept and not settled, oldest first."""
        ...

    def settle(self, row: int) -> None:
        """The submission has its answer; its raw bytes may go."""
        ...


class Ledger(Queue, History, Outbox, Alerts, Small, Protocol):
    """Everything behind one door. One object belongs to one thread."""

    def integrity(self) -> Sequence[str]:
        """What is wrong with the ledger's own storage; empty where nothing is."""
        ...

    def backup(self, path: Path) -> None:
        """Write a consistent copy while others work; a file that is there is replaced by a whole one."""
        ...

    def close(self) -> None: ...


class Bell(Protocol):
    """Wakes those who wait for the ledger; a hint, never the truth."""

    def ring(self) -> None:
        """Wake every waiter, in whatever process. Never blocks, never fails."""
        ...


class Waiter(Protocol):
    """One who waits. `fileno` becomes readable at a ring, for event loops."""

    def fileno(self) -> int: ...

    def wait(self, timeout: float) -> bool:
        """Sleep until the bell rings or `timeout` seconds went by; True for the bell. Swallows all pending rings."""
        ...

    def drain(self) -> None:
        """Swallow all pending rings without waiting."""
        ...

    def close(self) -> None: ...
