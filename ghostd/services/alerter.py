"""The alerter: takes deliveries from the ledger's outbox and sends each to its channel until it has arrived."""

from __future__ import annotations

import argparse
import logging
import random
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from ghostd.alerts.channels import Undelivered, build
from ghostd.alerts.deliver import Courier
from ghostd.base.clock import Clock, SystemClock
from ghostd.base.errors import Cannot
from ghostd.base.life import Life, life
from ghostd.base.log import log_to_stderr, one_line
from ghostd.config.load import load
from ghostd.model.settings import Places
from ghostd.store.db import open_ledger
from ghostd.store.ports import Ledger, Waiter
from ghostd.store.wake import DatagramBell, listen

_LOG = logging.getLogger("alerter")
#: A lost wake-up, or a clock that was set, costs this much and nothing else.
_SAFETY = 5.0
#: What a ledger can refuse for a while.
_PASSING = frozenset({"disk-full", "ledger-busy", "ledger-unreachable", "ledger-damaged"})


class Alerter:
    """The loop around a courier."""

    def __init__(self, courier: Courier, ledger: Ledger, clock: Clock) -> None:
        self._courier = courier
        self._ledger = ledger
        self._clock = clock

    def serve(self, here: Life, bell: Waiter) -> None:
        """Deliver until the end is asked for."""
        while not here.ending:
            pause = self._guarded_round(here)
            here.sleep([bell.fileno()], pause)
            bell.drain()

    def _guarded_round(self, here: Life) -> float:
        """Seconds until the next round. A ledger that refuses is no reason to die."""
        try:
            self.round(here)
            return self._until()
        except Cannot as error:
            if error.kind not in _PASSING:
                raise
            _LOG.error("%s; trying again", one_line(str(error)))
            here.sleep((), 1.0)
            return 0.0

    def round(self, here: Life) -> None:
        """Try everything that is due, once. After a channel has failed, its other deliveries are held back."""
        failed: dict[str, Undelivered] = {}
        for delivery in self._ledger.due(self._clock.wall()):
            if here.ending:
                return
            here.beat()
            if delivery.channel in failed:
                self._courier.hold_back(delivery, failed[delivery.channel])
            elif (error := self._courier.deliver(delivery)) is not None:
                failed[delivery.channel] = error
                # A failing alert path is told where somebody may still look.
                _LOG.error("%s: %s", delivery.key, one_line(str(error)))

    def _until(self) -> float:
        due = self._ledger.next_due()
        return _SAFETY if due is None else min(_SAFETY, max(0.0, due - self._clock.wall()))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the alerter of `--workspace` until SIGTERM."""
    parser = argparse.ArgumentParser(prog="ghostd-alerter", description=__doc__)
    parser.add_argument("--workspace", type=Path, required=True)
    settings = load(parser.parse_args(argv).workspace).settings
    log_to_stderr()
    places, clock = Places(workspace=settings.workspace), SystemClock()
    with ExitStack() as stack:
        here = stack.enter_context(life())
        waiter = stack.enter_context(closing(listen(places.wake)))
        ledger = stack.enter_context(closing(open_ledger(places.ledger, clock=clock, bell=DatagramBell(places.wake))))
        channels = build(settings.alerts.channels, places.log / "alerts.jsonl", clock)
        for channel in channels.values():
            stack.enter_context(closing(channel))
        courier = Courier(
            ledger=ledger,
            channels=channels,
            clock=clock,
            chance=random.SystemRandom(),
            max_attempts=settings.alerts.max_attempts,
        )
        here.ready("STATUS=waiting for alerts")
        Alerter(courier, ledger, clock).serve(here, waiter)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
