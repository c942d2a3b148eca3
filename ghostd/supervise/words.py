"""The sentences in which a service's fate is told. Pure."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable

from ghostd.model.service import ServiceSpec

_STAGES = {
    "user": "become its user",
    "cwd": "change to its folder",
    "limits": "set its limits",
    "nice": "set its nice value",
    "notify": "make its notify socket",
}


def ended(code: int | None, spec: ServiceSpec) -> str:
    """How a process ended."""
    if code is None:
        return "exit status unknown (ended while unwatched)"
    if code >= 0:
        return f"exit status {code}"
    if -code == signal.SIGXCPU and spec.limits.cpu_time is not None:
        return f"out of CPU time (limit {spec.limits.cpu_time:g} s)"
    return f"killed by {signal_name(-code)}"


def not_started(spec: ServiceSpec, code: int, stage: str) -> str:
    """Why a process could not be started."""
    what = _STAGES.get(stage, f"run {spec.command[0]}")
    place = f" {spec.cwd}" if stage == "cwd" else ""
    return f"cannot {what}{place}: {os.strerror(code)}"


def not_ready(spec: ServiceSpec) -> str:
    """Why a service is stopped that did not say in time that it works."""
    return f"not ready within {spec.ready.timeout:g} s"


def signal_name(number: int) -> str:
    """`SIGKILL` for 9."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def signal_number(name: str) -> int:
    """`TERM`, `SIGTERM` or `15`; TERM for what is none."""
    if name.isdigit():
        return int(name)
    full = name.upper() if name.upper().startswith("SIG") else f"SIG{name.upper()}"
    return int(getattr(signal, full, signal.SIGTERM))


def not_enforced(specs: Iterable[ServiceSpec]) -> dict[str, list[str]]:
    """Limits that are asked for and that rlimits can not give, with the services that ask for them.

    RLIMIT_NPROC counts all processes of a user, so it says something only about a user that a service has for itself.
    """
    asked: dict[str, list[str]] = {}
    for spec in specs:
        if spec.limits.cpu is not None:
            asked.setdefault("cpu", []).append(spec.name)
        if spec.limits.pids is not None and spec.user is None:
            asked.setdefault("pids", []).append(spec.name)
    return asked
