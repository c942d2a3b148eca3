"""Find a workspace, and read its configuration into frozen settings with every problem told at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ghostd.base.errors import Cannot
from ghostd.config import presets, rules
from ghostd.config.problems import ERROR, BadConfig, Problem, dotted
from ghostd.config.read import Draft, read_files
from ghostd.model import settings as model
from ghostd.model.service import ServiceSpec

INSIDE_REPOSITORY = ".ghost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Settings that can be trusted, and what is odd about them all the same."""

    settings: model.Settings
    warnings: tuple[Problem, ...]


def find_workspace(start: Path, explicit: Path | None) -> Path | None:
    """The workspace that is named outright, else the nearest upward from `start`; None where there is none."""
    if explicit is not None:
        return (start / explicit).resolve()
    here = start.resolve()
    for folder in (here, *here.parents):
        for candidate in (folder / INSIDE_REPOSITORY, folder):
            if _is_workspace(candidate, marked=candidate is not folder):
                return _owned(candidate)
    return None


def _is_workspace(folder: Path, *, marked: bool) -> bool:
    """Whether `conf/ghost.toml` is there and, outside of a `.ghost` folder, `ghostd init` has marked the state."""
    places = model.Places(workspace=folder)
    return os.path.isfile(places.conf) and (marked or os.path.isfile(places.marker))  # noqa: PTH113 - never raises


def _owned(workspace: Path) -> Path:
    """Refuse what somebody else has laid in our way: a configuration names commands, which would run as us."""
    conf = model.Places(workspace=workspace).conf
    if conf.stat().st_uid in (os.geteuid(), 0):
        return workspace
    raise Cannot(
        f"trust {workspace}: its configuration belongs to another user",
        kind="foreign-workspace",
        hint=f"name it outright if you mean it: --workspace {workspace}",
    )


def load(workspace: Path) -> Loaded:
    """The settings of a workspace. Raises BadConfig with every problem."""
    workspace = workspace.resolve()
    conf = model.Places(workspace=workspace).conf
    settings, problems = _read(conf, workspace, repo_needed=True)
    if any(problem.level == ERROR for problem in problems):
        raise BadConfig(conf, problems)
    return Loaded(settings=settings, warnings=problems)


def check(file: Path) -> tuple[Problem, ...]:
    """Everything that is wrong or odd in a configuration file and the services beside it; nothing is raised or made."""
    file = file.resolve()
    workspace = file.parent.parent if file.parent.name == "conf" else file.parent
    # A template, like the project's own conf/ghost.toml, is no workspace yet: init will fill in the repository.
    made = model.Places(workspace=workspace).marker.exists()
    return _read(file, workspace, repo_needed=made)[1]


def home(workspace: Path) -> Path:
    """The folder that the workspace serves: the one that holds `.ghost/`, else the workspace itself."""
    return workspace.parent if workspace.name == INSIDE_REPOSITORY else workspace


def _read(conf: Path, workspace: Path, *, repo_needed: bool) -> tuple[model.Settings, tuple[Problem, ...]]:
    services = sorted((conf.parent / "services").glob("*.toml"))
    draft = read_files(conf, services, workspace)
    settings = _settings(draft, workspace)
    # Where the main file could not be read at all, everything would seem to be missing.
    if () in draft.origins.places:
        rules.compare(settings, draft.names, draft.origins)
        if repo_needed and workspace.name != INSIDE_REPOSITORY:
            _ask_for_repositories(draft)
    return settings, tuple(sorted(draft.found, key=lambda problem: (problem.file != conf, problem.file, problem.line)))


def _ask_for_repositories(draft: Draft) -> None:
    told = {problem.key for problem in draft.found}
    for name, lane in draft.named.get(rules.LANE, {}).items():
        place = draft.origins.of("lane", name)
        if "repo" not in lane and dotted((*place.path, "repo")) not in told:
            place.error("has no repo, which is needed outside of a .ghost folder")


def _settings(draft: Draft, workspace: Path) -> model.Settings:
    def plain(name: str) -> dict[str, Any]:
        return draft.plain.get((name,), {})

    ghost = {"name": home(workspace).name or "ghost", **plain("ghost")}
    limits = {"own_limits": ghost.pop("limits")} if "limits" in ghost else {}
    return model.Settings(
        workspace=workspace,
        ghost=model.GhostSettings(**ghost),
        lanes=_all(draft, rules.LANE, model.LaneSettings, repo=home(workspace)),
        gates=_gates(draft),
        services=_services(draft, workspace),
        listen=model.ListenSettings(**plain("listen")),
        bridges=_all(draft, ("bridge",), model.BridgeSettings),
        security=model.SecuritySettings(**plain("security")),
        alerts=model.AlertSettings(
            channels=_all(draft, rules.CHANNEL, model.ChannelSettings),
            routes=_all(draft, rules.ROUTE, model.RouteSettings),
            **plain("alerts"),
        ),
        monitor=model.MonitorSettings(**plain("monitor")),
        git=model.GitSettings(**plain("git")),
        store=model.StoreSettings(**plain("store")),
        **limits,
    )


def _all(draft: Draft, path: tuple[str, ...], make: Any, **defaults: Any) -> Mapping[str, Any]:
    return {name: make(**{"name": name, **defaults, **given}) for name, given in draft.named.get(path, {}).items()}


def _gates(draft: Draft) -> Mapping[str, model.GateSettings]:
    """A gate without a command can not run; the others are what they say, on top of their presets."""
    found = draft.named.get(rules.GATE, {})
    for name in [name for name, given in found.items() if not {"run", "preset"} & given.keys()]:
        place = draft.origins.of(*rules.GATE, name)
        told = dotted((*place.path, "run"))
        if not any(problem.key == told for problem in draft.found):
            place.error("has no run and no preset; one is needed")
        del found[name]
    return {name: presets.gate(name, given) for name, given in found.items()}


def _services(draft: Draft, workspace: Path) -> Mapping[str, ServiceSpec]:
    specs = {}
    for name, given in draft.named.get(rules.SERVICE, {}).items():
        from_file = given.pop("env_file", {})
        env = {**from_file, **given.pop("env", {})}
        cwd = str(given.pop("cwd", home(workspace)))
        specs[name] = replace(ServiceSpec(name=name, command=given["command"]), **{**given, "env": env, "cwd": cwd})
    return specs
