"""From a fork of the keeper to a running service: its pipes, session, user, folder, limits, and at last its exec.

Part of the keeper, so it imports next to nothing. What it is handed is the `spawn` request of link.py.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import resource
import select
import signal
from collections.abc import Callable
from typing import Any

#: As much output as the kernel lets a service write while no engine reads.
PIPE_BYTES = 1 << 20
#: An exec that takes longer hangs on something (a dead network disk), and must not hang everybody else.
EXEC_SECONDS = 10.0
#: The signals that the keeper has handlers for.
HANDLED = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


class NotStarted(Exception):  # noqa: N818 - it is a verdict
    """What kept a child from its exec: an errno, and the stage that it had come to."""

    def __init__(self, code: int, stage: str) -> None:
        super().__init__(code, stage)
        self.code, self.stage = code, stage


def start(order: dict[str, Any], record: Callable[[int, list[int]], None]) -> None:
    """Fork, let `record` note the pid and the read ends of its pipes, then let it exec. Raises NotStarted.

    It execs only after it is on record: a kill of keeper and engine at any line leaves nobody unknown.
    """
    gate, open_gate = os.pipe()
    failed, fail = os.pipe()
    readers, writers = pipes(order["streams"])
    # Until it has its own dispositions, a signal for the child would be swallowed by our handlers.
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    try:
        pid = os.fork()
    except OSError as error:
        close(open_gate, failed, *readers)
        raise NotStarted(error.errno or errno.EAGAIN, "fork") from None
    else:
        if pid == 0:
            os.close(open_gate)
            _become(order, writers, gate, fail)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        close(*writers, gate, fail)
    record(pid, readers)
    with contextlib.suppress(BrokenPipeError):  # it has failed already, and says why below
        os.write(open_gate, b"\n")
    failure = _outcome(failed, pid)
    close(open_gate, failed)
    if failure:
        os.waitpid(pid, 0)
        raise NotStarted(int(failure.split()[0]), failure.split()[1])


def _become(order: dict[str, Any], writers: list[int], gate: int, fail: int) -> None:
    """Turn this fork into the service; does not return."""
    stage = ["prepare"]
    code = errno.EIO
    try:
        _dress(order, writers, stage)
        if os.read(gate, 1):
            stage[0] = "limits"
            _limit(order["rlimits"])
            stage[0] = "exec"
            _exec(order["argv"], order["env"])
    except OSError as error:
        code = error.errno or errno.EIO
    except ValueError:
        code = errno.EINVAL
    finally:
        os.write(fail, f"{code} {stage[0]}".encode())
        os._exit(127)


def _dress(order: dict[str, Any], writers: list[int], stage: list[str]) -> None:
    os.setsid()
    for number in (*HANDLED, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(writers[0], 1)
    os.dup2(writers[-1], 2)
    stage[0] = "nice"
    if order["nice"]:
        os.setpriority(os.PRIO_PROCESS, 0, order["nice"])
    stage[0] = "user"
    if order["user"]:
        uid, gid, groups = order["user"]
        os.setgroups(groups)
        os.setgid(gid)
        os.setuid(uid)
    stage[0] = "cwd"
    os.chdir(order["cwd"])
    os.umask(order["umask"])


def _limit(rlimits: list[list[int]]) -> None:
    """Only downward: never above the hard limit that is there."""
    for number, value in rlimits:
        hard = resource.getrlimit(number)[1]
        capped = value if hard == resource.RLIM_INFINITY else min(value, hard)
        # At the soft limit of CPU time comes SIGXCPU, which names the reason; at the hard one a mute SIGKILL.
        above = capped if number != resource.RLIMIT_CPU or hard != resource.RLIM_INFINITY else capped + 5
        resource.setrlimit(number, (capped, above))


def _exec(argv: list[str], env: dict[str, str]) -> None:
    """Like os.execvpe, which would import `warnings` anew in each child. Raises what the best candidate said."""
    folders = [""] if "/" in argv[0] else [folder + "/" for folder in env.get("PATH", "/usr/bin:/bin").split(":")]
    best = OSError(errno.ENOENT, "")
    for folder in folders:
        try:
            os.execve(folder + argv[0], argv, env)  # noqa: S606 - argv, never a shell
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            best = error
    raise best


def _outcome(failed: int, pid: int) -> str:
    """Empty once the child has exec'd (its end of the pipe closed by itself), else what it wrote."""
    waiter = select.poll()
    waiter.register(failed, select.POLLIN)
    if not waiter.poll(EXEC_SECONDS * 1000):
        os.kill(pid, signal.SIGKILL)
        return f"{errno.ETIMEDOUT} exec"
    return os.read(failed, 100).decode()


def pipes(streams: int) -> tuple[list[int], list[int]]:
    """Read ends (not blocking, the engine's and ours) and write ends."""
    readers, writers = [], []
    for _ in range(streams):
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        with contextlib.suppress(OSError):  # the user's share of pipe memory is used up: the default size serves too
            fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        readers.append(reader)
        writers.append(writer)
    return readers, writers


def close(*fds: int) -> None:
    """Close every one of them."""
    for fd in fds:
        os.close(fd)
