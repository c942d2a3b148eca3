"""The launcher: reads its orders from stdin, makes the cell, runs the command in it, and tells how it ended.

    warden   the process that was started; below it everything stays, and it dies with who started it
     └─ first    first of its PID namespace, where there is one: when it ends, the kernel kills all the others
         └─ the command

Without a PID namespace the warden itself is the first. What it tells goes back through the same socket, a line each:
`status`, `leftovers`, `usage`, `layers`, `error`. The command never holds that socket.
"""

from __future__ import annotations

import _json  # json itself costs another 5 ms
import _signal  # type: ignore[import-not-found]  # signal itself costs 5 ms of imports
import os
import resource

from ghostd.sandbox.inside import calls, confine, tree, view

_TERM, _KILL, _PIPE, _XFSZ = 15, 9, 13, 25
_REPORT_FD = 0
#: Where a launcher inside of bubblewrap finds the socket.
INNER_REPORT = 3
_NOBODY = 65534
#: Whoever starts us: folders of the view can be entered, and the same gate makes the same files everywhere.
_UMASK = 0o022


def main() -> None:
    """The whole life of a launcher. Its exit status means nothing; its report does."""
    report = os.dup(_REPORT_FD)
    orders = _read(report)
    if orders["report"]:
        # Inside of bubblewrap the orders come through a pipe, and the socket under another number.
        os.close(report)
        report = orders["report"]  # type: ignore[assignment]
        os.set_inheritable(report, False)
    os.umask(_UMASK)
    os.dup2(os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC), 0)
    calls.prctl("prctl PR_SET_CHILD_SUBREAPER", calls.SET_CHILD_SUBREAPER, 1)
    try:
        _warden(orders, report)
    except OSError as error:
        tree.kill_below()
        _tell(report, "error", f"{error.filename or 'launcher'}: {error.strerror}")
    os._exit(0)


def _read(report: int) -> dict[str, object]:
    chunks = []
    while chunk := os.read(report, 1 << 16):
        chunks.append(chunk)
    text = b"".join(chunks).decode()
    return _json.make_scanner(_Json)(text, 0)[0]  # type: ignore[arg-type,no-any-return]  # it asks for attributes only


class _Json:
    """What the scanner of the json module is made from."""

    strict, memo = True, None
    object_hook = object_pairs_hook = parse_constant = None
    parse_float, parse_int = float, int


def _warden(orders: dict[str, object], report: int) -> None:
    groups = _join(orders["cgroups"])  # type: ignore[arg-type]
    userns = _other_users_namespace() if orders["other_user"] else 0
    if orders["unshare"]:
        _unshare(orders["unshare"])  # type: ignore[arg-type]
    _die_with_parent(orders["parent"])  # type: ignore[arg-type]
    _signal.signal(_TERM, lambda *_: _end(report, groups))
    if orders["bubblewrap"]:
        _by_bubblewrap(orders, report)
    elif orders["unshare"]:
        _first_of_its_own(orders, report, userns)
    else:
        _run(orders, report, user=0)
    if not orders["unshare"]:
        _tell(report, "leftovers", str(tree.kill_below()))


