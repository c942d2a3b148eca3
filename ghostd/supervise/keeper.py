"""The keeper: parent of every service, holder of their pipes and exit codes, and nothing else.

It has no policy: it starts, signals, lists, sweeps and forgets what the engine names, and it outlives the engine, so
that a new one finds every service with its pid, its output and its exit status. One engine at a time, over a
SOCK_SEQPACKET socket: each request is one JSON packet and gets exactly one answer (a list: one for each child, then
`end`); packets with `ended` come on their own. It imports next to nothing: every service begins as a fork of it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from ghostd.supervise import birth, procfs

#: Names inside the run folder, which is the keeper's working directory.
SOCKET, SELF_RECORD, CHILDREN_RECORD = "keeper.sock", "keeper.json", "children.jsonl"
PACKET = 1 << 18
#: The record of children only grows; at this size it is written anew with those that live.
RECORD_BYTES = 1 << 17
_SUBREAPER, _SET_NAME = 36, 15


class Held:
    """One child, from its start until the engine has acknowledged its end. `status` is a wait status once it ended."""

    __slots__ = ("mark", "name", "pid", "pipes", "start", "status")

    def __init__(self, name: str, mark: str, pid: int, start: int, pipes: list[int]) -> None:
        self.name, self.mark, self.pid, self.start, self.pipes = name, mark, pid, start, pipes
        self.status: int | None = None

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "pid": self.pid, "start": self.start, "mark": self.mark, "status": self.status}


class Record:
    """Who was started, for an engine that finds us dead: one JSON line for each, told apart by pid and start time.

    A line is appended by one write, which costs a hundredth of a file that is replaced, at each start of a service.
    """

    def __init__(self, boot: str) -> None:
        self.boot = boot
        self.fd = -1
        with contextlib.suppress(OSError):  # told at each start of a service, as long as it is so
            self._anew(())

    def add(self, held: Held, living: Iterable[Held]) -> None:
        """Write down a child. A full disk costs the record, not the service."""
        try:
            if os.lseek(self.fd, 0, os.SEEK_END) > RECORD_BYTES:
                self._anew(living)
            else:
                os.write(self.fd, self._line(held))
        except OSError as error:
            sys.stderr.write(f"keeper: cannot write {CHILDREN_RECORD}: {error}\n")

    def _line(self, held: Held) -> bytes:
        return json.dumps({"boot": self.boot, **held.as_json()}).encode() + b"\n"

    def _anew(self, living: Iterable[Held]) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        fd = os.open(f"{CHILDREN_RECORD}.tmp", flags, 0o600)
        os.write(fd, b"".join(map(self._line, living)))
        os.replace(f"{CHILDREN_RECORD}.tmp", CHILDREN_RECORD)
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = fd


class Keeper:
    """The children, the one engine, and the loop between them."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.engine: socket.socket | None = None
        self.held: dict[str, Held] = {}
        self.notes: dict[str, Any] = {}
        self.poller = select.poll()
        self.poller.register(listener, select.POLLIN)
        self.record = Record(procfs.boot())
        self.done = False
        self.requests: dict[str, Callable[[dict[str, Any]], None]] = {
            "spawn": self.spawn,
            "kill": self.kill,
            "list": self.list,
            "sweep": self.sweep,
            "ack": self.acknowledge,
            "note": self.note,
            "quit": self.quit,
        }

    def run(self) -> None:
        """Serve until an engine says `quit`."""
        wake = _signals_to_pipe()
        self.poller.register(wake, select.POLLIN)
        while not self.done:
            for fd, _ in self.poller.poll():
                if fd == wake:
                    _drain(wake)
                    self.reap()
                elif fd == self.listener.fileno():
                    self.welcome()
                elif self.engine is not None and fd == self.engine.fileno():
                    self.serve()

    # -- the engine ----------------------------------------------------------------------------------------------

    def welcome(self) -> None:
        """Take the next engine; further ones wait in the backlog until it is gone."""
        self.engine, _ = self.listener.accept()
        self.poller.unregister(self.listener)
        self.poller.register(self.engine, select.POLLIN)

    def part(self) -> None:
        """The engine is gone: go on without one."""
        if self.engine is not None:
            self.poller.unregister(self.engine)
            self.engine.close()
            self.engine = None
            self.poller.register(self.listener, select.POLLIN)

    def serve(self) -> None:
        """One request."""
        assert self.engine is not None
        try:
            packet = self.engine.recv(PACKET)
        except ConnectionResetError:
            packet = b""
        if not packet:
            self.part()
            return
        request = json.loads(packet)
        self.requests[request["do"]](request)

    def tell(self, message: dict[str, Any], fds: list[int] | None = None) -> None:
        if self.engine is None:
            return
        try:
            socket.send_fds(self.engine, [json.dumps(message).encode()], fds or [])
        except (BrokenPipeError, ConnectionResetError):
            # Its end is read in a moment; what it did not get, its successor finds in the list.
            return

    # -- requests ------------------------------------------------------------------------------------------------

    def spawn(self, order: dict[str, Any]) -> None:
        """Start a child under a name that is free. Never a second copy."""
        if order["name"] in self.held:
            self.tell({"re": "spawn", "errno": errno.EEXIST, "stage": "start"})
            return
        try:
            birth.start(order, lambda pid, readers: self.hold(order, pid, readers))
        except birth.NotStarted as failure:
            self.forget(order["name"])
            self.tell({"re": "spawn", "errno": failure.code, "stage": failure.stage})
            return
        held = self.held[order["name"]]
        self.tell({"re": "spawn", "pid": held.pid, "start": held.start}, held.pipes)

    def hold(self, order: dict[str, Any], pid: int, readers: list[int]) -> None:
        """Put a fork on record before it execs."""
        process = procfs.look(pid)
        mark = order["env"].get(procfs.MARK, "")
        held = Held(order["name"], mark, pid, process.start if process else 0, readers)
        self.held[held.name] = held
        self.record.add(held, self.held.values())

    def kill(self, request: dict[str, Any]) -> None:
        """Signal a child or its whole process group. Its pid is not reused as long as we have not reaped it."""
        held = self.held.get(request["name"])
        sent = held is not None and held.status is None
        if held is not None and sent:
            try:
                (os.killpg if request["group"] else os.kill)(held.pid, request["sig"])
            except ProcessLookupError:
                sent = False
        self.tell({"re": "kill", "sent": sent})

    def list(self, _: dict[str, Any]) -> None:
        """Everything that a new engine needs to take over."""
        for held in self.held.values():
            self.tell({"re": "child", **held.as_json()}, held.pipes)
        self.tell({"re": "end", "pid": os.getpid(), "notes": self.notes})

    def sweep(self, request: dict[str, Any]) -> None:
        """Kill what a service that ended has left behind."""
        held = self.held.get(request["name"])
        killed = 0 if held is None or held.status is None else _until_none(lambda: self.leftovers(held))
        self.tell({"re": "sweep", "killed": killed})

    def acknowledge(self, request: dict[str, Any]) -> None:
        """The engine has seen the end of this child and read its pipes."""
        held = self.held.get(request["name"])
        if held is not None and held.status is not None and held.pid == request["pid"]:
            self.forget(held.name)
        self.tell({"re": "ack"})

    def note(self, request: dict[str, Any]) -> None:
        """Keep what the engine wants its successor to know, unread."""
        self.notes[request["name"]] = request["note"]
        self.tell({"re": "note"})

    def quit(self, _: dict[str, Any]) -> None:
        """Kill everything below, without mercy and without exception, and end."""
        _until_none(lambda: procfs.below(os.getpid(), procfs.everybody()))
        self.reap()
        for name in (SOCKET, CHILDREN_RECORD, SELF_RECORD):
            _remove(name)
        self.done = True

    # -- children ------------------------------------------------------------------------------------------------

    def reap(self) -> None:
        """Take the exit status of children, and of orphans that were handed to us: look, then wait for that pid."""
        while True:
            try:
                seen = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if seen is None:
                return
            pid, status = os.waitpid(seen.si_pid, 0)
            for held in self.held.values():
                if held.pid == pid and held.status is None:
                    held.status = status
                    self.tell({"ended": held.name, "pid": pid, "status": status})

    def leftovers(self, held: Held) -> set[int]:
        """Orphans of one service and all that is below them: of its session, or with its mark in their environment."""
        living = {other.pid for other in self.held.values() if other.status is None}
        mine = procfs.children(os.getpid())
        if mine is not None and mine <= living:
            return set()
        everybody = procfs.everybody()
        orphans = [one for one in everybody.values() if one.parent == os.getpid() and one.pid not in living]
        found: set[int] = set()
        for orphan in orphans:
            if orphan.session == held.pid or (held.mark and procfs.mark(orphan.pid) == held.mark):
                found |= {orphan.pid} | procfs.below(orphan.pid, everybody)
        return found

    def forget(self, name: str) -> None:
        """Close what we hold of a child; one that never came to be has nothing."""
        held = self.held.pop(name, None)
        if held is not None:
            birth.close(*held.pipes)


