"""System calls that Python does not have, by ctypes. Each raises OSError with the call's name."""

from __future__ import annotations

import ctypes
import os

# <linux/sched.h>
NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = (
    0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000,
)  # fmt: skip
# <linux/prctl.h>
SET_PDEATHSIG, SET_DUMPABLE, SET_SECCOMP, CAPBSET_DROP, SET_SECUREBITS = 1, 4, 22, 24, 28
SET_CHILD_SUBREAPER, SET_NO_NEW_PRIVS, CAP_AMBIENT, CAP_AMBIENT_CLEAR_ALL = 36, 38, 47, 4
SECCOMP_MODE_FILTER = 2
# <linux/mount.h>; these calls have one number on every architecture.
_OPEN_TREE, _MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT, _MOUNT_SETATTR = 428, 429, 430, 431, 432, 442
RDONLY, NOSUID, NODEV, NOEXEC, IDMAP = 0x1, 0x2, 0x4, 0x8, 0x100000
_CLONE_CLOEXEC, _AT_RECURSIVE, _AT_EMPTY_PATH, _FROM_EMPTY_PATH = 1 | os.O_CLOEXEC, 0x8000, 0x1000, 0x4
_SET_FLAG, _SET_STRING, _CREATE = 0, 1, 6
_DETACH, _REC_SLAVE = 2, 0x4000 | 0x80000
_AT_FDCWD = -100

libc = ctypes.CDLL(None, use_errno=True)
_ulong = ctypes.c_ulong


def check(answer: int, what: str) -> int:
    """The answer of a call, or the OSError that its errno means."""
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return answer


def syscall(what: str, number: int, *arguments: object) -> int:
    """A call by its number; `what` names it where it fails."""
    return check(libc.syscall(ctypes.c_long(number), *arguments), what)


def prctl(what: str, option: int, *arguments: object) -> int:
    """With all five arguments, always: some options refuse what is left over on the stack."""
    padded = [a if not isinstance(a, int) else _ulong(a) for a in (*arguments, 0, 0, 0, 0)[:4]]
    return check(libc.prctl(option, *padded), what)


def unshare(flags: int) -> None:
    """Leave the namespaces of these kinds for new ones."""
    check(libc.unshare(flags), "unshare")


def slave(path: str) -> None:
    """Nothing that is mounted below `path` from here on is seen outside."""
    check(libc.mount(None, path.encode(), None, _ulong(_REC_SLAVE), None), "mount MS_SLAVE")


def mount_tmpfs_at(path: str) -> None:
    """Cover `path` with an empty file system."""
    check(libc.mount(b"ghost", path.encode(), b"tmpfs", _ulong(NOSUID | NODEV), b"mode=755"), "mount tmpfs")


def pivot_root(new: str, old: str) -> None:
    """Make `new` the root, and put the old one at `old`, which is below it."""
    check(libc.pivot_root(new.encode(), old.encode()), "pivot_root")


def detach(path: str) -> None:
    """Take all mounts at and below `path` out of this namespace: umount2(2)."""
    check(libc.umount2(path.encode(), _DETACH), "umount2")


def tree(path: str) -> int:
    """A descriptor of a copy of the mounts at `path`, not yet anywhere: open_tree(2)."""
    flags = _CLONE_CLOEXEC | _AT_RECURSIVE
    return syscall("open_tree " + path, _OPEN_TREE, _AT_FDCWD, os.fsencode(path), ctypes.c_uint(flags))


def filesystem(kind: str, options: dict[str, str], attributes: int) -> int:
    """A descriptor of a new file system of `kind`, not yet anywhere: fsopen(2), fsconfig(2), fsmount(2)."""
    context = syscall("fsopen " + kind, _FSOPEN, kind.encode(), 1)
    try:
        for key, value in options.items():
            command, word = (_SET_STRING, value.encode()) if value else (_SET_FLAG, None)
            syscall(f"fsconfig {kind} {key}", _FSCONFIG, context, command, key.encode(), word, 0)
        syscall("fsconfig " + kind, _FSCONFIG, context, _CREATE, None, None, 0)
        return syscall("fsmount " + kind, _FSMOUNT, context, 1, attributes)
    finally:
        os.close(context)


class _Attributes(ctypes.Structure):
    _fields_ = [
        ("set", ctypes.c_uint64), ("clear", ctypes.c_uint64), ("propagation", ctypes.c_uint64),
        ("userns", ctypes.c_uint64),
    ]  # fmt: skip


def set_attributes(mount: int, attributes: int, userns: int = 0) -> None:
    """Set mount attributes on a whole tree that `mount` is a descriptor of: mount_setattr(2)."""
    wanted = _Attributes(attributes, 0, 0, userns)
    flags = ctypes.c_uint(_AT_EMPTY_PATH | _AT_RECURSIVE)
    size = ctypes.c_size_t(ctypes.sizeof(wanted))
    syscall("mount_setattr", _MOUNT_SETATTR, mount, b"", flags, ctypes.byref(wanted), size)


def set_read_only(path: str) -> None:
    """Make the one mount at `path` read-only, and none of those below it."""
    wanted = _Attributes(RDONLY, 0, 0, 0)
    size = ctypes.c_size_t(ctypes.sizeof(wanted))
    place = ctypes.c_char_p(os.fsencode(path))
    syscall("mount_setattr " + path, _MOUNT_SETATTR, _AT_FDCWD, place, ctypes.c_uint(0), ctypes.byref(wanted), size)


def bring_up_loopback() -> None:
    """Let 127.0.0.1 work in a network namespace of our own: netdevice(7), SIOCSIFFLAGS with IFF_UP."""
    socket = check(libc.socket(2, 2 | os.O_CLOEXEC, 0), "socket")
    request = ctypes.create_string_buffer(b"lo".ljust(16, b"\0") + (1).to_bytes(2, "little"), 40)
    check(libc.ioctl(socket, _ulong(0x8914), request), "ioctl SIOCSIFFLAGS")
    os.close(socket)


def attach(mount: int, path: str) -> None:
    """Put a mount that is nowhere yet at `path`: move_mount(2)."""
    syscall("move_mount " + path, _MOVE_MOUNT, mount, b"", _AT_FDCWD, os.fsencode(path), _FROM_EMPTY_PATH)
