"""Which layers shut a command in: decided from what the machine has and what the policy asks for. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from ghostd.base.errors import Cannot

VIEW, NETWORK, KILL, PRIVILEGES, FILTER = (
    "file-system view", "network", "whole-tree kill", "no new privileges", "system-call filter",
)  # fmt: skip
LANDLOCK, USER, MEMORY, PIDS, CPU, RLIMITS = (
    "landlock", "another user", "memory limit", "process limit", "cpu limit", "rlimits",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What people are told of a layer."""

    #: Without it, `required` runs nothing.
    required: bool
    purpose: str
    #: How a machine comes to have it.
    get: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The room that a command runs in; everything that is not named here is not there for it.

    The system (`/usr`, `/etc`, …) and the tools that its PATH names can be read in every cell.
    """

    #: Absolute folders that it may change; the working folder has to be in one of them.
    writable: tuple[Path, ...]
    #: Absolute files and folders that it may read beside the system.
    readable: tuple[Path, ...] = ()
    #: Absolute paths that it may not see even where something readable contains them: repository, state, secrets.
    hidden: tuple[Path, ...] = ()
    #: Whether it reaches the network; without, it has a loopback of its own and nothing else.
    network: bool = False
    #: `required`: nothing runs where a layer of the required set is missing; `best-effort`: with what is there; `off`.
    policy: str = "best-effort"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One thing that shuts a command in: whether this machine has it, and by what, or why not."""

    name: str
    there: bool
    why: str


_NAMESPACES = "install bubblewrap, or allow user namespaces (sysctl user.max_user_namespaces, AppArmor's userns rules)"
LAYERS = {
    VIEW: Known(
        required=True, purpose="sees its folder and a read-only system: no repository, ledger, secret or home",
        get=_NAMESPACES,
    ),
    NETWORK: Known(required=True, purpose="reaches nothing but a loopback of its own", get=_NAMESPACES),
    KILL: Known(required=True, purpose="nothing that it started outlives it or sees our processes", get=_NAMESPACES),
    PRIVILEGES: Known(required=True, purpose="no set-uid program gives it rights", get="Linux 3.5 or newer"),
    FILTER: Known(
        required=True, purpose="no mount, ptrace, bpf, keys, kernel modules or namespaces of its own",
        get="a kernel with CONFIG_SECCOMP_FILTER, on x86_64 or aarch64",
    ),
    LANDLOCK: Known(
        required=False, purpose="a second lock on the files, whatever is mounted",
        get="Linux 5.13 or newer with landlock in the kernel's lsm= list",
    ),
    USER: Known(
        required=False, purpose="runs as nobody where we are root",
        get="Linux 5.12 or newer, and a file system that knows idmapped mounts (ext4, xfs, btrfs, tmpfs since 6.3)",
    ),
    MEMORY: Known(
        required=False, purpose="memory of the whole tree; else each process's address space is limited",
        get="a writable memory controller (systemd: Delegate=yes with DelegateSubgroup=)",
    ),
    PIDS: Known(
        required=False, purpose="stops fork bombs; else an ordinary user's own limit does",
        get="a writable pids controller",
    ),
    CPU: Known(required=False, purpose="the share of the processors", get="a writable cpu controller"),
    RLIMITS: Known(required=False, purpose="open files, core dumps, processor seconds", get=""),
}  # fmt: skip
_CONTROLLERS = {"memory": MEMORY, "pids": PIDS, "cpu": CPU}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Whether something worked when it was tried, and what it is, or why it did not."""

    there: bool
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What was found by trying, once in a process."""

    root: bool
    #: Mount, PID, IPC, host name and user namespaces of our own with the view built in them.
    namespaces: Found
    #: A network namespace with a working loopback.
    network: Found
    bubblewrap: Found
    no_new_privs: Found
    seccomp: Found
    #: Its `why` names the ABI version.
    landlock: Found
    abi: int
    #: Mounts that show our files as another user's.
    other_user: Found
    #: Controllers that take a new group of ours: memory, pids, cpu.
    controllers: frozenset[str]
    controllers_why: str = ""


