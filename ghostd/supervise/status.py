"""The document of `ghostd status --json`, from what the engine knows. Pure: it looks at nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from ghostd.model.service import ServiceStatus
from ghostd.supervise import words
from ghostd.supervise.service import Service


def row(service: Service) -> dict[str, Any]:
    """One service. Its CPU and memory are for the asker to measure: the engine looks into nobody."""
    status = ServiceStatus(
        name=service.name,
        group=service.name,
        state=service.standing.value,
        ready=service.ready,
        healthy=None,
        pid=service.pid,
        uptime_s=round(service.body.age(), 3),
        restarts=service.restarts,
        exit=service.code,
        why=service.why,
        cpu_percent=None,
        memory_bytes=None,
        limits=service.spec.limits.as_json(),
    )
    return {
        **asdict(status),
        "autostart": service.spec.autostart,
        "said": service.body.said,
        "log": str(service.body.log.path),
    }


def document(
    services: Iterable[Service], *, pid: int, keeper: int, state: str, uptime: float, server_url: str
) -> dict[str, Any]:
    """The whole."""
    services = list(services)
    listen: dict[str, str] = {}
    for service in services:
        listen |= service.body.listen if service.pid else {}
    return {
        "pid": pid,
        "keeper_pid": keeper,
        "state": state,
        "uptime_s": round(uptime, 3),
        "supervisorctl": f"supervisorctl -s {server_url}",
        "listen": listen,
        "not_enforced": words.not_enforced(service.spec for service in services),
        "services": [row(service) for service in sorted(services, key=lambda service: service.name)],
    }
