"""Rows of the ledger as values of the model."""

from __future__ import annotations

import json

from ghostd.model.alert import Alert, AlertState, Delivery, Severity
from ghostd.model.event import Event
from ghostd.model.job import Job, Kind, Landed, Origin, State
from ghostd.store.part import Row


def job(found: Row) -> Job:
    """A row of `jobs` with its body."""
    # A row looks for each name from its first column on.
    row = dict(zip(found.keys(), found, strict=True))
    return Job(
        seq=row["seq"],
        id=row["id"],
        kind=Kind(row["kind"]),
        state=State(row["state"]),
        lane=row["lane"],
        repo=row["repo"],
        branch=row["branch"],
        digest=row["digest"],
        body=row["body"],
        origin=Origin(door=row["door"], source=row["door_source"]),
        priority=row["priority"],
        phase=row["phase"],
        session=row["session"],
        title=row["title"],
        depends_on=() if row["depends_on"] == "[]" else tuple(json.loads(row["depends_on"])),
        options={} if row["options"] == "{}" else json.loads(row["options"]),
        received_at=row["received_at"],
        attempts=row["attempts"],
        not_before=row["not_before"],
        fence=row["fence"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        statement=row["statement"],
        result=None if row["result"] is None else json.loads(row["result"]),
        summary=row["summary"],
    )


def landed(row: Row) -> Landed:
    """A row of `landed`."""
    return Landed(
        commit=row["oid"],
        id=row["id"],
        digest=row["digest"],
        proof=row["proof"],
        lane=row["lane"],
        phase=row["phase"],
        reverts=tuple(json.loads(row["reverts"])),
        reapplies=tuple(json.loads(row["reapplies"])),
        restores=row["restores"],
    )


def event(row: Row) -> Event:
    """A row of `events`."""
    return Event(
        seq=row["seq"],
        type=row["type"],
        subject=row["subject"],
        time=row["time"],
        lane=row["lane"],
        data=json.loads(row["data"]),
    )


def alert(row: Row) -> Alert:
    """A row of `alerts`."""
    return Alert(
        id=row["id"],
        fingerprint=row["fingerprint"],
        severity=Severity(row["severity"]),
        state=AlertState(row["state"]),
        title=row["title"],
        data=json.loads(row["data"]),
        version=row["version"],
        opened_at=row["opened_at"],
        resolved_at=row["resolved_at"],
    )


def delivery(row: Row) -> Delivery:
    """A row of `deliveries`."""
    return Delivery(
        id=row["id"],
        key=row["key"],
        channel=row["channel"],
        payload=json.loads(row["payload"]),
        attempts=row["attempts"],
        next_at=row["next_at"],
        error=row["error"],
    )
