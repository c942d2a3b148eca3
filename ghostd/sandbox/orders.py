"""From a plan to the launcher's orders: a mapping of plain values, and bubblewrap's command line where it is used."""

from __future__ import annotations

import functools
import json
import os
import resource
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ghostd.model.service import Limits
from ghostd.sandbox import shown
from ghostd.sandbox.cgroups import Group
from ghostd.sandbox.inside import calls, landlock
from ghostd.sandbox.inside.launch import INNER_REPORT
from ghostd.sandbox.inside.view import PROC_RDONLY
from ghostd.sandbox.limits import rlimits
from ghostd.sandbox.rules import Cell, Plan, View

_PACKAGE = Path(__file__).resolve().parents[1]
_NO_CELL = Cell(writable=(), policy="off")
_DEVICES = tuple(f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts"))
_CLONES = calls.NEWNS | calls.NEWPID | calls.NEWIPC | calls.NEWUTS | calls.NEWCGROUP


def launcher() -> list[str]:
    """The launcher's command line: our own interpreter, without anything that a user or a site put into it."""
    code = "import sys; sys.path.append(sys.argv[1]); from ghostd.sandbox.inside.launch import main; main()"
    return [sys.executable, "-I", "-S", "-c", code, str(_PACKAGE.parent)]


def orders(
    plan: Plan,
    cell: Cell | None,
    *,
    argv: Sequence[str],
    cwd: Path,
    env: Mapping[str, str],
    limits: Limits,
    group: Group,
) -> dict[str, object]:
    """What the launcher is to do. Its keys are those that `inside/` reads."""
    room = cell or _NO_CELL
    path = _programs(argv, env)
    view = _shown(plan, room, path)
    told: dict[str, object] = {
        "argv": list(argv),
        "cwd": str(cwd),
        "env": dict(env),
        "rlimits": [*rlimits(limits, plan.controllers), *_processes(plan, limits)],
        "cgroups": list(group.joins),
        "parent": os.getpid(),
        "report": 0,
        "unshare": _unshare(plan),
        "loopback": plan.own_network,
        "other_user": plan.other_user,
        "privileged": plan.privileged,
        "no_new_privs": plan.no_new_privs,
        "landlock": plan.landlock,
        "rules": _rules(plan, room, path),
        "tcp": plan.tcp,
        "seccomp": plan.seccomp,
        "inet": plan.inet,
        "trees": list(view.trees),
        "links": list(view.links),
        "bubblewrap": [],
    }
    if plan.view is View.BUBBLEWRAP:
        # A launcher inside of it does the rest; the groups are joined and the parent is watched outside.
        inner = json.dumps(told | {"cgroups": [], "parent": 0, "report": INNER_REPORT})
        told |= {"bubblewrap": bubblewrap(view, network=room.network), "inner": inner}
    return told


def _programs(argv: Sequence[str], env: Mapping[str, str]) -> str:
    """The PATH of what the command needs to see: where its program lies, if it is named outright, and its own PATH."""
    named = [str(Path(argv[0]).parent)] if argv[0].startswith("/") else []
    return os.pathsep.join([*named, env.get("PATH", "")])


def _shown(plan: Plan, cell: Cell, path: str) -> shown.Shown:
    if plan.view is View.NONE:
        return shown.Shown(trees=(), links=())
    # Bubblewrap starts a launcher inside of the view: there it needs its own files.
    own = _interpreter() if plan.view is View.BUBBLEWRAP else ()
    return shown.shown(
        writable=cell.writable, readable=(*cell.readable, *own), hidden=cell.hidden, path=path, network=cell.network
    )


@functools.cache
def _interpreter() -> tuple[Path, ...]:
    places = (_PACKAGE, Path(sys.prefix), *shown.tools(str(Path(sys.executable).parent)))
    return tuple(dict.fromkeys(one for one in places if not any(str(one).startswith(s + "/") for s in shown.system())))


def _processes(plan: Plan, limits: Limits) -> list[tuple[int, int]]:
    """RLIMIT_NPROC where it counts what is in the cell only: in a user namespace of its own, since Linux 5.14."""
    counts = _unshare(plan) & calls.NEWUSER and "pids" not in plan.controllers
    return [(resource.RLIMIT_NPROC, limits.pids)] if counts and limits.pids is not None else []


def _unshare(plan: Plan) -> int:
    if plan.view is not View.OWN:
        return 0
    return _CLONES | (calls.NEWNET if plan.own_network else 0) | (0 if os.geteuid() == 0 else calls.NEWUSER)


def _rules(plan: Plan, cell: Cell, path: str) -> list[tuple[str, int]]:
    """Landlock's rows. Within a view it only has to keep writes where they belong; alone it is the view."""
    if not plan.landlock:
        return []
    whole = landlock.all_rights(plan.landlock)
    if plan.view is View.NONE:
        system = [folder for folder in shown.system() if folder != "/etc"] + shown.public_settings()
        readable = (*system, *map(str, (*cell.readable, *shown.tools(path))), "/proc")
        # Locks and shared memory live there, other users' too: alone, Landlock can not tell them apart.
        rows = [("/etc", landlock.LIST), *((one, landlock.READ) for one in readable), ("/dev/shm", whole)]  # noqa: S108 - see above
        rows += [(one, landlock.DEVICES) for one in _DEVICES]
    else:
        rows = [("/", landlock.READ), ("/tmp", whole), ("/dev/shm", whole), ("/dev", landlock.DEVICES)]  # noqa: S108 - the view's
        rows += [("/proc", landlock.IN_PROC)]
    return [*rows, *((str(folder), whole) for folder in cell.writable)]


_BY_KIND = {"system": "--ro-bind", "readable": "--ro-bind", "writable": "--bind"}


def bubblewrap(view: shown.Shown, *, network: bool) -> list[str]:
    """Its command line for this view, with our launcher as the command. bwrap(1)."""
    argv = [program(), "--unshare-all", *(["--share-net"] if network else []), "--die-with-parent", "--cap-drop", "ALL"]
    for target, place in view.links:
        argv += ["--symlink", target, place]
    argv += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--dir", "/run", "--dir", "/var/tmp"]  # noqa: S108 - the view's
    for part in PROC_RDONLY:
        # By itself it covers these only where it is not run by root.
        argv += ["--ro-bind-try", part, part]
    for kind, source, place in view.trees:
        match kind:
            case "hidden-folder":
                argv += ["--tmpfs", place]
            case "hidden-file":
                argv += ["--ro-bind", "/dev/null", place]
            case _:
                argv += [_BY_KIND[kind], source, place]
    for kind, _, place in view.trees:
        argv += ["--remount-ro", place] if kind == "hidden-folder" else []
    return [*argv, "--remount-ro", "/", "--", *launcher()]


def program() -> str:
    """Where bubblewrap is; "" where it is not installed."""
    folders = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/bin", "/usr/local/bin"]
    places = [Path(folder) / "bwrap" for folder in folders if folder.startswith("/")]
    return next((str(place) for place in places if os.access(place, os.X_OK)), "")
