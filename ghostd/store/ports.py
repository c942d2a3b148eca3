"""What the rest of the house may ask of the ledger. SQLite is behind it here, another database may be elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ghostd.model.alert import Alert, Delivery, Finding
from ghostd.model.event import Event
from ghostd.model.job import Claim, Job, Landed, NewJob, Origin, Outcome, State
from ghostd.model.touch import Touch


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """The receipt of a job: durable when you hold it. `created` is False where the id was there already."""

    job: Job
    created: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealing:
    """The statement with which a job ended. `seq` grows with each, over all branches."""

    seq: int
    id: str
    statement: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Gained:
    """Commits by which a branch went from `before` to `tip`, oldest first."""

    repo: str
    branch: str
    before: str | None
    tip: str
    landed: tuple[Landed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a door answered to a delivery: `body_digest` tells a repeat from a reused id."""

    key: str
    body_digest: str
    answer: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRun:
    """One run of a gate for one attempt of a job, with all that it printed."""

    id: str
    attempt: int
    gate: str
    #: 1 for the first; a gate that fails is run again.
    run: int
    verdict: str
    status: int | None
    duration_ms: int
    output: bytes
    #: Bytes in front of `output` that were too many to keep.
    cut: int = 0
    #: It was not run: an earlier pass stood for it.
    cached: bool = False
    #: The gate failed first and passed then; this is the run that passed.
    flake: bool = False
    audit: Mapping[str, Any] | None = None
    #: Never forgotten, however many runs follow.
    kept: bool = False
    #: Wall time at which it was written down.
    time: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """A pass that may stand for a run of the same gate with the same tool on the same files."""

    key: str
    gate: str
    #: The job whose gate passed.
    id: str
    #: What told the tool's version, and which files it saw, both as digests or short words.
    tool: str
    files: str
    duration_ms: int
    made_at: float
    used_at: float
    uses: int


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

    def claim_more(self, claim: Claim, lease: float, *, most: int, fits: Callable[[Job], bool]) -> Sequence[Claim]:
        """Up to `most` jobs that stand next in line in the lane of a claimed one and can be done together with it:
        patches for the same branch that wait for nothing and `fits` says yes to. None is passed by."""
        ...

    def renew(self, claim: Claim, lease: float) -> bool:
        """Hold on to a claim. False: it is lost; stop, do not commit."""
        ...

    def seal_all(self, statements: Iterable[tuple[Claim, bytes]], lease: float) -> bool:
        """Write sealed statements into their jobs' rows and renew the leases, in one transaction. False: one of the
        claims is lost, and nothing was written."""
        ...

    def finish(self, claim: Claim, outcome: Outcome) -> Job | None:
        """Write the outcome (terminal, or RETRY with `retry_at`), its events and the end of the lease in one
        transaction. None: the claim is lost and nothing was written."""
        ...

    def finish_all(self, ends: Iterable[tuple[Claim, Outcome]], gained: Gained | None = None) -> Sequence[Job | None]:
        """As `finish`, several in one transaction, together with what their branch has gained."""
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

    def ended_lately(self, seconds: float) -> Sequence[Job]:
        """Jobs with a summary that ended in the last seconds before the newest end of all, oldest first."""
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


class Proofs(Protocol):
    """What is to be found in the proof log of each branch."""

    def sealings(self, repo: str, branch: str, *, since: int = 0, limit: int = 1000) -> Sequence[Sealing]:
        """Statements of ended jobs with seq > `since`, in the order of the ends. One that was requeued and ended again
        has one for each end."""
        ...


class Gates(Protocol):
    """What gates said and printed, and the passes that may stand for a run."""

    def ran(self, runs: Iterable[GateRun], *, told: Mapping[str, Any] | None = None, lane: str | None = None) -> None:
        """Keep the runs of one gate, with the event `ghost.patch.gate` where `told` is given. One transaction; the
        oldest runs beyond a few thousand go, but for those to be kept."""
        ...

    def gate_runs(self, id: str, gate: str | None = None) -> Sequence[GateRun]:
        """The runs for a job, of one gate or of all, in their order."""
        ...

    def cached_pass(self, key: str) -> Pass | None:
        """The pass under a key; None where there is none, or nobody used it for a month."""
        ...

    def use_pass(self, key: str) -> None:
        """It stood for a run."""
        ...

    def add_pass(self, key: str, gate: str, id: str, tool: str, files: str, duration_ms: int) -> None:
        """Remember a pass. The cache is bounded in number and age."""
        ...

    def passes(self) -> Sequence[Pass]:
        """All passes, those that were used last first."""
        ...

    def clear_passes(self, gate: str | None = None) -> int:
        """Forget the passes of a gate, or all; how many went."""
        ...


class Graph(Protocol):
    """What each commit of ours did to which lines, read from Git once; `since` is a commit of the branch."""

    def uncharted(self, repo: str, branch: str, since: str) -> Sequence[str]:
        """The commits whose touches are not known yet, oldest first: from `since` on, all where that is unknown."""
        ...

    def chart(self, repo: str, touches: Mapping[str, Iterable[Touch]]) -> None:
        """Keep all touches of these commits. One transaction."""
        ...

    def touches(self, repo: str, oid: str) -> Sequence[Touch]:
        """What a charted commit did, by path."""
        ...

    def touched(self, repo: str, branch: str, since: str, path: bytes) -> Sequence[tuple[str, Touch]]:
        """What commits after `since` did to a path, oldest first."""
        ...

    def touched_below(self, repo: str, branch: str, since: str, folder: bytes) -> Sequence[tuple[str, Touch]]:
        """What commits after `since` did below a folder, oldest first."""
        ...

    def depending(self, ids: Iterable[str]) -> frozenset[str]:
        """The jobs that said they depend on one of these."""
        ...

    def forget_chart(self, repo: str) -> None:
        """Throw all touches of a repository away."""
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


class Ledger(Queue, History, Graph, Proofs, Gates, Outbox, Alerts, Small, Protocol):
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
