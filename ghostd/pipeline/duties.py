"""What an executor does when nothing waits: one small thing at a time, so that the next patch never waits long."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from ghostd.base.errors import Cannot
from ghostd.model.settings import LaneSettings
from ghostd.pipeline.workshop import Workshop
from ghostd.repo import worktree
from ghostd.repo.git import Repository

_LOG = logging.getLogger(__name__)

#: Seconds between two looks whether a repository needs maintenance: the looks cost, and the work is never urgent.
_MAINTENANCE = 60.0
#: Seconds without a job after which the copies that gates worked in are given back.
_LONG = 600.0


class Duties:
    """The things to do for one lane. `begin` puts all of them on the list again; `do_next` does one of them."""

    def __init__(self, shop: Workshop, lane: LaneSettings) -> None:
        self._shop = shop
        self._lane = lane
        self._todo: list[Callable[[Repository], None]] = []
        #: Monotonic: when something was last done on the branch, and when we last looked after the repository.
        self._busy = self._maintained = 0.0
        self.begin()
        #: The tip up to which the branch's lines were read.
        self._charted: str | None = None

    @property
    def waiting(self) -> bool:
        return bool(self._todo)

    def begin(self) -> None:
        """Something was done on the branch."""
        self._busy = time.monotonic()
        self._list()

    def _list(self) -> None:
        self._todo = [self._catch_up, self._prove, self._chart, self._maintain, self._trim]

    def do_next(self) -> None:
        """Do one thing; where nothing was left, all are begun again. What fails now is done at a later time."""
        if not self._todo:
            self._list()
        duty = self._todo.pop(0)
        try:
            duty(self._shop.repositories.of(self._lane))
        except (Cannot, OSError) as error:
            _LOG.warning("a duty has to wait: %s", error)

    def _catch_up(self, repo: Repository) -> None:
        """Bring checked-out files to the tip where a lock or an edit kept us from it at the commit."""
        if self._lane.checkout:
            worktree.materialise(repo, self._lane.branch)

    def _prove(self, repo: Repository) -> None:
        """Append to the proof log; again at the next quiet moment where there is more than goes at once."""
        from ghostd.pipeline import chain

        if chain.catch_up(self._shop, repo, self._lane.branch) >= chain.MOST:
            self._todo.insert(0, self._prove)

    def _chart(self, repo: Repository) -> None:
        """Read which lines each commit changed, so that a rollback need not; a batch at a time."""
        from ghostd.pipeline import graph

        tip = self._shop.ledger.known(repo.identity, self._lane.branch)
        if tip == self._charted:
            return
        if graph.chart(self._shop.ledger, repo, self._lane.branch, limit=graph.BATCH) == graph.BATCH:
            self._todo.insert(0, self._chart)
        else:
            self._charted = tip

    def _maintain(self, repo: Repository) -> None:
        from ghostd.repo import maintenance

        git = self._shop.settings.git
        if time.monotonic() - self._maintained < _MAINTENANCE:
            return
        self._maintained = time.monotonic()
        if maintenance.due(repo, git.max_loose, git.max_packs):
            _LOG.info("%s", maintenance.run(repo))

    def _trim(self, repo: Repository) -> None:
        """Give back the disk of copies that no gate has used for a while."""
        if time.monotonic() - self._busy > _LONG:
            worktree.pool(repo, self._shop.places.worktrees).trim(keep=1)
