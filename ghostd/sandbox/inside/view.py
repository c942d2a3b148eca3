"""The files that a command sees: a root of our own, made of copies of the host's mounts.

All is collected by descriptor while the host's tree is still there (no name is looked up twice), then our root takes
its place and the host's tree is gone from this namespace: what was not collected can not be named any more.
"""

from __future__ import annotations

import os

from ghostd.sandbox.inside import calls

_TMP = {"mode": "1777", "size": "1073741824"}
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
          "ptmx": "pts/ptmx"}  # fmt: skip
#: Parts of /proc that change the machine.
PROC_RDONLY = ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs")
#: A folder that every machine has, to stand on while roots change places.
_STAND = "/tmp"  # noqa: S108 - nothing is read or written there: it is covered at once
_OLD = "/.host"
#: stat's own words cost an import.
_TYPE, _FOLDER = 0o170000, 0o040000
_COVERS = ("hidden-file", "hidden-folder")


def build(orders: dict[str, object], userns: int) -> bool:
    """Make the root and enter it. Needs a mount namespace and a PID namespace whose first process this is.

    With `userns` (0 for none), the writable and the readable folders are shown as belonging to another user; False
    where their file system can not do that, and then all belongs to whom it belongs.
    """
    calls.slave("/")
    covered = [place for kind, _, place in orders["trees"] if kind == "hidden-folder"]  # type: ignore[attr-defined]
    mapped, trees = _collect(orders, userns)
    proc = calls.filesystem("proc", {}, calls.NOSUID | calls.NODEV | calls.NOEXEC)
    devices = [(calls.tree("/dev/" + name), "/dev/" + name) for name in _DEVICES if os.path.exists("/dev/" + name)]
    _enter_empty_root()
    _attach(trees, orders["links"])  # type: ignore[arg-type]
    _attach_proc(proc)
    _attach_devices(devices)
    for place in ("/", *covered):
        calls.set_read_only(place)
    return mapped


def _collect(orders: dict[str, object], userns: int) -> tuple[bool, list[tuple[int, str]]]:
    """Copies of all mounts that are wanted, with where they belong; shallow ones first."""
    kinds = {"system": calls.RDONLY | calls.NOSUID, "readable": calls.RDONLY | calls.NOSUID | calls.NODEV,
             "writable": calls.NOSUID | calls.NODEV}  # fmt: skip
    asked: list[tuple[str, str, str]] = orders["trees"]  # type: ignore[assignment]
    for shown in (userns, 0) if userns else (0,):
        trees = []
        try:
            for kind, source, place in asked:
                if kind in _COVERS:
                    trees.append((_cover(kind), place))
                    continue
                tree = calls.tree(source)
                trees.append((tree, place))
                calls.set_attributes(tree, kinds[kind])
                if shown and kind != "system":
                    _show_as_ours(tree, shown, needed=kind == "writable")
        except _NotMapped:
            for tree, _ in trees:
                os.close(tree)
            continue
        return bool(shown), trees
    raise AssertionError


def _cover(kind: str) -> int:
    """Nothing, to put over what may not be seen. A folder stays writable until all is attached: work may lie in it."""
    if kind == "hidden-file":
        return calls.tree("/dev/null")
    return calls.filesystem("tmpfs", {"mode": "755", "size": "65536"}, calls.NOSUID | calls.NODEV)


class _NotMapped(Exception):  # noqa: N818 - it is no error: the next try does without
    """A writable folder can not be shown as another user's."""


def _show_as_ours(tree: int, userns: int, *, needed: bool) -> None:
    try:
        calls.set_attributes(tree, calls.IDMAP, userns)
    except OSError as error:
        if needed:
            raise _NotMapped from error


def _enter_empty_root() -> None:
    calls.mount_tmpfs_at(_STAND)
    os.mkdir(_STAND + _OLD)
    calls.pivot_root(_STAND, _STAND + _OLD)
    os.chdir("/")
    calls.detach(_OLD)
    os.rmdir(_OLD)


def _attach(trees: list[tuple[int, str]], links: list[tuple[str, str]]) -> None:
    for target, place in links:
        os.symlink(target, place)
    for place, kind in (("/tmp", "tmpfs"), ("/var/tmp", ""), ("/run", ""), ("/proc", ""), ("/dev", "tmpfs")):  # noqa: S108 - ours
        os.makedirs(place, exist_ok=True)
        if kind:
            options = _TMP if place == "/tmp" else {"mode": "755"}  # noqa: S108 - ours
            calls.attach(calls.filesystem(kind, options, calls.NOSUID | calls.NODEV), place)
    os.mkdir("/dev/shm")  # noqa: S108 - ours
    calls.attach(calls.filesystem("tmpfs", _TMP, calls.NOSUID | calls.NODEV), "/dev/shm")  # noqa: S108 - ours
    for tree, place in trees:
        _make_place(tree, place)
        calls.attach(tree, place)
        os.close(tree)


def _make_place(tree: int, place: str) -> None:
    """A name to attach to: a folder for a folder, a file for a file. One that is there is used."""
    if os.path.lexists(place):
        return
    if os.fstat(tree).st_mode & _TYPE == _FOLDER:
        os.makedirs(place, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        os.close(os.open(place, os.O_CREAT | os.O_CLOEXEC, 0o644))


def _attach_proc(proc: int) -> None:
    calls.attach(proc, "/proc")
    for path in PROC_RDONLY:
        if os.path.exists(path):
            part = calls.tree(path)
            calls.set_attributes(part, calls.RDONLY)
            calls.attach(part, path)


def _attach_devices(devices: list[tuple[int, str]]) -> None:
    for tree, place in devices:
        _make_place(tree, place)
        calls.set_attributes(tree, calls.NOSUID | calls.NOEXEC)
        calls.attach(tree, place)
    for name, target in _LINKS.items():
        os.symlink(target, "/dev/" + name)
    os.mkdir("/dev/pts")
    options = {"newinstance": "", "ptmxmode": "0666", "mode": "0620"}
    calls.attach(calls.filesystem("devpts", options, calls.NOSUID | calls.NOEXEC), "/dev/pts")
