"""What is worth an alert, and what the health file says: a snapshot in, findings out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ghostd.base.clock import rfc3339
from ghostd.model.alert import Finding, Severity
from ghostd.model.job import Job
from ghostd.model.settings import MonitorSettings

#: A crashed service is back within a second; what lasts longer than this does not mend itself at once.
MOMENT = 5.0
#: The supervisor gives a service so long to become ready or to stop.
PATIENCE = 30.0
#: More stale patches than this have one cause, and one look at the oldest tells it.
MOST = 50
_OWN = frozenset({"bridge", "gateway", "status-api", "monitor", "alerter"})
_EXECUTOR = "executor-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One supervised service, by the supervisor's words."""

    name: str
    state: str
    ready: bool
    why: str = ""
    exit: int | None = None
    healthy: bool | None = None

    @property
    def own(self) -> bool:
        return self.name in _OWN or self.name.startswith(_EXECUTOR)

    @property
    def well(self) -> bool:
        """Whether it works, or is meant not to."""
        match self.state:
            case "RUNNING":
                return self.ready and self.healthy is not False
            case "STOPPED":
                return True
            case "EXITED":
                return not self.own and self.exit in (0, None)
            case _:
                return False

    @property
    def works(self) -> bool:
        return self.state == "RUNNING" and self.ready

    @property
    def given_up(self) -> bool:
        """It will not come back by itself."""
        return self.state in ("FATAL", "EXITED")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """How things stand at one look."""

    wall: float
    #: None: the supervisor could not be asked.
    services: tuple[Service, ...] | None
    #: Jobs that are queued or running, by lane; each lane has an entry.
    waiting: Mapping[str, int]
    paused: frozenset[str] = frozenset()
    #: The oldest jobs that are not terminal.
    oldest: Sequence[Job] = ()
    #: Free bytes where the workspace is.
    disk_free: int
    #: Drop folders that are not there, by lane.
    folderless: frozenset[str] = frozenset()

    def service(self, name: str) -> Service | None:
        return next((service for service in self.services or () if service.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The findings, and the names of the rules that could be examined: only theirs may be resolved."""

    findings: tuple[Finding, ...]
    rules: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lasting:
    """Since when (monotonic) each symptom has been there without a break."""

    since: Mapping[str, float] = field(default_factory=dict)
    now: float = 0.0

    def of(self, symptom: str) -> float:
        return self.now - self.since.get(symptom, self.now)


def lasting(before: Lasting, snapshot: Snapshot, now: float) -> Lasting:
    """What has lasted, after one more look."""
    return Lasting(since={symptom: before.since.get(symptom, now) for symptom in _symptoms(snapshot)}, now=now)


def _symptoms(snapshot: Snapshot) -> Iterator[str]:
    if snapshot.services is None:
        yield "supervisor"
    yield from (f"service:{service.name}" for service in snapshot.services or () if not service.well)
    yield from (f"executor:{lane}" for lane in snapshot.waiting if not _executor_works(snapshot, lane))
    yield from (f"drop-folder:{lane}" for lane in snapshot.folderless)


def _executor_works(snapshot: Snapshot, lane: str) -> bool:
    service = snapshot.service(_EXECUTOR + lane)
    return service is not None and service.works


# The rules ------------------------------------------------------------------------------------------------------


#: One rule; it gives None where it can not be examined now.
Rule = Callable[[Snapshot, MonitorSettings, Lasting], Iterable[Finding] | None]


def examine(snapshot: Snapshot, settings: MonitorSettings, lasting: Lasting) -> Verdict:
    """Apply every rule of the table."""
    found = {name: rule(snapshot, settings, lasting) for name, rule in RULES.items()}
    known = {name: tuple(findings) for name, findings in found.items() if findings is not None}
    return Verdict(findings=tuple(one for findings in known.values() for one in findings), rules=frozenset(known))


def _supervisor(snapshot: Snapshot, _: MonitorSettings, lasting: Lasting) -> Iterator[Finding]:
    if snapshot.services is None and lasting.of("supervisor") > MOMENT:
        title = "the supervisor does not answer"
        yield Finding(rule="supervisor", component="ghostd", severity=Severity.CRITICAL, title=title)


def _service(snapshot: Snapshot, _: MonitorSettings, lasting: Lasting) -> Iterator[Finding] | None:
    if snapshot.services is None:
        return None
    return (_dead(one) for one in snapshot.services if not one.well and _too_long(one, lasting))


def _too_long(service: Service, lasting: Lasting) -> bool:
    if service.given_up:
        return True
    return lasting.of(f"service:{service.name}") > (MOMENT if service.state == "BACKOFF" else PATIENCE)


def _dead(service: Service) -> Finding:
    how = "is not ready" if service.state == "RUNNING" and not service.ready else f"is {service.state}"
    how = "is unhealthy" if service.state == "RUNNING" and service.ready else how
    return Finding(
        rule="service",
        component=service.name,
        severity=Severity.CRITICAL if service.own or service.given_up else Severity.WARNING,
        title=f"service {service.name} {how}" + (f": {service.why}" if service.why else ""),
        data={"service": service.name, "state": service.state, "why": service.why},
    )


def _executor(snapshot: Snapshot, _: MonitorSettings, lasting: Lasting) -> Iterator[Finding] | None:
    if snapshot.services is None:
        return None
    return (
        Finding(
            rule="executor",
            component=lane,
            severity=Severity.CRITICAL,
            title=f"patches wait in lane {lane} and its executor does not work",
            data={"lane": lane, "service": _EXECUTOR + lane},
        )
        for lane, count in snapshot.waiting.items()
        if count and not _executor_works(snapshot, lane) and lasting.of(f"executor:{lane}") > MOMENT
    )


def _stale(snapshot: Snapshot, settings: MonitorSettings, _: Lasting) -> Iterator[Finding]:
    for job in snapshot.oldest:
        if snapshot.wall - _last_sign(job) > settings.stale_after:
            paused = "; its lane is paused" if job.lane in snapshot.paused else ""
            yield Finding(
                rule="patch-stale",
                component=job.id,
                severity=Severity.WARNING,
                title=f"patch {job.id} is {job.state.value} for too long in lane {job.lane}{paused}",
                data={"id": job.id, "lane": job.lane, "state": job.state.value, "attempts": job.attempts},
            )


def _last_sign(job: Job) -> float:
    """When something last happened to it: it came, was begun, or was put off until then."""
    return max(float(job.received_at), job.started_at or 0.0, job.not_before)


def _disk(snapshot: Snapshot, settings: MonitorSettings, _: Lasting) -> Iterator[Finding]:
    if snapshot.disk_free < settings.disk_free:
        title = f"less than {settings.disk_free >> 20} MiB are free on the disk of the workspace"
        data = {"least_bytes": settings.disk_free}
        yield Finding(rule="disk", component="workspace", severity=Severity.CRITICAL, title=title, data=data)


def _folder(snapshot: Snapshot, _: MonitorSettings, lasting: Lasting) -> Iterator[Finding]:
    for lane in sorted(snapshot.folderless):
        if lasting.of(f"drop-folder:{lane}") > MOMENT:
            title = f"the drop folder of lane {lane} is missing"
            yield Finding(
                rule="drop-folder", component=lane, severity=Severity.WARNING, title=title, data={"lane": lane}
            )


#: Every rule by the name that its fingerprints begin with.
RULES: Mapping[str, Rule] = {
    "supervisor": _supervisor,
    "service": _service,
    "executor": _executor,
    "patch-stale": _stale,
    "disk": _disk,
    "drop-folder": _folder,
}


# The health file ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """What a look at the webhook's door gave. `webhook` is `operational`, `down`, `no-secret` or `off`."""

    bound: bool
    responsive: bool
    webhook: str


def health(
    snapshot: Snapshot, gateway: Gateway, *, writable: bool, metrics: Mapping[str, Any], version: str
) -> dict[str, Any]:
    """The component form of health as the monitor sees it."""
    running = [_executor_works(snapshot, lane) for lane in snapshot.waiting]
    executors = None if snapshot.services is None else running
    return component_form(
        gateway, executors, writable=writable, metrics=metrics, time=rfc3339(snapshot.wall), version=version
    )


def component_form(
    gateway: Gateway,
    executors: Sequence[bool] | None,
    *,
    writable: bool,
    metrics: Mapping[str, Any],
    time: str,
    version: str,
) -> dict[str, Any]:
    """Health under the original's names, whatever is behind them today.

    `executors`: whether each works; None where the supervisor could not be asked.
    """
    # A door that its owner has switched off is not amiss.
    operational = gateway.bound and gateway.responsive and gateway.webhook == "operational"
    well = writable and (operational or gateway.webhook == "off")
    return {
        "components": {
            "flask_responsive": gateway.responsive,
            "fs_writable": writable,
            "ghost_runner": "up" if any(executors or ()) else "down",
            "port_5555_bound": gateway.bound,
            "webhook_endpoint": gateway.webhook,
        },
        "overall_status": _overall(executors, well=well),
        "system_metrics": dict(metrics),
        "timestamp": time,
        "version": version,
    }


def _overall(executors: Sequence[bool] | None, *, well: bool) -> str:
    if well and executors and all(executors):
        return "healthy"
    return "unknown" if well and executors is None else "degraded"


# The engine's journal -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """The newest entry that was copied: its number, and its time for the day when the numbers begin anew."""

    number: int = 0
    time: float = 0.0


def to_copy(entries: Iterable[Mapping[str, Any]], copied: Copied) -> list[Mapping[str, Any]]:
    """The entries that are new, oldest first. Where all numbers are lower than known, the journal was begun anew."""
    found = sorted(entries, key=lambda entry: int(entry["seq"]))
    if found and int(found[-1]["seq"]) < copied.number:
        return [entry for entry in found if float(entry.get("time", 0.0)) > copied.time]
    return [entry for entry in found if int(entry["seq"]) > copied.number]
