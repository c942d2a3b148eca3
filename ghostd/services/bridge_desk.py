"""What the bridge's doors share: submit, tell what was no patch, and remember what failed for the moment."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ghostd.base.errors import Cannot
from ghostd.base.log import one_line
from ghostd.bridges import rules
from ghostd.model.job import Job
from ghostd.model.submission import Submission
from ghostd.store.ports import Ledger

_LOG = logging.getLogger("bridge")
CHAT, DROP = "chat", "drop"
#: Why a submission can fail for the moment. Anything else is a verdict on the patch.
_PASSING = frozenset({"queue-full", "disk-full", "ledger-busy", "ledger-unreachable", "ledger-damaged", "os-error"})
_PASSING_REPOSITORY = frozenset({"no-repository", "repo-missing", "repo-invalid", "repo-unsupported", "git-locked"})


class Taken(Protocol):
    """What intake gives back."""

    @property
    def job(self) -> Job: ...

    @property
    def repeat(self) -> str | None: ...


class Rooms(Protocol):
    """What is behind the doors, loaded at the first patch: an idle bridge does without their memory."""

    def submit(self, submission: Submission) -> Taken: ...

    def is_patch(self, text: bytes) -> bool: ...

    def split(self, data: bytes) -> Sequence[bytes]: ...

    def result(self, job: Job) -> Mapping[str, Any]: ...

    def refusal(self, error: Cannot) -> Mapping[str, Any]: ...


class Desk:
    """Submits, tells what was no patch, and remembers what failed for the moment."""

    def __init__(self, ledger: Ledger, rooms: Rooms, alive: Callable[[], None]) -> None:
        self.ledger = ledger
        self.rooms = rooms
        #: Called between two pieces of work.
        self.alive = alive
        self._failures: dict[str, int] = {}
        self._again: dict[str, float] = {}

    def tell(self, source: str, door: str, error: Cannot, *, lane: str | None = None, **more: Any) -> None:
        """The event and the log line of something that is no patch, or can not be read."""
        _LOG.warning("%s: %s", one_line(source), one_line(str(error)))
        told = {"door": door, "kind": error.kind, "message": str(error), "hint": error.hint, **more}
        self.ledger.append("ghost.system.intake", source, told, lane=lane)

    def failed(self, source: str, error: Exception) -> None:
        """A failure that will pass: told once, tried again with growing pauses."""
        count = self._failures[source] = self._failures.get(source, 0) + 1
        self._again[source] = time.monotonic() + rules.pause(count)
        if count == 1:
            _LOG.warning("%s: %s; trying again", one_line(source), one_line(str(error)))

    def worked(self, source: str) -> None:
        """It has passed, or the source is gone."""
        self._again.pop(source, None)
        if self._failures.pop(source, None):
            _LOG.info("%s: works again", one_line(source))

    def waits(self, source: str) -> bool:
        """Whether it failed and its pause is not over."""
        return self._again.get(source, 0.0) > time.monotonic()

    def failing(self, source: str) -> bool:
        return source in self._again

    def tried_again(self, source: str) -> None:
        """Let it be tried at the next chance, without a failure."""
        self._again[source] = 0.0

    def due(self, now: float) -> bool:
        """Whether a pause was over at `now` (monotonic)."""
        return any(again <= now for again in self._again.values())

    def forget(self, now: float) -> None:
        """Everything that was due at `now` has been tried: what is still due then has no source any more."""
        for source in [source for source, again in self._again.items() if again <= now]:
            self._again.pop(source)
            self._failures.pop(source, None)

    def next_try(self, source: str | None = None) -> float | None:
        """When (monotonic) the first pause is over, or that of one source."""
        return self._again.get(source) if source else min(self._again.values(), default=None)


def passing(error: Cannot) -> bool:
    """Whether the failure says nothing about the patch."""
    return error.kind in _PASSING or error.kind in _PASSING_REPOSITORY
