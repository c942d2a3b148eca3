"""CPU and memory of services, measured by whoever asks: the engine looks into nobody."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import psutil

#: Long enough for a figure, short enough for a command.
SAMPLE = 0.1


def measure(rows: Iterable[dict[str, Any]], *, cpu: bool) -> None:
    """Fill `memory_bytes`, and on request `cpu_percent`, of the services that run, with all that is below them."""
    families = [(row, _family(row["pid"])) for row in rows if row["pid"]]
    for row, family in families:
        row["memory_bytes"] = _memory(family)
    if cpu:
        before = [_seconds(family) for _, family in families]
        began = time.monotonic()
        time.sleep(SAMPLE)
        passed = time.monotonic() - began
        for (row, family), earlier in zip(families, before, strict=True):
            row["cpu_percent"] = round(max(0.0, 100 * (_seconds(family) - earlier) / passed), 1)


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _memory(family: list[psutil.Process]) -> int | None:
    found = [rss for process in family if (rss := _rss(process)) is not None]
    return sum(found) if found else None


def _rss(process: psutil.Process) -> int | None:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return None


def _seconds(family: list[psutil.Process]) -> float:
    total = 0.0
    for process in family:
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system
    return total
