"""One claim being worked on, and the change that it shall become."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from ghostd.model.job import Claim, Job
from ghostd.model.patch import Match
from ghostd.model.settings import LaneSettings
from ghostd.pipeline import gates
from ghostd.pipeline.rules import Verdict
from ghostd.pipeline.workshop import Workshop
from ghostd.repo.git import Repository


class LeaseLost(Exception):  # noqa: N818 - a fact
    """Another worker has the job now: stop, write nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What shall be committed on top of `base`, and what is known about it."""

    #: The commit it stands on; None for the first commit of an empty repository.
    base: str | None
    base_tree: str
    tree: str
    description: str
    author: str
    matches: tuple[Match, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    #: Gates that the owner's --no-gates left out.
    left_out: tuple[str, ...] = ()
    reverts: tuple[str, ...] = ()
    reapplies: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One claim, the repository and lane it belongs to, and what was found out so far."""

    shop: Workshop
    claim: Claim
    lane: LaneSettings
    repo: Repository
    #: Monotonic.
    begun: float
    verdicts: list[Verdict] = field(default_factory=list)
    #: The commit point is behind us: whatever fails now, the change stands.
    committed: bool = False
    renewed: float = field(default_factory=time.monotonic)

    @property
    def job(self) -> Job:
        return self.claim.job

    def bench(self) -> gates.Bench:
        """Where this attempt's gates run; while they do, the lease is renewed each third of its time."""
        return gates.Bench(folder=self.shop.places.worktrees, owner=self.shop.owner, on_tick=self._tick)

    def _tick(self) -> None:
        self.shop.alive()
        lease = self.shop.settings.store.lease
        if time.monotonic() - self.renewed > lease / 3:
            if not self.shop.ledger.renew(self.claim, lease):
                raise LeaseLost
            self.renewed = time.monotonic()
