"""Patches that come in over HTTP: nobody gets a receipt for what is not on disk. Runs in the ledger's thread."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ghostd.api import views
from ghostd.base.errors import Cannot
from ghostd.model.job import Job, Origin
from ghostd.model.submission import Submission
from ghostd.store.ports import Ledger, Receipt


class Accepted(Protocol):
    """What intake gives back."""

    @property
    def job(self) -> Job: ...


class Intake(Protocol):
    """What takes a submission in, durable when it returns."""

    def submit(self, submission: Submission) -> Accepted: ...


class Taker:
    """Makes the intake at the first patch: reading patches and Git costs memory that an idle service does without."""

    def __init__(self, make: Callable[[Ledger], Intake]) -> None:
        self._make = make
        self._intake: Intake | None = None

    def take(self, ledger: Ledger, submission: Submission) -> dict[str, Any]:
        """The receipt. Raises Cannot with intake's kinds."""
        if self._intake is None:
            self._intake = self._make(ledger)
        return views.receipt(self._intake.submit(submission).job)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A webhook's body, whose sender is known, under the id by which its sender repeats it."""

    id: str
    body: bytes

    @property
    def key(self) -> str:
        return f"webhook:{self.id}"

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


def deliver(ledger: Ledger, taker: Taker, delivery: Delivery) -> Mapping[str, Any]:
    """The receipt of a delivery; the first one again, marked `duplicate`, for a repeat. Raises Cannot(delivery-reused).

    The patch is taken in before the delivery is remembered. A crash between the two makes the sender try again, and its
    patch, which has the same id and digest, is the same job: nothing runs twice, nothing is lost.
    """
    seen = ledger.receipt(delivery.key)
    if seen is not None:
        return _again(seen, delivery)
    answer = taker.take(ledger, Submission(data=delivery.body, origin=Origin(door="webhook", source=delivery.id)))
    ledger.remember(Receipt(key=delivery.key, body_digest=delivery.digest, answer=answer))
    return answer


def _again(seen: Receipt, delivery: Delivery) -> Mapping[str, Any]:
    if seen.body_digest != delivery.digest:
        raise Cannot(
            f"take delivery {delivery.id}: it was seen before with another body",
            kind="delivery-reused",
            hint="give each delivery an id of its own",
        )
    return {**seen.answer, "duplicate": True}