# -- small things --------------------------------------------------------------------------------------------------


def _until_none(find: Callable[[], set[int]]) -> int:
    """Kill what is found until nothing is found any more: what forks faster than it is killed needs several rounds."""
    killed: set[int] = set()
    end = time.monotonic() + 5.0
    while (found := find()) and time.monotonic() < end:
        killed |= found
        for pid in found:
            procfs.kill(pid)
        time.sleep(0.001)
    return len(killed)


def _remove(name: str) -> None:
    try:
        os.unlink(name)
    except FileNotFoundError:
        return


def _signals_to_pipe() -> int:
    """Every signal that we know becomes a byte in a pipe. TERM and the like are the engine's to answer, not ours."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in birth.HANDLED:
        signal.signal(number, lambda *_: None)
    return reader


def _drain(fd: int) -> None:
    try:
        while os.read(fd, 512):
            pass
    except BlockingIOError:
        return


def _only(listener: int) -> None:
    """Close what somebody's shell has let slip through to us, or every service would have it too."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - pathlib is heavy for a keeper
        if int(name) > 2 and int(name) != listener:  # noqa: PLR2004 - the standard streams
            with contextlib.suppress(OSError):  # the listing's own is closed already
                os.close(int(name))


def main() -> None:
    """`keeper RUN-FOLDER LISTENER-FD`, as link.launch starts it."""
    folder, fd = sys.argv[-2], int(sys.argv[-1])
    _only(fd)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_SUBREAPER, 1, 0, 0, 0) != 0:
        sys.exit("keeper: cannot become a subreaper")
    libc.prctl(_SET_NAME, b"ghost-keeper", 0, 0, 0)
    os.chdir(folder)
    os.umask(0o077)
    me = procfs.look(os.getpid())
    try:
        with open(f"{SELF_RECORD}.tmp", "w", encoding="utf-8") as file:  # noqa: PTH123 - pathlib is heavy for a keeper
            json.dump({"boot": procfs.boot(), "pid": os.getpid(), "start": me.start if me else 0}, file)
        os.replace(f"{SELF_RECORD}.tmp", SELF_RECORD)
    except OSError as error:
        sys.stderr.write(f"keeper: cannot write {SELF_RECORD}: {error}\n")
    listener = socket.socket(fileno=fd)
    os.set_inheritable(fd, False)
    Keeper(listener).run()
