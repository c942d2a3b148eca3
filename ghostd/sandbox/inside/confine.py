"""What the command's own process takes away from itself, in the order in which it still may, right before exec."""

from __future__ import annotations

import os
import resource

from ghostd.sandbox.inside import calls, landlock, seccomp

_LAST_CAP = "/proc/sys/kernel/cap_last_cap"
#: SECBIT_NOROOT, SECBIT_NO_SETUID_FIXUP, SECBIT_NO_CAP_AMBIENT_RAISE, each with its lock: root is a name only.
_SECUREBITS = 0x1 | 0x2 | 0x4 | 0x8 | 0x40 | 0x80
_HEADER = b"\x22\x05\x08\x20\0\0\0\0"  # _LINUX_CAPABILITY_VERSION_3, this process


def limit(pairs: list[tuple[int, int]]) -> None:
    """Set rlimits. They can only be lowered: never above the hard limit that is there."""
    for number, value in pairs:
        hard = resource.getrlimit(number)[1]
        capped = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(number, (capped, capped))


def _become(user: int) -> None:
    """Be this user and group for ever, in no other group."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def confine(orders: dict[str, object], *, user: int, privileged: bool) -> None:
    """All of it. `privileged` says that there are capabilities to give up; `user` 0 stays who it is."""
    if privileged:
        _give_up(user)
    if orders["no_new_privs"]:
        calls.prctl("prctl PR_SET_NO_NEW_PRIVS", calls.SET_NO_NEW_PRIVS, 1)
    if orders["landlock"]:
        landlock.restrict(orders["rules"], abi=orders["landlock"], tcp=orders["tcp"])  # type: ignore[arg-type]
    if orders["seccomp"]:
        seccomp.install(seccomp.program(seccomp.machine(), inet=bool(orders["inet"])))
    # Last: what came before needs descriptors and memory of its own.
    limit(orders["rlimits"])  # type: ignore[arg-type]


def _give_up(user: int) -> None:
    # The bounding set needs CAP_SETPCAP and the user CAP_SETUID: both before the rest goes.
    with open(_LAST_CAP, encoding="ascii") as file:
        last = int(file.read())
    for capability in range(last + 1):
        calls.prctl("prctl PR_CAPBSET_DROP", calls.CAPBSET_DROP, capability)
    calls.prctl("prctl PR_CAP_AMBIENT", calls.CAP_AMBIENT, calls.CAP_AMBIENT_CLEAR_ALL)
    if user:
        _become(user)
    else:
        calls.prctl("prctl PR_SET_SECUREBITS", calls.SET_SECUREBITS, _SECUREBITS)
    calls.check(calls.libc.capset(_HEADER, b"\0" * 24), "capset")
