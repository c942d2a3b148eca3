"""Whether services are well, from the rows of `ghostd status`. Decides only: rows in, a word out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Services = Sequence[Mapping[str, Any]]


def unwell(services: Services, names: Iterable[str], restarts: Mapping[str, int]) -> str:
    """What is wrong with the first of `names` that is not well; empty where all are.

    `services` are rows of `ghostd status`; `restarts` tells how often each had been restarted when it was well.
    """
    rows = {row["name"]: row for row in services}
    for name in names:
        row = rows.get(name)
        if row is None:
            return f"service {name} is not there"
        if row["state"] != "RUNNING":
            return f"service {name} is {row['state']}"
        if not row["ready"] or row["healthy"] is False:
            return f"service {name} is not {'healthy' if row['ready'] else 'ready'}"
        if row["restarts"] != restarts.get(name, row["restarts"]):
            return f"service {name} was restarted ({row['why']})"
    return ""


def starting(services: Services, names: Iterable[str]) -> bool:
    """Whether one of them is on its way up."""
    wanted = set(names)
    return any(row["name"] in wanted and (row["state"] == "STARTING") for row in services)


def restarts(services: Services) -> dict[str, int]:
    """How often each service was restarted so far."""
    return {row["name"]: row["restarts"] for row in services}
