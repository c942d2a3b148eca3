"""What this machine has: found by really running a command in each layer, once in a process."""

from __future__ import annotations

import functools
import os
import tempfile
from dataclasses import replace
from pathlib import Path

from ghostd.model.service import Limits
from ghostd.sandbox import cgroups
from ghostd.sandbox.inside import landlock, seccomp
from ghostd.sandbox.launcher import Launched
from ghostd.sandbox.orders import orders, program
from ghostd.sandbox.rules import USER, Cell, Found, Machine, Plan, View

#: Shows what holds for the process that reads it.
_LOOK = ("cat", "/proc/self/status", "/proc/net/dev")
_PATH = "/usr/bin:/bin:/usr/local/bin"
_OWN = Plan(view=View.OWN, privileged=True)
_BARE = Plan(view=View.NONE, no_new_privs=True)


@functools.cache
def machine() -> Machine:
    """This machine, as far as this process can use it.

    Usually one run shows that all is there; only where it does not, each layer is tried by itself.
    """
    root, abi = os.geteuid() == 0, _abi()
    whole = replace(_OWN, own_network=True, landlock=abi.version, seccomp=True, no_new_privs=True, other_user=root)
    seen = _try(whole) if abi.version and seccomp.known(seccomp.machine()) else _Seen(error="a layer is missing")
    return _all_there(root, abi, seen) if _holds(seen, whole) else _one_by_one(root, abi)


@functools.cache
def bubblewrap() -> Found:
    """Whether bubblewrap works here."""
    if not program():
        return Found(there=False, why="bubblewrap is not installed")
    seen = _try(Plan(view=View.BUBBLEWRAP, own_network=True))
    return Found(there=not seen.error, why=seen.error or program())


class _Abi:
    """Landlock's version, or why there is none."""

    def __init__(self, version: int, why: str) -> None:
        self.version = version
        self.why = why


class _Seen:
    """What a trial showed."""

    def __init__(self, *, error: str = "", text: str = "", mapped: bool = False) -> None:
        self.error = error
        self.text = text
        self.mapped = mapped


def _abi() -> _Abi:
    try:
        version = landlock.version()
    except OSError as error:
        return _Abi(0, f"landlock: {error.strerror}")
    return _Abi(version, f"ABI {version}")


def _try(plan: Plan) -> _Seen:
    """Run the look in a cell of this plan."""
    with tempfile.TemporaryDirectory(prefix="ghost-probe-") as name:
        folder = Path(name)
        cell = Cell(writable=(folder,))
        told = orders(plan, cell, argv=_LOOK, cwd=folder, env={"PATH": _PATH}, limits=Limits(), group=cgroups.NO_GROUP)
        with Launched(told, cwd=folder) as launched:
            text = launched.output.read().decode(errors="replace")
            launched.wait()
            report = launched.report()
    if report.status != 0:
        return _Seen(error=report.error or text.strip()[-200:] or f"exit status {report.status}")
    return _Seen(text=text, mapped=USER in report.layers)


def _holds(seen: _Seen, plan: Plan) -> bool:
    """Whether the kernel itself says that what was asked for holds."""
    words = dict(line.partition(":")[::2] for line in seen.text.splitlines())
    wanted = {
        "NoNewPrivs": "1" if plan.no_new_privs else None,
        "Seccomp": "2" if plan.seccomp else None,
        "CapEff": "0" * 16 if plan.privileged else None,
    }
    alone = not plan.own_network or _interfaces(seen.text) == {"lo"}
    return not seen.error and alone and all(v is None or words.get(k, "").strip() == v for k, v in wanted.items())


def _interfaces(text: str) -> set[str]:
    """Names in /proc/net/dev, proc_net(5): after its two lines of headings."""
    _, _, table = text.partition("Inter-|")
    return {line.partition(":")[0].strip() for line in table.splitlines()[2:]}


def _all_there(root: bool, abi: _Abi, seen: _Seen) -> Machine:  # noqa: FBT001 - said by its name
    return Machine(
        root=root,
        namespaces=Found(there=True, why="own namespaces"),
        network=Found(there=True, why="a network namespace"),
        bubblewrap=Found(there=False, why="not needed"),
        no_new_privs=Found(there=True, why="prctl"),
        seccomp=Found(there=True, why=f"seccomp, {seccomp.machine()}"),
        landlock=Found(there=True, why=abi.why),
        abi=abi.version,
        other_user=_other_user(root, seen),
        controllers=controllers(),
        controllers_why=cgroups.why(),
    )


def _one_by_one(root: bool, abi: _Abi) -> Machine:  # noqa: FBT001 - said by its name
    namespaces, privileges = _found(_OWN, "own namespaces"), _found(_BARE, "prctl")
    known = seccomp.known(seccomp.machine())
    absent = Found(there=False, why=f"no table of call numbers for {seccomp.machine()}")
    return Machine(
        root=root,
        namespaces=namespaces,
        network=_found(replace(_OWN, own_network=True), "a network namespace"),
        bubblewrap=Found(there=False, why="not needed") if namespaces.there else bubblewrap(),
        no_new_privs=privileges,
        seccomp=_found(replace(_BARE, seccomp=True), f"seccomp, {seccomp.machine()}") if known else absent,
        landlock=_found(replace(_BARE, landlock=abi.version), abi.why)
        if abi.version
        else Found(there=False, why=abi.why),
        abi=abi.version,
        other_user=_other_user(root, _try(replace(_OWN, other_user=True)) if root else _Seen()),
        controllers=controllers(),
        controllers_why=cgroups.why(),
    )


def _found(plan: Plan, by: str) -> Found:
    seen = _try(plan)
    holds = _holds(seen, plan)
    return Found(there=holds, why=by if holds else seen.error or f"{by}: asked for, but not in force")


def _other_user(root: bool, seen: _Seen) -> Found:  # noqa: FBT001 - said by its name
    if not root:
        return Found(there=True, why="we are no root: the command runs as the user that we are")
    return Found(there=seen.mapped, why="nobody" if seen.mapped else seen.error or "no idmapped mounts here")


def controllers() -> frozenset[str]:
    """The limits that control groups hold here."""
    return frozenset({"memory", "pids", "cpu"} & set(cgroups.slots()))
