"""Events: what happened, in the order in which it happened. CloudEvents 1.0 fields plus `seq`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ghostd.base.clock import rfc3339

#: Every type there is. docs/reference/events.md is generated from this table.
TYPES: Mapping[str, str] = {
    "ghost.patch.received": "A submission was made durable and has its receipt.",
    "ghost.patch.queued": "A job waits in its lane, at first or again.",
    "ghost.patch.claimed": "A worker holds the lease of the job.",
    "ghost.patch.checked": "Its changes fit in memory; what runs for it comes now.",
    "ghost.patch.gate": "A gate gave its verdict.",
    "ghost.patch.applied": "The commit is on the working branch.",
    "ghost.patch.rejected": "A verdict on the patch: it will not be applied as it is.",
    "ghost.patch.failed": "No verdict could be had.",
    "ghost.patch.retry": "The attempt ended without a verdict; there will be another.",
    "ghost.patch.held": "Kept back by its owner until it is released.",
    "ghost.patch.cancelled": "Taken out of the queue by its owner.",
    "ghost.patch.reverted": "The patch was taken back by a revert commit.",
    "ghost.patch.reapplied": "A rollback was rolled back, which brought the patch back.",
    "ghost.patch.outside": "A client reported an event of its own; nothing was changed.",
    "ghost.phase.frozen": "A phase was tagged and takes no more patches.",
    "ghost.phase.thawed": "A phase takes patches again.",
    "ghost.phase.restored": "The working branch has the tree of a phase's tag again.",
    "ghost.service.state": "A supervised service changed its state.",
    "ghost.service.health": "A service became healthy or unhealthy.",
    "ghost.alert.opened": "An alert was opened.",
    "ghost.alert.acked": "Somebody has seen an alert.",
    "ghost.alert.resolved": "The cause of an alert is gone.",
    "ghost.system.intake": "A door met something that is no patch, or could not read its source.",
    "ghost.system.lane": "A lane was paused or resumed.",
    "ghost.system.recovered": "A start found traces of a crash and mended them.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One row of the outbox. `time` is wall seconds; `subject` a patch id, service or alert."""

    seq: int
    type: str
    subject: str
    time: float
    data: Mapping[str, Any]
    lane: str | None = None

    def as_json(self, source: str = "/ghost") -> dict[str, Any]:
        """The event as a CloudEvents 1.0 object."""
        return {
            "specversion": "1.0",
            "id": f"{source}/{self.seq}",
            "source": source,
            "type": self.type,
            "subject": self.subject,
            "time": rfc3339(self.time),
            "seq": self.seq,
            "lane": self.lane,
            "datacontenttype": "application/json",
            "data": dict(self.data),
        }
