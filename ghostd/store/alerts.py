"""Alerts, and one delivery of each of their changes to each channel, written in the same transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ghostd.model.alert import Alert, Delivery, Finding
from ghostd.store import rows, rules
from ghostd.store.part import Part, Row, as_text

_ALL = -1
#: What targets are given for each severity.
Targets = Mapping[str, Sequence[str]]


class AlertTable(Part):
    """The alert table follows what the monitor sees; the outbox of deliveries follows the table."""

    def observe(self, findings: Iterable[Finding], *, targets: Targets, rules: Iterable[str]) -> None:
        # As the ledger will give it back, or a tuple in the data would look like a change at each look.
        seen = [replace(finding, data=json.loads(as_text(finding.data))) for finding in findings]
        examined = frozenset(rules)
        # Nearly every look finds nothing new, and then nobody has to wait for a write.
        if self._changes(seen, examined) is None:
            return
        with self._db.write():
            if (changes := self._changes(seen, examined)) is not None:
                self._bring_in_line(changes, targets)

    def alerts(self, *, open_only: bool = False, limit: int = 200) -> Sequence[Alert]:
        return [rows.alert(row) for row in self._db.all("open_alerts" if open_only else "newest_alerts", limit=limit)]

    def due(self, now: float, *, limit: int = 20) -> Sequence[Delivery]:
        return [rows.delivery(row) for row in self._db.all("due_deliveries", now=now, limit=limit)]

    def attempt(self, delivery: Delivery) -> None:
        with self._db.write():
            self._db.all("count_attempt", id=delivery.id)

    def delivered(self, delivery: Delivery) -> None:
        self._settle(delivery, "delivered", "", delivery.next_at)

    def put_off(self, delivery: Delivery, error: str, *, until: float | None) -> None:
        self._settle(delivery, "dead" if until is None else "waiting", error, until or delivery.next_at)

    def next_due(self) -> float | None:
        row = self._db.one("next_due_delivery")
        return None if row is None else row["due"]

    def dead_letters(self) -> Sequence[Delivery]:
        return [rows.delivery(row) for row in self._db.all("dead_letters")]

    def _changes(self, seen: Sequence[Finding], examined: frozenset[str]) -> rules.Changes | None:
        standing = self.alerts(open_only=True, limit=_ALL)
        return rules.compare(standing, seen, examined, self._clock.wall())

    def _bring_in_line(self, changes: rules.Changes, targets: Targets) -> None:
        for finding in changes.opened:
            self._announce("ghost.alert.opened", self._opened(finding), targets)
        for alert in changes.changed:
            self._announce("ghost.alert.opened", self._saved(alert), targets)
        for alert in changes.reworded:
            self._saved(alert)
        for alert in changes.resolved:
            self._announce("ghost.alert.resolved", self._saved(alert), targets)

    def _opened(self, finding: Finding) -> Alert:
        return _alert(
            self._db.one(
                "add_alert",
                fingerprint=finding.fingerprint,
                severity=finding.severity.value,
                title=finding.title,
                data=as_text(finding.data),
                now=self._clock.wall(),
            )
        )

    def _saved(self, alert: Alert) -> Alert:
        return _alert(
            self._db.one(
                "save_alert",
                id=alert.id,
                severity=alert.severity.value,
                state=alert.state.value,
                title=alert.title,
                data=as_text(alert.data),
                version=alert.version,
                resolved_at=alert.resolved_at,
            )
        )

    def _announce(self, type: str, alert: Alert, targets: Targets) -> None:
        told = _facts(alert)
        self._tell(type, alert.fingerprint, told, lane=None)
        for channel in targets.get(alert.severity.value, ()):
            # The time is in the key because numbers begin anew in a new ledger, and receivers remember.
            key = f"alert-{alert.id}.{alert.version}.{int(alert.opened_at)}.{channel}"
            self._db.all(
                "add_delivery",
                alert=alert.id,
                version=alert.version,
                channel=channel,
                key=key,
                payload=as_text({"key": key, "event": type, **told}),
                now=self._clock.wall(),
            )

    def _settle(self, delivery: Delivery, state: str, error: str, next_at: float) -> None:
        with self._db.write():
            self._db.all("save_delivery", id=delivery.id, state=state, error=error, next_at=next_at)


def _alert(row: Row | None) -> Alert:
    assert row is not None
    return rows.alert(row)


def _facts(alert: Alert) -> dict[str, object]:
    return {
        "alert": alert.id,
        "fingerprint": alert.fingerprint,
        "severity": alert.severity.value,
        "state": alert.state.value,
        "title": alert.title,
        "data": alert.data,
        "version": alert.version,
        "opened_at": alert.opened_at,
        "resolved_at": alert.resolved_at,
    }
