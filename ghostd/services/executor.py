"""The executor of one lane: takes its jobs from the ledger one by one and turns them into commits."""

from __future__ import annotations

import argparse
import gc
import logging
from collections.abc import Callable
from pathlib import Path

from ghostd.base.clock import SystemClock
from ghostd.base.errors import Cannot
from ghostd.base.life import Life, life
from ghostd.base.log import log_to_stderr
from ghostd.config.load import load
from ghostd.model.settings import LaneSettings, Places, Settings
from ghostd.pipeline.duties import Duties
from ghostd.pipeline.recover import recover, void
from ghostd.pipeline.worker import Worker
from ghostd.pipeline.workshop import Repositories, Workshop, owner_of_this_process
from ghostd.store.db import open_ledger
from ghostd.store.ports import Waiter
from ghostd.store.wake import DatagramBell, listen

_LOG = logging.getLogger("executor")
#: A lost wake-up costs this many seconds and nothing else.
_SAFETY = 5.0
#: So long nobody may have wanted anything before a duty is begun.
_CALM = 0.05
#: After the ledger or the disk refused, before the next try.
_PAUSE = 1.0


def build(settings: Settings, *, alive: Callable[[], None] = lambda: None) -> Workshop:
    """The things that the path works with, in this process. Also used by commands that run without a daemon."""
    places = Places(workspace=settings.workspace)
    return Workshop(
        ledger=open_ledger(places.ledger, clock=SystemClock(), bell=DatagramBell(places.wake)),
        settings=settings,
        places=places,
        repositories=Repositories(settings),
        clock=SystemClock(),
        owner=owner_of_this_process(),
        alive=alive,
    )


class Executor:
    """The loop around a worker: sleeps until the bell rings, works while there is work, ends when it is asked to."""

    def __init__(self, shop: Workshop, lane: LaneSettings, waiter: Waiter, here: Life) -> None:
        self._shop = shop
        self._lane = lane
        self._worker = Worker(shop, lane)
        self._waiter = waiter
        self._life = here
        self._duties = Duties(shop, lane)

    def serve(self) -> None:
        """Work until the end is asked for; a job that was begun is finished first."""
        while not self._life.ending:
            self._life.beat()
            if self._step():
                self._life.sleep((), self._lane.cooldown)
                continue
            rung = self._life.sleep((self._waiter.fileno(),), self._rest())
            self._waiter.drain()
            if not rung and not self._life.ending:
                self._duties.do_next()

    def _step(self) -> bool:
        """Do one job; True where there may be another. A ledger or disk that refuses is no reason to die."""
        try:
            void(self._shop)
            done = self._worker.run_one()
        except (Cannot, OSError) as error:
            _LOG.error("cannot work: %s; trying again", error)
            self._life.sleep((), _PAUSE)
            return False
        if done is None:
            return False
        self._duties.begin()
        _LOG.info("%s is done", done)
        return True

    def _rest(self) -> float:
        """Seconds until something is due by itself, or until it is quiet enough for the next duty."""
        rest = _CALM if self._duties.waiting else _SAFETY
        due = self._shop.ledger.next_due_job(self._lane.name)
        return rest if due is None else min(max(due - self._shop.clock.wall(), 0.0), rest)


def main() -> int:
    """Run the executor of `--lane` in `--workspace` until SIGTERM."""
    parser = argparse.ArgumentParser(prog="ghostd-executor", description=__doc__)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--lane", required=True)
    asked = parser.parse_args()
    log_to_stderr()
    settings = load(asked.workspace).settings
    lane = settings.lanes[asked.lane]
    with life() as here:
        shop = build(settings, alive=here.beat)
        waiter = listen(shop.places.wake)
        try:
            for what in recover(shop, [lane]):
                _LOG.warning("recovered: %s", what)
            # What was made so far stays: the collector need not walk through it for each patch.
            gc.freeze()
            here.ready(f"STATUS=waiting for patches of lane {lane.name}")
            Executor(shop, lane, waiter, here).serve()
        finally:
            waiter.close()
            shop.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
