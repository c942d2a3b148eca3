"""What a gate is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ghostd.model.settings import GateSettings
from ghostd.pipeline.rules import Verdict
from ghostd.repo.git import Repository
from ghostd.sandbox.layers import Finished


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is examined: a tree of a repository, and the facts that a gate may read from its environment."""

    repo: Repository
    tree: str
    facts: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One gate to run on one subject."""

    gate: GateSettings
    subject: Subject
    max_retries: int
    #: Monotonic; the end of the patch's own time.
    deadline: float
    #: Where the paths are that the gate borrows.
    lender: Path | None = None
    #: How it is shut in, in the words of a lane's `sandbox`.
    policy: str = "best-effort"
    #: Whether the verdict gets a record of how it came about.
    audited: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One run of a gate: how its command ended, and what that means by itself."""

    verdict: Verdict
    finished: Finished


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A gate's verdict after its last run, and its runs; none where an earlier pass stands for them."""

    verdict: Verdict
    runs: tuple[Ran, ...] = ()
