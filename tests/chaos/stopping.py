"""Hold a program at each system call that changes a file, and decide there how it goes on.

A filter in the program, and in all that it starts, hands every such call to us before it happens (seccomp user
notification: https://man7.org/linux/man-pages/man2/seccomp_unotify.2.html, Linux 5.5 or newer). So each point between
two changes of the disk can be visited, in the order in which they really happen, whatever process makes them.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import platform
import select
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

#: Calls by name, with their numbers on x86-64 and on AArch64 (None: that machine has no such call).
CALLS: dict[str, tuple[int | None, int | None]] = {
    "write": (1, 64), "pwrite64": (18, 68), "writev": (20, 66), "pwritev": (296, 70), "pwritev2": (328, 287),
    "sendfile": (40, 71), "copy_file_range": (326, 285), "fallocate": (285, 47), "msync": (26, 227),
    "fsync": (74, 82), "fdatasync": (75, 83), "sync_file_range": (277, 84), "syncfs": (306, 267), "sync": (162, 81),
    "truncate": (76, 45), "ftruncate": (77, 46), "rename": (82, None), "renameat": (264, 38), "renameat2": (316, 276),
    "link": (86, None), "linkat": (265, 37), "symlink": (88, None), "symlinkat": (266, 36),
    "unlink": (87, None), "unlinkat": (263, 35), "mkdir": (83, None), "mkdirat": (258, 34), "rmdir": (84, None),
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "chown": (92, None), "lchown": (94, None),
    "fchown": (93, 55), "fchownat": (260, 54), "utimensat": (280, 88), "creat": (85, None),
    "open": (2, None), "openat": (257, 56),
}  # fmt: skip
#: For calls that count only if they may make or empty a file: which argument holds the flags.
FLAGS = {"open": 1, "openat": 2}
#: Calls whose first argument is a descriptor: only one of a file on a disk counts.
BY_DESCRIPTOR = frozenset({
    "write", "pwrite64", "writev", "pwritev", "pwritev2", "sendfile", "fallocate", "fsync", "fdatasync",
    "sync_file_range", "syncfs", "ftruncate", "fchmod", "fchown",
})  # fmt: skip

_MACHINES = {"x86_64": (0, 317, 0xC000003E), "aarch64": (1, 277, 0xC00000B7)}
_LOAD, _EQUAL, _ANY, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _ASK = 0x7FFF0000, 0x7FC00000
_RECEIVE, _ANSWER, _CONTINUE = 0xC0502100, 0xC0182101, 1
_SET_FILTER, _NEW_LISTENER = 1, 8
_NO_NEW_PRIVS, _SUBREAPER = 38, 36
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Point:
    """A call that is about to happen: `number` counts from 1 over all processes of the program."""

    number: int
    call: str
    file: str
    pid: int


#: What a decision can say beside an errno (a positive number), with which the call fails.
GO, GO_AND_DIE, DIE, CALLER_DIES = 0, -1, -2, -3
Decide = Callable[[Point], int]


@dataclass(frozen=True, slots=True)
class Ended:
    """How the program ended: its exit status (minus a signal), and the points that it came by."""

    status: int
    points: int
    late: bool


def supported() -> str:
    """Why this machine can not do it; empty where it can."""
    if platform.machine() not in _MACHINES:
        return f"no numbers of system calls for {platform.machine()}"
    try:
        watched(lambda: 0, lambda _: GO, timeout=20)
    except OSError as error:
        return f"seccomp: {error.strerror}"
    return ""


def watched(program: Callable[[], int], decide: Decide, *, timeout: float = 60) -> Ended:
    """Run `program` in a child under the filter and ask `decide` at each point. Nothing of it lives on afterwards."""
    _libc.prctl(_SUBREAPER, 1, 0, 0, 0)
    before = _below(os.getpid())
    pid, listener = _begin(program)
    try:
        points, late = _follow(pid, listener, decide, time.monotonic() + timeout)
    finally:
        os.close(listener)
        _kill(pid)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        for stray in _below(os.getpid()) - before:
            _kill(stray)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(stray, 0)
    return Ended(status, points, late)


def _begin(program: Callable[[], int]) -> tuple[int, int]:
    """The child's pid and the listener of its filter. It waits at its first point."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        status = 127
        try:
            os.setsid()
            socket.send_fds(theirs, [b"."], [_install()])
            status = program()
        finally:
            os._exit(status)
    theirs.close()
    with ours:
        _, listeners, _, _ = socket.recv_fds(ours, 1, 1)
    if not listeners:
        os.waitpid(pid, 0)
        raise OSError(errno.EPERM, "no filter may be set here")
    return pid, listeners[0]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def _install() -> int:
    """Put this process under the filter; the listener's descriptor."""
    number = _MACHINES[platform.machine()][1]
    code = b"".join(_filter())
    program = _Program(len(code) // 8, code)
    _libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    listener = int(_libc.syscall(number, _SET_FILTER, _NEW_LISTENER, ctypes.byref(program)))
    if listener < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return listener


def _filter() -> Iterator[bytes]:
    """The program in classic BPF: ask for the calls of the table, allow all others."""
    column, _, architecture = _MACHINES[platform.machine()]

    def step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
        return struct.pack("HBBI", code, yes, no, value)

    yield step(_LOAD, 4) + step(_EQUAL, architecture, 1, 0) + step(_RETURN, _ALLOW) + step(_LOAD, 0)
    for name, numbers in CALLS.items():
        number = numbers[column]
        if number is None:
            continue
        if name not in FLAGS:
            yield step(_EQUAL, number, 0, 1) + step(_RETURN, _ASK)
            continue
        yield step(_EQUAL, number, 0, 4) + step(_LOAD, 16 + 8 * FLAGS[name])
        yield step(_ANY, os.O_CREAT | os.O_TRUNC, 0, 1) + step(_RETURN, _ASK) + step(_RETURN, _ALLOW)
    yield step(_RETURN, _ALLOW)


def _follow(pid: int, listener: int, decide: Decide, until: float) -> tuple[int, bool]:
    """Answer every call until the program has ended or has to; how many points there were, and whether it was late."""
    column = _MACHINES[platform.machine()][0]
    names = {numbers[column]: name for name, numbers in CALLS.items()}
    ended = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    poll.register(ended, select.POLLIN)
    points, dying = 0, False
    try:
        while time.monotonic() < until:
            ready = dict(poll.poll(200))
            if not ready.get(listener, 0) & select.POLLIN:
                if ended in ready:
                    return points, False
                continue
            asked = _asked(listener)
            if asked is None:
                continue
            cookie, caller, number, first = asked
            file = _file(caller, first) if names[number] in BY_DESCRIPTOR else "-"
            said = GO
            if file:
                if dying:
                    return points, False
                points += 1
                said = decide(Point(points, names[number], file, caller))
            if said == DIE:
                return points, False
            if said == CALLER_DIES:
                os.kill(caller, signal.SIGKILL)
                continue
            dying = dying or said == GO_AND_DIE
            _reply(listener, cookie, max(said, 0))
        return points, True
    finally:
        os.close(ended)


def _asked(listener: int) -> tuple[int, int, int, int] | None:
    """The next call: cookie, caller, number, first argument. None where its caller is gone already."""
    told = bytearray(80)
    try:
        fcntl.ioctl(listener, _RECEIVE, told, True)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EINTR):
            return None
        raise
    cookie, caller, _, number = struct.unpack_from("QIIi", told)
    return cookie, caller, number, struct.unpack_from("Q", told, 32)[0]


def _reply(listener: int, cookie: int, error: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        fcntl.ioctl(listener, _ANSWER, struct.pack("QqiI", cookie, 0, -error, 0 if error else _CONTINUE))


def _file(pid: int, descriptor: int) -> str:
    """The file behind a descriptor; empty for pipes, sockets and terminals, which are no part of any disk."""
    try:
        where = str(Path(f"/proc/{pid}/fd/{descriptor}").readlink())
    except OSError:
        return "?"
    on_disk = where.startswith("/") and (not where.startswith("/dev/") or where.startswith("/dev/shm/"))
    return where if on_disk else ""


def _below(pid: int) -> set[int]:
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found |= {int(child) for child in task.read_text().split()}
    return found


def _kill(pid: int) -> None:
    """Kill a process and all that is below it, also what left its group."""
    left, seen = [pid], set[int]()
    while left:
        one = left.pop()
        if one in seen:
            continue
        seen.add(one)
        left += _below(one)
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
