"""What a supervised service is asked to be. Durations are seconds, sizes bytes, CPU a share of one core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class RestartWhen(StrEnum):
    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Pause before the n-th restart in a row: initial × factor^(n-1), at most `max`, ± jitter share."""

    #: Long enough that a crashing service does not burn a core, short enough that nobody notices one crash.
    initial: float = 0.1
    factor: float = 2.0
    max: float = 30.0
    jitter: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class StartLimit:
    """More than `burst` starts within `interval` end in FATAL; systemd's figures, which people know."""

    burst: int = 5
    interval: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """When a started service counts as ready: by notification, else when it has lived for `after` seconds."""

    notify: bool = False
    after: float = 0.0
    #: A service that is not ready by then is stopped and counts as failed.
    timeout: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a process may use; None is no limit."""

    #: Bytes: of a gate's whole tree where cgroups can hold it, else of each process's address space.
    memory: int | None = None
    #: Share of one core, 0.5 for "50%". Held for gates where cgroups are writable; `ghost doctor` tells.
    cpu: float | None = None
    pids: int | None = None
    nofile: int | None = None
    core: int | None = 0
    #: CPU seconds in all.
    cpu_time: float | None = None

    def as_json(self) -> dict[str, int | float]:
        """The limits that are set, by their configuration keys."""
        pairs = {key: getattr(self, key) for key in ("memory", "cpu", "pids", "nofile", "core", "cpu_time")}
        return {key: value for key, value in pairs.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    signal: str = "TERM"
    #: Seconds of grace before SIGKILL.
    timeout: float = 10.0
    #: Signal the whole process group.
    group: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFile:
    #: A service's log is rotated at this size; supervisor's own default.
    max_size: int = 50 * 1024 * 1024
    backups: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSpec:
    """Everything that the engine needs to keep one service alive."""

    name: str
    command: tuple[str, ...]
    #: Ours (bridge, gateway, …) or the user's.
    own: bool = False
    autostart: bool = True
    restart: RestartWhen = RestartWhen.ON_FAILURE
    exit_codes: tuple[int, ...] = (0,)
    backoff: Backoff = field(default_factory=Backoff)
    start_limit: StartLimit = field(default_factory=StartLimit)
    ready: Ready = field(default_factory=Ready)
    #: Started after these are ready, stopped before them; `after` orders only.
    requires: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    stop: Stop = field(default_factory=Stop)
    exit_on_failure: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    #: Absolute.
    cwd: str = "/"
    umask: int = 0o077
    nice: int = 0
    log: LogFile = field(default_factory=LogFile)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """One row of `ghostd status --json`, as the contract names it."""

    name: str
    group: str
    state: str
    ready: bool
    healthy: bool | None
    pid: int
    uptime_s: float
    restarts: int
    exit: int | None
    why: str
    cpu_percent: float | None
    memory_bytes: int | None
    limits: Mapping[str, int | float]
