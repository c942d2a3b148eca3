"""Landlock: what a process and all below it may open, whatever is mounted where. <linux/landlock.h>, landlock(7)."""

from __future__ import annotations

import ctypes
import os

from ghostd.sandbox.inside import calls

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446
_VERSION, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
#: All rights of the first version; version 2 adds REFER, 3 TRUNCATE, 5 IOCTL_DEV.
_FIRST, _BITS = (1 << 13) - 1, {2: 13, 3: 14, 5: 15}
#: What can be asked of a single file.
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_BIND_TCP, _CONNECT_TCP = 1, 2
_ABSTRACT_UNIX, _SIGNAL = 1, 2
_NETWORK_SINCE, _SCOPES_SINCE = 4, 6
READ = _EXECUTE | _READ_FILE | _READ_DIR
LIST = _READ_DIR
#: A process tells the kernel about itself there; what changes the machine is read-only by its mount.
IN_PROC = READ | _WRITE_FILE
DEVICES = READ | _WRITE_FILE | _TRUNCATE | _IOCTL_DEV


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


def version() -> int:
    """The ABI version of this kernel's Landlock; OSError where it has none or it is switched off."""
    return calls.syscall("landlock_create_ruleset", _CREATE, None, ctypes.c_size_t(0), ctypes.c_uint(_VERSION))


def all_rights(abi: int) -> int:
    """Every right on files that this version knows."""
    return _FIRST | sum(1 << bit for since, bit in _BITS.items() if abi >= since)


def restrict(rules: list[tuple[str, int]], *, abi: int, tcp: bool) -> None:
    """Allow the rights of `rules` below their paths and nothing else, for ever; paths that are not there are left out.

    Needs no_new_privs. `tcp=False` refuses TCP as well where the kernel can. Signals and abstract sockets reach only
    what is inside, where the kernel can. What Landlock never sees: stat, chmod, utime.
    """
    handled = all_rights(abi)
    network = _BIND_TCP | _CONNECT_TCP if not tcp and abi >= _NETWORK_SINCE else 0
    scoped = _ABSTRACT_UNIX | _SIGNAL if abi >= _SCOPES_SINCE else 0
    wanted = _Ruleset(handled, network, scoped)
    size = ctypes.c_size_t(8 if abi < _NETWORK_SINCE else 16 if abi < _SCOPES_SINCE else 24)
    ruleset = calls.syscall("landlock_create_ruleset", _CREATE, ctypes.byref(wanted), size, ctypes.c_uint(0))
    for path, rights in rules:
        _allow(ruleset, path, rights & handled)
    calls.syscall("landlock_restrict_self", _RESTRICT, ruleset, ctypes.c_uint(0))
    os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if not os.path.isdir(path):
        rights &= _OF_FILES
    rule = _Beneath(rights, place)
    calls.syscall("landlock_add_rule " + path, _ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), ctypes.c_uint(0))
    os.close(place)
