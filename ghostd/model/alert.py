"""Alerts: something a person should know, once, until it is gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class AlertState(StrEnum):
    OPEN = "open"
    ACKED = "acked"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a rule of the monitor sees right now. Its fingerprint names the cause (rule, component), never the text."""

    rule: str
    component: str
    severity: Severity
    title: str
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        return f"{self.rule}:{self.component}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A row of the alert table. `version` grows with each change, so that a late one can be told."""

    id: int
    fingerprint: str
    severity: Severity
    state: AlertState
    title: str
    data: Mapping[str, Any]
    version: int
    opened_at: float
    resolved_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One alert change on its way to one target; `key` travels in the payload so that a receiver can drop repeats."""

    id: int
    key: str
    channel: str
    payload: Mapping[str, Any]
    attempts: int
    #: Wall time before which it is not sent.
    next_at: float
    #: Why the last attempt failed.
    error: str = ""