class View(StrEnum):
    OWN = "own namespaces"
    BUBBLEWRAP = "bubblewrap"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one command is run."""

    view: View
    #: A network namespace of its own.
    own_network: bool = False
    #: Internet sockets may be made.
    inet: bool = True
    #: Landlock lets TCP through.
    tcp: bool = True
    #: The version to use, 0 for none.
    landlock: int = 0
    seccomp: bool = False
    no_new_privs: bool = False
    other_user: bool = False
    #: Whether there are capabilities to give up before the command begins.
    privileged: bool = False
    controllers: frozenset[str] = frozenset()
    #: Names of the layers that hold for this command.
    layers: tuple[str, ...] = ()


def found(machine: Machine) -> dict[str, Found]:
    """Each layer by name: whether this machine has it, and by what."""
    view = machine.namespaces if machine.namespaces.there else machine.bubblewrap
    if not view.there:
        reasons = f"{machine.namespaces.why}; {machine.bubblewrap.why}"
        view = Found(there=False, why=reasons.strip("; "))
    controllers = {
        name: Found(there=word in machine.controllers, why=machine.controllers_why)
        for word, name in _CONTROLLERS.items()
    }
    return {
        VIEW: view,
        NETWORK: _network(machine, view),
        KILL: view,
        PRIVILEGES: machine.no_new_privs,
        FILTER: machine.seccomp,
        LANDLOCK: machine.landlock,
        USER: machine.other_user,
        **controllers,
        RLIMITS: Found(there=True, why="setrlimit"),
    }


def _network(machine: Machine, view: Found) -> Found:
    if machine.namespaces.there and machine.network.there:
        return machine.network
    if view.there and not machine.namespaces.there:
        return view
    if machine.seccomp.there:
        return Found(there=True, why="seccomp refuses internet sockets, loopback too")
    # A network namespace is made together with the view or not at all.
    return Found(there=False, why=view.why if machine.network.there else machine.network.why)


def missing(machine: Machine, policy: str) -> tuple[str, ...]:
    """The layers that `required` needs and the machine lacks; other policies need none."""
    if policy != "required":
        return ()
    return tuple(name for name, layer in found(machine).items() if LAYERS[name].required and not layer.there)


def decide(machine: Machine, policy: str, *, network: bool) -> Plan:
    """How to run a command. Raises Cannot (sandbox-missing) where the policy needs a layer that is not there."""
    lacking = missing(machine, policy)
    if lacking:
        raise refusal(lacking)
    if policy == "off":
        return open_plan(machine.controllers)
    view = _view(machine)
    own_network = not network and (view is View.BUBBLEWRAP or (view is View.OWN and machine.network.there))
    holding = machine.no_new_privs.there
    plan = Plan(
        view=view,
        own_network=own_network,
        inet=network or own_network,
        tcp=network or own_network,
        landlock=machine.abi if machine.landlock.there and holding else 0,
        seccomp=machine.seccomp.there and holding,
        no_new_privs=holding,
        other_user=machine.root and view is View.OWN and machine.other_user.there,
        privileged=view is View.OWN or (machine.root and view is View.NONE),
        controllers=machine.controllers,
    )
    return replace(plan, layers=_named(plan, network=network))


def open_plan(controllers: frozenset[str]) -> Plan:
    """No cell: limits, time, and nothing left behind."""
    return Plan(view=View.NONE, controllers=controllers, layers=_limits(controllers))


def _view(machine: Machine) -> View:
    if machine.namespaces.there:
        return View.OWN
    return View.BUBBLEWRAP if machine.bubblewrap.there else View.NONE


def _named(plan: Plan, *, network: bool) -> tuple[str, ...]:
    """The names of the layers that hold under this plan."""
    shut = plan.own_network or (not network and (plan.seccomp or plan.landlock >= _TCP_SINCE))
    holds = {
        VIEW: plan.view is not View.NONE,
        NETWORK: shut,
        KILL: plan.view is not View.NONE,
        PRIVILEGES: plan.no_new_privs,
        FILTER: plan.seccomp,
        LANDLOCK: plan.landlock > 0,
    }
    return tuple(name for name, yes in holds.items() if yes) + _limits(plan.controllers)


#: The Landlock version that knows TCP.
_TCP_SINCE = 4


def _limits(controllers: Iterable[str]) -> tuple[str, ...]:
    return (*(_CONTROLLERS[name] for name in ("memory", "pids", "cpu") if name in controllers), RLIMITS)


def refusal(lacking: tuple[str, ...]) -> Cannot:
    """The one error of this room: which layers are missing, and how a machine comes to have them."""
    ways = dict.fromkeys(LAYERS[name].get for name in lacking)
    return Cannot(
        f"run a command in a sandbox: this machine lacks {', '.join(lacking)}",
        kind="sandbox-missing",
        hint="; ".join(ways) + "; ghost doctor shows every layer",
        layers=list(lacking),
    )
