"""Resource limits of one process, as rlimits."""

from __future__ import annotations

import resource
from collections.abc import Collection

from ghostd.model.service import Limits


def rlimits(limits: Limits, controllers: Collection[str] = ()) -> tuple[tuple[int, int], ...]:
    """(RLIMIT_*, value) pairs for what `controllers`, the cgroup's, do not hold already.

    `cpu` is a share over time and `pids` counts a tree: no rlimit can hold them. RLIMIT_NPROC counts all processes of a
    user, who has others. RLIMIT_AS counts what is reserved, not what is used, and Node and Java reserve much: it stands
    in for `memory` only where there is no memory controller.
    """
    pairs = (
        (resource.RLIMIT_AS, None if "memory" in controllers else limits.memory),
        (resource.RLIMIT_NOFILE, limits.nofile),
        (resource.RLIMIT_CORE, limits.core),
        (resource.RLIMIT_CPU, None if limits.cpu_time is None else max(1, round(limits.cpu_time))),
    )
    return tuple((number, value) for number, value in pairs if value is not None)
