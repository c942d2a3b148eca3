"""A filter of system calls: those that no build or test needs, and that escapes are made of. seccomp(2).

A deny-list: unknown calls pass, so that tomorrow's tools run; the namespaces and Landlock are the allow-lists.
"""

from __future__ import annotations

import ctypes
import os

from ghostd.sandbox.inside import calls

_EPERM, _ENOSYS, _EAFNOSUPPORT = 1, 38, 97
# <linux/bpf_common.h>, <linux/seccomp.h>
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24
_X32 = 0x40000000
#: All CLONE_NEW… flags: a namespace of its own would give a command back what was taken from it.
_NEW_NAMESPACE = 0x7E020000
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16

#: Calls that have one number on every architecture: the new mount calls, pidfd_getfd, io_uring.
_EVERYWHERE = (428, 429, 430, 431, 432, 433, 438, 442, 425, 426, 427, 467)
_CLONE3 = 435
#: machine: (AUDIT_ARCH, clone, socket, ioctl, refused). Numbers from <asm/unistd_64.h> and <asm-generic/unistd.h>.
#: Refused, in this order: mount umount2 pivot_root swapon swapoff reboot sethostname setdomainname init_module
#: delete_module finit_module quotactl kexec_load kexec_file_load add_key request_key keyctl ptrace process_vm_readv
#: process_vm_writev kcmp bpf perf_event_open userfaultfd unshare setns open_by_handle_at settimeofday clock_settime
#: clock_adjtime acct syslog fanotify_init vhangup, and on x86 iopl ioperm.
_MACHINES: dict[str, tuple[int, int, int, int, tuple[int, ...]]] = {
    "x86_64": (
        0xC000003E, 56, 41, 16,
        (165, 166, 155, 167, 168, 169, 170, 171, 175, 176, 313, 179, 246, 320, 248, 249, 250, 101, 310, 311, 312, 321,
         298, 323, 272, 308, 304, 164, 227, 305, 163, 103, 300, 153, 172, 173),
    ),
    "aarch64": (
        0xC00000B7, 220, 198, 29,
        (40, 39, 41, 224, 225, 142, 161, 162, 105, 106, 273, 60, 104, 294, 217, 218, 219, 117, 270, 271, 272, 280,
         241, 282, 97, 268, 265, 170, 112, 266, 89, 116, 262, 58),
    ),
}  # fmt: skip


def known(machine: str) -> bool:
    """Whether there is a table of call numbers for this machine."""
    return machine in _MACHINES


def program(machine: str, *, inet: bool) -> bytes:
    """The filter as classic BPF. `inet=False` refuses sockets of the internet families too.

    A call of another architecture (32 bit) is answered "no such call": its numbers mean something else.
    """
    architecture, clone, socket, ioctl, refused = _MACHINES[machine]
    families = (_AF_UNIX, _AF_NETLINK) + ((_AF_INET, _AF_INET6) if inet else ())
    steps = [
        _op(_LOAD, _ARCHITECTURE),
        *_unless(_EQUAL, architecture, _ENOSYS),
        _op(_LOAD, _NUMBER),
        *_when(_AT_LEAST, _X32, _ENOSYS),
        *_when(
            _EQUAL, _CLONE3, _ENOSYS
        ),  # its flags lie in memory, where no filter can look: the C library then uses clone
        *(step for number in (*_EVERYWHERE, *refused) for step in _when(_EQUAL, number, _EPERM)),
        *_argument(clone, _FIRST, _when(_ANY_BIT, _NEW_NAMESPACE, _EPERM)),
        *_argument(ioctl, _SECOND, [*_when(_EQUAL, _TIOCSTI, _EPERM), *_when(_EQUAL, _TIOCLINUX, _EPERM)]),
        *_argument(socket, _FIRST, _only(families)),
        _op(_RETURN, _ALLOW),
    ]
    return b"".join(steps)


def install(filter_program: bytes) -> None:
    """Put the filter on this process and all below it, for ever. Needs no_new_privs."""
    text = ctypes.create_string_buffer(filter_program, len(filter_program))
    whole = _Program(len(filter_program) // 8, ctypes.cast(text, ctypes.c_void_p))
    calls.prctl("prctl PR_SET_SECCOMP", calls.SET_SECCOMP, calls.SECCOMP_MODE_FILTER, ctypes.byref(whole))


def machine() -> str:
    """This machine's word for its processor."""
    return os.uname().machine


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


class _Step(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint16), ("yes", ctypes.c_uint8), ("no", ctypes.c_uint8), ("k", ctypes.c_uint32)]


def _op(code: int, k: int, yes: int = 0, no: int = 0) -> bytes:
    return bytes(_Step(code, yes, no, k))


def _when(test: int, value: int, errno: int) -> list[bytes]:
    return [_op(test, value, 0, 1), _op(_RETURN, _ERRNO | errno)]


def _unless(test: int, value: int, errno: int) -> list[bytes]:
    return [_op(test, value, 1, 0), _op(_RETURN, _ERRNO | errno)]


def _only(families: tuple[int, ...]) -> list[bytes]:
    """Allow the families, refuse every other one."""
    allowed = [step for family in families for step in (_op(_EQUAL, family, 0, 1), _op(_RETURN, _ALLOW))]
    return [*allowed, _op(_RETURN, _ERRNO | _EAFNOSUPPORT)]


def _argument(number: int, offset: int, tests: list[bytes]) -> list[bytes]:
    """For one call: look at the low half of an argument, then go on with the call's number again."""
    body = [_op(_LOAD, offset), *tests, _op(_LOAD, _NUMBER)]
    return [_op(_EQUAL, number, 0, len(body)), *body]
