"""Resource limits of one command, as rlimits set between fork and exec."""

from __future__ import annotations

import resource
from collections.abc import Callable

from ghostd.model.service import Limits


def rlimits(limits: Limits) -> tuple[tuple[int, int], ...]:
    """(RLIMIT_*, value) pairs. `cpu` is a share over time, which no rlimit can hold: it is not among them.

    RLIMIT_NPROC counts all processes of a user and does nothing for root: `pids` is a limit for ordinary users only.
    """
    pairs = (
        (resource.RLIMIT_AS, limits.memory),
        (resource.RLIMIT_NOFILE, limits.nofile),
        (resource.RLIMIT_CORE, limits.core),
        (resource.RLIMIT_CPU, None if limits.cpu_time is None else max(1, round(limits.cpu_time))),
    )
    return tuple((number, value) for number, value in pairs if value is not None)


def setter(limits: Limits) -> Callable[[], None]:
    """A function for the child, between fork and exec. It can only lower: never above the hard limit that is there."""
    pairs = rlimits(limits)

    def apply() -> None:
        for number, value in pairs:
            hard = resource.getrlimit(number)[1]
            capped = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(number, (capped, capped))

    return apply
