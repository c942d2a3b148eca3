"""Who starts before whom, who waits for whom, and who leaves first. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ghostd.base.errors import Cannot
from ghostd.model.service import ServiceSpec
from ghostd.supervise.rules import DOWN, State


def start_order(specs: Mapping[str, ServiceSpec]) -> tuple[str, ...]:
    """Every service after those that it requires or comes after; else as configured. Raises Cannot for a cycle."""
    order: list[str] = []
    trail: list[str] = []

    def visit(name: str) -> None:
        if name in trail:
            circle = " → ".join([*trail[trail.index(name) :], name])
            raise Cannot(
                f"order the services: {circle}", kind="bad-config", hint="break the circle of requires and after"
            )
        if name in order:
            return
        trail.append(name)
        for other in before(specs[name]):
            if other not in specs:
                raise Cannot(f"start {name}: it needs {other}, which is no service", kind="bad-config")
            visit(other)
        order.append(trail.pop())

    for name in specs:
        visit(name)
    return tuple(order)


def before(spec: ServiceSpec) -> tuple[str, ...]:
    """Who starts before this service, and stops after it."""
    return (*spec.requires, *spec.after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hindrance:
    """What keeps a service from being started now: `waits` for these, or `failed`, for good."""

    waits: tuple[str, ...] = ()
    failed: str = ""


def hindrance(spec: ServiceSpec, states: Mapping[str, State]) -> Hindrance:
    """Requirements have to be ready; what it only comes after has to be past its start."""
    for name in spec.requires:
        if states[name] in DOWN:
            return Hindrance(failed=f"requires {name}, which is {states[name]}")
    waits = [name for name in spec.requires if states[name] is not State.RUNNING]
    waits += [name for name in spec.after if states[name] is State.STARTING]
    return Hindrance(waits=tuple(waits))


def stops_now(name: str, leaving: Iterable[ServiceSpec]) -> bool:
    """Whether nobody who leaves too, and still runs, has to leave before this one."""
    return not any(name in before(spec) for spec in leaving)