def _by_bubblewrap(orders: dict[str, object], report: int) -> None:
    """Bubblewrap makes the view; a launcher inside of it does what is left and reports past it."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(read, 0)
            os.dup2(report, INNER_REPORT)
            # It may be that number already, and then dup2 does nothing.
            os.set_inheritable(INNER_REPORT, True)
            command: list[str] = orders["bubblewrap"]  # type: ignore[assignment]
            os.execve(command[0], command, {"LC_ALL": "C.UTF-8"})  # noqa: S606 - no shell is the point
        except OSError as error:
            _tell(report, "error", f"{error.filename}: {error.strerror}")
        finally:
            os._exit(127)
    os.close(read)
    inner: str = orders["inner"]  # type: ignore[assignment]
    with open(write, "w", encoding="ascii") as pipe:
        pipe.write(inner)
    os.waitpid(pid, 0)


#: The first process of the PID namespace, seen from outside; 0 where there is none.
_first = [0]


def _join(rows: list[list[str]]) -> list[tuple[int, str, str]]:
    """Be in the control groups of these files. The answer leads back out, when their names are out of sight."""
    ways = []
    for path, value in rows:
        folder, _, file = path.rpartition("/")
        above, _, group = folder.rpartition("/")
        ways.append((os.open(above, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC), group, file))
        _write(path, value)
    return ways


def _leave(groups: list[tuple[int, str, str]]) -> None:
    """Remove the control groups: who would do it may be gone. What can not be removed, the next process sweeps away."""
    for above, group, file in groups:
        try:
            out = os.open(file, os.O_WRONLY | os.O_CLOEXEC, dir_fd=above)
            os.write(out, b"0")
            os.rmdir(group, dir_fd=above)
        except OSError:
            continue


def _end(report: int, groups: list[tuple[int, str, str]]) -> None:
    """Time is up, or who started us is gone: nothing below may be left when this process is gone."""
    if _first[0]:
        # The names in /proc are the namespace's by now; the kernel ends all of it with its first process.
        try:
            os.kill(_first[0], _KILL)
            os.waitpid(_first[0], 0)
        except (ProcessLookupError, ChildProcessError):
            # It ended by itself at the same moment.
            os._exit(0)
    else:
        left = tree.kill_below()
        _tell(report, "leftovers", str(max(0, left - 1)))
    _leave(groups)
    os._exit(0)


def _unshare(flags: int) -> None:
    user, group = os.geteuid(), os.getegid()
    calls.unshare(flags)
    if flags & calls.NEWUSER:
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{user} {user} 1")
        _write("/proc/self/gid_map", f"{group} {group} 1")


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _other_users_namespace() -> int:
    """A user namespace in which our own files are nobody's, for mounts; 0 where the kernel gives none.

    Only a process can make one: a child does, waits until its descriptor is taken or we are gone, and ends.
    """
    (ready, ask), (wait, hold) = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(hold)
            calls.unshare(calls.NEWUSER)
            os.write(ask, b".")
            os.read(wait, 1)
        finally:
            os._exit(0)
    os.close(ask)
    os.close(wait)
    try:
        if not os.read(ready, 1):
            return 0
        for name in ("uid_map", "gid_map"):
            _write(f"/proc/{pid}/{name}", f"0 {_NOBODY} 1")
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    finally:
        os.close(ready)
        os.close(hold)
        os.waitpid(pid, 0)


def _die_with_parent(parent: int) -> None:
    # After unshare, which forgets it. Who started us may be gone already: then nobody waits for the command.
    calls.prctl("prctl PR_SET_PDEATHSIG", calls.SET_PDEATHSIG, _TERM)
    if parent and os.getppid() != parent:
        os._exit(0)


def _first_of_its_own(orders: dict[str, object], report: int, userns: int) -> None:
    alive, held = os.pipe()
    _first[0] = os.fork()
    if _first[0]:
        os.close(alive)
        os.waitpid(_first[0], 0)
        _first[0] = 0
        return
    os.close(held)
    try:
        calls.prctl("prctl PR_SET_PDEATHSIG", calls.SET_PDEATHSIG, _KILL)
        _signal.signal(_TERM, _signal.SIG_DFL)
        if _closed(alive):
            os._exit(0)
        mapped = view.build(orders, userns)
        if orders["loopback"]:
            calls.bring_up_loopback()
        if mapped:
            _tell(report, "layers", "another user")
        _run(orders, report, user=_NOBODY if mapped else 0)
        _tell(report, "leftovers", str(tree.others()))
    except OSError as error:
        _tell(report, "error", f"{error.filename or 'launcher'}: {error.strerror}")
    except Exception as error:  # noqa: BLE001 - a bug of ours must not look like the command's end
        _tell(report, "error", f"launcher: {error!r}")
    finally:
        os._exit(0)


def _closed(pipe: int) -> bool:
    """Whether the warden, which holds the other side, is gone."""
    os.set_blocking(pipe, False)
    try:
        return not os.read(pipe, 1)
    except BlockingIOError:
        return False


def _run(orders: dict[str, object], report: int, *, user: int) -> None:
    """Run the command to its end, reaping whatever ends meanwhile."""
    pid = os.fork()
    if pid == 0:
        _become_command(orders, report, user=user)
    calls.prctl("prctl PR_SET_DUMPABLE", calls.SET_DUMPABLE, 0)
    ended, status = 0, 0
    while ended != pid:
        ended, status = tree.reap()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    _tell(report, "status", str(os.waitstatus_to_exitcode(status)))
    _tell(report, "usage", f"{used.ru_utime:.3f} {used.ru_stime:.3f} {used.ru_maxrss * 1024}")


def _become_command(orders: dict[str, object], report: int, *, user: int) -> None:
    """Only what the command may have goes on into it: its environment, three descriptors, default signals."""
    argv: list[str] = orders["argv"]  # type: ignore[assignment]
    try:
        for number in (_TERM, _PIPE, _XFSZ):
            calls.libc.signal(number, 0)
        os.chdir(orders["cwd"])  # type: ignore[arg-type]
        confine.confine(orders, user=user, privileged=bool(orders["privileged"]))
        _execute(argv, orders["env"])  # type: ignore[arg-type]
    except OSError as error:
        _tell(report, "error", f"{error.filename or argv[0]}: {error.strerror}")
    except Exception as error:  # noqa: BLE001 - a NUL byte in a word, or a bug of ours: no verdict of the command
        _tell(report, "error", f"{argv[0]!r}: {error}")
    finally:
        os._exit(127)


def _execute(argv: list[str], env: dict[str, str]) -> None:
    """execvpe(3); Python's own would import a module, and here its files may be out of sight already."""
    places = [""] if "/" in argv[0] else [f"{folder}/" for folder in env.get("PATH", "/usr/bin:/bin").split(":")]
    refused: OSError = FileNotFoundError(2, "No such file or directory", argv[0])
    for place in places:
        try:
            os.execve(place + argv[0], argv, env)  # noqa: S606 - no shell is the point
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            refused = error
    refused.filename = argv[0]
    raise refused


def _tell(report: int, what: str, text: str) -> None:
    try:
        os.write(report, f"{what} {text}\n".encode(errors="backslashreplace"))
    except BrokenPipeError:
        # Who asked is gone; what is left to do has to be done all the same.
        return
