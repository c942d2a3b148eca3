"""What must be true of a configuration as a whole: names that are used exist, names that are made differ."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import pairwise

from ghostd.config.problems import Origins, nearest
from ghostd.model.settings import Settings

LANE, GATE, SERVICE, CHANNEL, ROUTE = ("lane",), ("gate",), ("service",), ("alert", "channel"), ("alert", "route")
Names = Mapping[tuple[str, ...], Collection[str]]


def own_services(lanes: Iterable[str]) -> tuple[str, ...]:
    """The services that ghost brings itself."""
    return ("bridge", "gateway", *(f"executor-{lane}" for lane in lanes), "status-api", "monitor", "alerter")


def compare(settings: Settings, names: Names, origins: Origins) -> None:
    """Tell everything that does not fit together. `names` has all things that exist, however wrong each may be."""
    _lanes(settings, names, origins)
    _services(settings, names, origins)
    _alerts(settings, names, origins)
    _ports(settings, origins)


def _lanes(settings: Settings, names: Names, origins: Origins) -> None:
    if not names.get(LANE):
        origins.of().error("has no lane; one is needed, for example [lane.MAIN]")
    gates = names.get(GATE, ())
    services = {*own_services(names.get(LANE, ())), *names.get(SERVICE, ())}
    taken = {lane: lane for lane in names.get(LANE, ())}
    default = ""
    for lane in settings.lanes.values():
        for index, gate in enumerate(lane.gates):
            if gate not in gates:
                origins.of(*LANE, lane.name, "gates", index).error(f"there is no gate {gate}{nearest(gate, gates)}")
        for index, service in enumerate(lane.services):
            if service not in services:
                place = origins.of(*LANE, lane.name, "services", index)
                place.error(f"there is no service {service}{nearest(service, services)}")
        for index, alias in enumerate(lane.aliases):
            if taken.setdefault(alias, lane.name) != lane.name or alias == lane.name:
                where = origins.of(*LANE, lane.name, "aliases", index)
                where.error(f"{alias} is the name or an alias of lane {taken[alias]} already")
        if lane.default and default:
            origins.of(*LANE, lane.name, "default").error(f"lane {default} is the default already")
        default = default or (lane.name if lane.default else "")


def _services(settings: Settings, names: Names, origins: Origins) -> None:
    own = own_services(names.get(LANE, ()))
    every = {*own, *names.get(SERVICE, ())}
    for name in names.get(SERVICE, ()):
        if name in own or name.startswith("executor-"):
            origins.of(*SERVICE, name).error("is the name of one of ghost's own services")
    for spec in settings.services.values():
        for key in ("requires", "after"):
            for index, needed in enumerate(getattr(spec, key)):
                if needed not in every:
                    where = origins.of(*SERVICE, spec.name, key, index)
                    where.error(f"there is no service {needed}{nearest(needed, every)}")
    for cycle in cycles({s.name: (*s.requires, *s.after) for s in settings.services.values()}):
        key = "requires" if cycle[1] in settings.services[cycle[0]].requires else "after"
        origins.of(*SERVICE, cycle[0], key).error(f"goes in a circle: {' → '.join(cycle)}")


def cycles(edges: Mapping[str, Iterable[str]]) -> list[tuple[str, ...]]:
    """Each circle once, from its alphabetically first member back to it."""
    found: set[tuple[str, ...]] = set()
    done: set[str] = set()
    for start in edges:
        path: list[str] = []
        stack = [(start, iter(edges[start]))] if start not in done else []
        while stack:
            name, rest = stack[-1]
            if len(path) < len(stack):
                path.append(name)
            follow = next((n for n in rest if n in edges and n not in done), None)
            if follow is None:
                done.add(name)
                stack.pop()
                path.pop()
            elif follow in path:
                found.add(_from_first(path[path.index(follow) :]))
            else:
                stack.append((follow, iter(edges[follow])))
    return sorted(found)


def _from_first(circle: list[str]) -> tuple[str, ...]:
    turn = circle.index(min(circle))
    return (*circle[turn:], *circle[:turn], circle[turn])


def _alerts(settings: Settings, names: Names, origins: Origins) -> None:
    channels = names.get(CHANNEL, ())
    for channel in settings.alerts.channels.values():
        if channel.type == "webhook" and not channel.url:
            origins.of(*CHANNEL, channel.name).error("has no url, which a webhook needs")
    for route in settings.alerts.routes.values():
        for index, name in enumerate(route.channels):
            if name not in channels:
                where = origins.of(*ROUTE, route.name, "channels", index)
                where.error(f"there is no channel {name}{nearest(name, channels)}")


def _ports(settings: Settings, origins: Origins) -> None:
    """Two listeners on one address: the second could never be bound."""
    addresses = [(getattr(settings.listen, name), name) for name in type(settings.listen).__dataclass_fields__]
    taken = sorted(pair for pair in addresses if pair[0] and not pair[0].endswith(":0"))
    for (first, one), (second, other) in pairwise(taken):
        if first == second:
            origins.of("listen", other).error(f"{second} is the address of {one} already")
