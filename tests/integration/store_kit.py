"""What the tests of the ledger share: a clock that stands still, jobs, claims, and children to kill."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from ghostd.model.job import Claim, Happening, Kind, NewJob, Origin, Outcome
from ghostd.store.ports import Ledger

REPO, BRANCH = "/srv/app/.git", "ghost/work"
CHILD = Path(__file__).with_name("store_child.py")


class StandingClock:
    """Time that passes when a test says so."""

    def __init__(self, wall: float = 1_753_770_600.75, monotonic: float = 1000.0) -> None:
        self.now = wall
        self.ticks = monotonic

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.ticks

    def passes(self, seconds: float) -> None:
        self.now += seconds
        self.ticks += seconds


class CountingBell:
    """Counts its rings."""

    rings = 0

    def ring(self) -> None:
        self.rings += 1


def new(id: str, **more: Any) -> NewJob:
    """A patch for lane MAIN, its parts as given."""
    usual: dict[str, Any] = {
        "kind": Kind.PATCH,
        "lane": "MAIN",
        "repo": REPO,
        "branch": BRANCH,
        "digest": "0" * 64,
        "body": b'{"id":"x"}',
        "origin": Origin(door="command", source="here"),
    }
    return NewJob(id=id, **{**usual, **more})


def claimed(ledger: Ledger, *, lane: str = "MAIN", owner: str = "me", lease: float = 60.0) -> Claim:
    """The next claim, which has to be there."""
    claim = ledger.claim(lane, owner, lease)
    assert claim is not None
    return claim


def done(happening: Happening = Happening.APPLY, **more: Any) -> Outcome:
    """An outcome with a result and a summary."""
    return Outcome(happening=happening, **{"result": {"status": happening.value}, "summary": "# told", **more})


def types(ledger: Ledger, subject: str | None = None) -> list[str]:
    """The types of all events so far."""
    return [event.type.removeprefix("ghost.") for event in ledger.events(subject=subject, limit=10_000)]


def child(role: str, *arguments: object, **more: Any) -> subprocess.Popen[str]:
    """A process that plays a role of store_child.py; its stdout is ours to read."""
    words = [sys.executable, str(CHILD), role, *map(str, arguments)]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **more)
