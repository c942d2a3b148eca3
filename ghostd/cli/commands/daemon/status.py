"""`ghostd status`: the services, their states, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from ghostd.base.errors import Cannot
from ghostd.base.log import one_line
from ghostd.cli import output
from ghostd.cli.commands.daemon import here
from ghostd.cli.commands.daemon.measure import measure
from ghostd.cli.verbs import Asked, common
from ghostd.supervise.client import Control

_HEADINGS = ("SERVICE", "STATE", "READY", "PID", "UPTIME", "RESTARTS", "MEMORY", "LIMITS", "WHY")
_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


@click.command("status")
@click.argument("services", nargs=-1, metavar="[SERVICE]...")
@common
def command(asked: Asked, services: tuple[str, ...]) -> None:
    """Show the services, or those that are named: state, process, restarts, memory, limits, cause of the last change.

    \b
    Example:
      ghostd status --json
    """
    where = here.places(asked)
    control = Control(where.control)
    if not control.alive():
        raise here.not_running(where)
    document = control.status()
    rows = document["services"] = _chosen(document["services"], services)
    measure(rows, cpu=asked.json)
    if asked.json:
        output.emit(document)
    else:
        _tell(document, rows, asked)


def _chosen(rows: list[dict[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    known = {row["name"]: row for row in rows}
    for name in names:
        if name not in known:
            hint = f"there are {', '.join(known)}"
            raise Cannot(f"find a service {name}", kind="no-service", hint=hint, service=name)
    return [known[name] for name in names] if names else rows


def _tell(document: Mapping[str, Any], rows: Iterable[Mapping[str, Any]], asked: Asked) -> None:
    output.table(_HEADINGS, map(_cells, rows))
    if asked.verbosity < 0:
        return
    output.say(f"\nghostd {document['state']}, pid {document['pid']}, up {duration(document['uptime_s'])}")
    for name, address in document["listen"].items():
        output.say(f"{one_line(name)} listens on {one_line(address)}")
    for limit, names in document["not_enforced"].items():
        output.say(f"limit {limit} can not be enforced by rlimits (asked for by {one_line(', '.join(names), 60)})")
    output.say(document["supervisorctl"])


def _cells(row: Mapping[str, Any]) -> tuple[object, ...]:
    return (
        row["name"],
        row["state"],
        "yes" if row["ready"] else "no",
        row["pid"] or "-",
        duration(row["uptime_s"]) if row["pid"] else "-",
        row["restarts"],
        size(row["memory_bytes"]) if row["memory_bytes"] is not None else "-",
        " ".join(_limit(key, value) for key, value in row["limits"].items()) or "-",
        here.why(row),
    )


def _limit(key: str, value: float) -> str:
    match key:
        case "memory":
            return f"memory={size(int(value))}"
        case "cpu":
            return f"cpu={value:.0%}"
        case "cpu_time":
            return f"cpu_time={duration(value)}"
        case _:
            return f"{key}={value}"


def duration(seconds: float) -> str:
    """The two greatest units: `3h5m`."""
    left = int(seconds)
    words: list[str] = []
    for length, unit in _UNITS:
        if left >= length or words:
            words.append(f"{left // length}{unit}")
            left %= length
    return "".join(words[:2]) or "0s"


def size(count: int) -> str:
    """Bytes in the greatest unit: `12M`."""
    value = float(count)
    for unit in ("B", "K", "M", "G"):
        if value < 1024:  # noqa: PLR2004 - the unit's own size
            return f"{value:.0f}{unit}" if value >= 10 or unit == "B" else f"{value:.1f}{unit}"  # noqa: PLR2004 - digits
        value /= 1024
    return f"{value:.1f}T"
