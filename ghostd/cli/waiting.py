"""Bring a job to its end: wait for the daemon's executor, or do the work in this process where there is no daemon."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ghostd.base.errors import Cannot
from ghostd.cli import output
from ghostd.cli.session import open_workspace
from ghostd.cli.verbs import Asked
from ghostd.model.job import Job, State
from ghostd.pipeline.recover import recover, void
from ghostd.pipeline.worker import Worker
from ghostd.pipeline.workshop import Workshop
from ghostd.services.executor import build
from ghostd.store.wake import listen
from ghostd.supervise.client import Control

#: A lost wake-up, a daemon that went away: noticed after this many seconds.
_SAFETY = 2.0


@contextmanager
def open_shop(asked: Asked, *, must_exist: bool = True, repo: Path | None = None) -> Iterator[Workshop]:
    """The workspace's ledger, repositories and settings for one command; see `session.open_workspace`."""
    shop = build(open_workspace(asked, must_exist=must_exist, repo=repo).settings)
    try:
        yield shop
        _prove(shop)
    finally:
        shop.close()


def _prove(shop: Workshop) -> None:
    """Append to the proof logs what this command did without a daemon. What can not be appended now waits."""
    # Most commands only look, and do not pay for it.
    from ghostd.pipeline import chain

    for name in sorted(shop.worked):
        lane = shop.settings.lanes[name]
        try:
            while chain.catch_up(shop, shop.repositories.of(lane), lane.branch) >= chain.MOST:
                pass
        except (Cannot, OSError) as error:
            output.talk(f"ghost: the proofs of lane {name} wait in the ledger: {error}")


def daemon(shop: Workshop) -> Control | None:
    """The running ghostd of the workspace; None where none runs."""
    control = Control(shop.places.control, timeout=5.0)
    return control if control.alive() else None


@dataclass(slots=True)
class Finisher:
    """Ends jobs one after another; recovers once before it works itself."""

    shop: Workshop
    quiet: bool = False
    _recovered: bool = False
    _told: str = ""

    def finish(self, id: str) -> Job:
        """The job once it is terminal. ^C leaves it in the queue and says how to follow it."""
        waiter = listen(self.shop.places.wake)
        rung = False
        try:
            while not (job := self._get(id)).state.terminal:
                if not rung:
                    # At first, and when nothing was heard for a while: who works here, and why does nobody?
                    self._tell(job)
                    control = daemon(self.shop)
                rung = (control is None and self._work(job)) or waiter.wait(self._patience(job, control))
        except KeyboardInterrupt:
            output.talk(f"ghost: {id} stays in the queue; follow it with: ghost show {id}")
            raise
        finally:
            waiter.close()
        return job

    def catch_up(self) -> None:
        """Mend what an earlier command left where no daemon does: files and summaries still to be written."""
        if not self._recovered and daemon(self.shop) is None:
            recover(self.shop, list(self.shop.settings.lanes.values()))
            self._recovered = True

    def _get(self, id: str) -> Job:
        job = self.shop.ledger.get(id)
        if job is None:
            raise AssertionError(f"job {id} has left the ledger")
        return job

    def _work(self, job: Job) -> bool:
        """Do the lane's next job here; False where nothing can be claimed now."""
        self.catch_up()
        self.shop.worked.add(job.lane)
        void(self.shop)
        return Worker(self.shop, self.shop.settings.lanes[job.lane]).run_one() is not None

    def _patience(self, job: Job, control: Control | None) -> float:
        """Seconds to wait for a ring: until the daemon should be looked at again, or until something is due here."""
        due = None if control is not None else self.shop.ledger.next_due_job(job.lane)
        return _SAFETY if due is None else min(max(due - self.shop.clock.wall(), 0.0), _SAFETY)

    def _tell(self, job: Job) -> None:
        """Say once why a job has to wait, as far as anybody could do something about it."""
        why = self._why(job)
        if why and why != self._told and not self.quiet:
            output.talk(f"ghost: {job.id} waits: {why}")
        self._told = why

    def _why(self, job: Job) -> str:
        if job.state is State.HELD:
            return f"it is held until somebody releases it: ghost queue release {job.id}"
        if self.shop.ledger.paused(job.lane):
            return f"lane {job.lane} is paused; ghost queue resume {job.lane} opens it"
        control = daemon(self.shop)
        return self._executor(control, job.lane) if control else ""

    def _executor(self, control: Control, lane: str) -> str:
        name = f"executor-{lane}"
        try:
            services = control.status()["services"]
        except Cannot as error:
            return str(error)
        state = next((service["state"] for service in services if service["name"] == name), "not configured")
        return "" if state == "RUNNING" else f"{name} is {state}; ghostd restart {name} starts it"


def known_job(shop: Workshop, id: str) -> Job:
    """The job of an id that a person typed. Raises Cannot(unknown-id)."""
    job = shop.ledger.get(id)
    if job is None:
        raise Cannot(f"find {id}: no patch bears this id", kind="unknown-id", hint="ghost queue ls --all lists them")
    return job
