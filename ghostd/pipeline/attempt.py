"""One claim being worked on, and the change that it shall become."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from ghostd.model.job import Claim, Job
from ghostd.model.patch import Match, Patch, Validation
from ghostd.model.settings import LaneSettings
from ghostd.patches.read import from_canonical
from ghostd.pipeline import gates, proof
from ghostd.pipeline.rules import Verdict
from ghostd.pipeline.workshop import Workshop
from ghostd.repo import commit, worktree
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
    #: The commits that a rollback undoes, newest first: with them alone its tree can be made once more.
    undone: tuple[str, ...] = ()
    #: The phase tag whose tree a restore brings back.
    restores: str | None = None
    #: Files, insertions and deletions, where these are known without a comparison of both trees.
    stat: Mapping[str, int] | None = None
    #: What the patch itself asks for; its lane may be stricter.
    validation: Validation = field(default_factory=Validation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Where a branch stood when a group began on it."""

    #: None where there is no such branch yet.
    tip: str | None
    #: Where its proof log stood; None for one that can not be read.
    log: proof.Anchor | None


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
    #: How often each service had been restarted when all were well before the patch; None where nobody looked.
    restarts: Mapping[str, int] | None = None
    #: The commit point is behind us: whatever fails now, the change stands.
    committed: bool = False
    renewed: float = field(default_factory=time.monotonic)
    #: What was found when the group began; None where nobody has looked.
    ground: Ground | None = None
    #: The commit to build on where it is not on the branch yet: that of the one before it in its group.
    on: str | None = None
    #: The job's patch, once it was read.
    read: Patch | None = None

    @property
    def job(self) -> Job:
        return self.claim.job

    def patch(self) -> Patch:
        """The job's patch, read once. Only for jobs of that kind."""
        if self.read is None:
            self.read = from_canonical(self.job.body)
        return self.read

    def base(self) -> str | None:
        """The commit to build on; None for the first commit of an empty repository."""
        return self.on or (self.ground and self.ground.tip) or commit.base(self.repo, self.job.branch)

    def bench(self) -> gates.Bench:
        """Where this attempt's gates run; while they do, the lease is renewed each third of its time."""
        folder = self.shop.places.worktrees
        return gates.Bench(
            folder=folder, owner=self.shop.owner, on_tick=self._tick, pool=worktree.pool(self.repo, folder)
        )

    def _tick(self) -> None:
        self.shop.alive()
        lease = self.shop.settings.store.lease
        if time.monotonic() - self.renewed > lease / 3:
            if not self.shop.ledger.renew(self.claim, lease):
                raise LeaseLost
            self.renewed = time.monotonic()
