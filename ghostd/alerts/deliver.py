"""One delivery: write the attempt down, send, write down how it ended."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from ghostd.alerts import rules
from ghostd.alerts.channels import Channel, Undelivered
from ghostd.base.clock import Clock
from ghostd.model.alert import Delivery
from ghostd.store.ports import Alerts


@dataclass(frozen=True, slots=True, kw_only=True)
class Courier:
    """Who delivers; `chance` spreads the retries."""

    ledger: Alerts
    channels: Mapping[str, Channel]
    clock: Clock
    chance: random.Random
    max_attempts: int

    def deliver(self, delivery: Delivery) -> Undelivered | None:
        """Try once; the failure, or None when it was delivered."""
        channel = self.channels.get(delivery.channel)
        if channel is None:
            return self._give_up(delivery, "the configuration has no such channel any more")
        if delivery.attempts >= self.max_attempts:
            # The last attempt never told how it ended: whoever made it died.
            return self._give_up(delivery, f"{delivery.attempts} attempts, the last without an end")
        self.ledger.attempt(delivery)
        try:
            channel.send(delivery)
        except Undelivered as error:
            self.ledger.put_off(delivery, str(error), until=self._next(delivery.attempts + 1))
            return error
        self.ledger.delivered(delivery)
        return None

    def hold_back(self, delivery: Delivery, error: Undelivered) -> None:
        """Put off without an attempt: its channel has just failed, and others shall not wait for that again."""
        self.ledger.put_off(delivery, str(error), until=self._next(max(1, delivery.attempts), last=False))

    def _next(self, attempts: int, *, last: bool = True) -> float | None:
        most = self.max_attempts if last else attempts + 1
        return rules.next_try(attempts, now=self.clock.wall(), most=most, chance=self.chance.random())

    def _give_up(self, delivery: Delivery, why: str) -> Undelivered:
        self.ledger.put_off(delivery, why, until=None)
        return Undelivered(delivery.channel, why)
