"""The tools that ghost is built on, and the machine that it runs on."""

from __future__ import annotations

import ctypes
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from ghostd.cli.doctor.check import Check, State
from ghostd.model.settings import MIB, Settings
from ghostd.repo import versions
from ghostd.store import db

_TOOLS, _MACHINE = "tools", "machine"
#: 2.34 signs with SSH keys, 2.33 knows geometric repacks.
_GIT = (2, 34)
_WATCHES, _INSTANCES = 8192, 128
#: The kernel's word for a clock that nothing sets, adjtimex(2).
_UNSYNCHRONISED = 5
#: File systems that lose everything at a boot, and those whose locks and syncs SQLite can not build on.
_FLEETING = frozenset({"tmpfs", "ramfs"})
_REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "afs", "ceph", "glusterfs", "virtiofs"})


def tools(settings: Settings | None) -> Iterator[Check]:
    """Interpreter, Git, libraries, signing."""
    python = ".".join(map(str, sys.version_info[:3]))
    yield _tool("python", python, "runs ghost", State.OK)
    yield _git()
    yield _tool("libgit2", versions.libgit2(), "reads and writes Git objects", State.OK)
    yield _tool("sqlite", db.version(), "keeps the ledger", State.OK)
    signs = settings is not None and settings.git.signing_key is not None
    keygen = shutil.which("ssh-keygen")
    absent = State.MISSING if signs else State.WARNING
    yield _tool("ssh-keygen", keygen or "not installed", "signs tags and proofs", State.OK if keygen else absent,
                "install OpenSSH's client")  # fmt: skip


def _tool(name: str, found: str, purpose: str, state: State, get: str = "") -> Check:
    return Check(group=_TOOLS, name=name, state=state, found=found, purpose=purpose, get=get)


def _git() -> Check:
    found = versions.git()
    numbers = tuple(int(word) for word in found.split(".")[:2] if word.isdigit())
    state = State.MISSING if not found else State.OK if numbers >= _GIT else State.WARNING
    return _tool("git", found or "not installed", "moves refs, checks out, repacks", state, "install Git 2.34 or newer")


def machine(settings: Settings | None, state_folder: Path | None) -> Iterator[Check]:
    """Kernel, disk, notifications, clock."""
    linux = sys.platform == "linux"
    yield _part("system", f"{platform.system()} {platform.release()}", "ghost is made for Linux",
                State.OK if linux else State.WARNING, "untested here: best effort")  # fmt: skip
    if state_folder is not None and settings is not None:
        yield _file_system(state_folder, settings)
        yield _space(state_folder, settings)
    yield from _inotify()
    yield _clock()


def _part(name: str, found: str, purpose: str, state: State, get: str = "") -> Check:
    return Check(group=_MACHINE, name=name, state=state, found=found, purpose=purpose, get=get)


def _file_system(folder: Path, settings: Settings) -> Check:
    kind, durability = _kind(folder), settings.git.durability
    purpose = f"durability = {durability}"
    if kind in _REMOTE:
        get = "SQLite's journal needs a disk of this machine: put the workspace on one"
        return _part("file system", kind, purpose, State.MISSING, get)
    if kind in _FLEETING and durability == "power":
        get = "nothing on it survives a power cut: put the workspace on a disk, or ask for durability = process"
        return _part("file system", kind, purpose, State.WARNING, get)
    return _part("file system", kind, purpose, State.OK)


def _kind(folder: Path) -> str:
    """The type of the file system that holds the folder, of the deepest mount above it, proc_pid_mountinfo(5)."""
    best, kind = -1, "unknown"
    try:
        lines = Path("/proc/self/mountinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return kind
    for line in lines:
        fields, _, rest = line.partition(" - ")
        point = Path(fields.split()[4].replace("\\040", " "))
        if folder.resolve().is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), rest.split()[0]
    return kind


def _space(folder: Path, settings: Settings) -> Check:
    free, wanted = shutil.disk_usage(folder).free, settings.monitor.disk_free
    state = State.OK if free >= wanted else State.MISSING
    get = f"free some: below {wanted // MIB} MiB the ledger stops soon"
    return _part("disk space", f"{free // MIB} MiB free", "the ledger and the objects", state, get)


def _inotify() -> Iterator[Check]:
    for name, least in (("max_user_watches", _WATCHES), ("max_user_instances", _INSTANCES)):
        try:
            value = int(Path(f"/proc/sys/fs/inotify/{name}").read_text("ascii"))
        except OSError as error:
            yield _part(name, error.strerror or "unknown", "notices chats and patches at once", State.WARNING)
            continue
        state = State.OK if value >= least else State.WARNING
        yield _part(f"inotify {name.removeprefix('max_user_')}", str(value), "notices chats and patches at once", state,
                    f"sysctl fs.inotify.{name}={least}; without, changes are noticed by polling")  # fmt: skip


def _clock() -> Check:
    purpose = "dates of commits, tokens and webhooks"
    ask = getattr(ctypes.CDLL(None), "ntp_gettime", None) if sys.platform == "linux" else None
    if ask is None:
        return _part("clock", "can not be asked", purpose, State.WARNING)
    set_by_network = ask(ctypes.create_string_buffer(256)) != _UNSYNCHRONISED
    found = "synchronised" if set_by_network else "not synchronised"
    return _part(
        "clock", found, purpose, State.OK if set_by_network else State.WARNING, "let chrony or timesyncd set it"
    )
