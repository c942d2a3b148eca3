"""The engine's side of the keeper: find or launch it, ask it, hear who ended."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ghostd
from ghostd.base.sockets import reachable
from ghostd.supervise import procfs
from ghostd.supervise.keeper import PACKET, SOCKET

#: Longer than the keeper's own limit for an exec; whoever does not answer by then is as good as dead.
ANSWER_SECONDS = 15.0
#: A keeper that has killed everything ends within this.
QUIT_SECONDS = 15.0
_START = "import sys; sys.path.append(sys.argv[1]); from ghostd.supervise.keeper import main; main()"


class KeeperLost(Exception):  # noqa: N818 - it is an event
    """The keeper has died or hangs."""


class SpawnFailed(Exception):  # noqa: N818 - it is a verdict
    """A service could not be started: an errno, and the stage at which it came up."""

    def __init__(self, code: int, stage: str) -> None:
        super().__init__(code, stage)
        self.code, self.stage = code, stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One process to start, with everything that only the process itself can set."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: str
    umask: int
    #: uid, gid, groups; None to stay who the keeper is.
    user: tuple[int, int, Sequence[int]] | None = None
    nice: int = 0
    #: (RLIMIT_*, value)
    rlimits: Sequence[tuple[int, int]] = ()
    #: 1: stderr goes where stdout goes, in the order in which it was written; 2: apart.
    streams: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A child as the keeper holds it. `status` is a wait status, None while it runs; `pipes` are ours to close."""

    name: str
    pid: int
    start: int
    mark: str
    status: int | None
    pipes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A child's end. `status` is a wait status."""

    name: str
    pid: int
    status: int


class Link:
    """One connection to the keeper. Every method raises KeeperLost when it is gone."""

    def __init__(self, sock: socket.socket, *, child: int | None = None) -> None:
        self._sock = sock
        self._sock.settimeout(ANSWER_SECONDS)
        #: The keeper's pid where we are its parent: the only pid that the engine ever waits for.
        self._child = child
        self.pid = child or 0
        #: Found dead or hanging; stays so.
        self.broken = False
        self._ended: list[Ended] = []

    def fileno(self) -> int:
        return self._sock.fileno()

    def spawn(self, order: Order) -> Kept:
        """Start a service. Raises SpawnFailed."""
        answer, fds = self._ask({"do": "spawn", **asdict(order)})
        if "errno" in answer:
            raise SpawnFailed(answer["errno"], answer["stage"])
        mark = order.env.get(procfs.MARK, "")
        return Kept(name=order.name, pid=answer["pid"], start=answer["start"], mark=mark, status=None, pipes=fds)

    def kill(self, name: str, sig: int, *, group: bool) -> bool:
        """Signal a running service or its whole group; False where it does not run."""
        return bool(self._ask({"do": "kill", "name": name, "sig": int(sig), "group": group})[0]["sent"])

    def children(self) -> tuple[list[Kept], dict[str, Any]]:
        """Every child that was not acknowledged, and the notes of the engine before us."""
        self._send({"do": "list"})
        kept = []
        while (packet := self._answer())[0]["re"] == "child":
            told = {key: packet[0][key] for key in ("name", "pid", "start", "mark", "status")}
            kept.append(Kept(**told, pipes=packet[1]))
        self.pid = packet[0]["pid"]
        return kept, packet[0]["notes"]

    def sweep(self, name: str) -> int:
        """Kill what an ended service has left behind; how many that were."""
        return int(self._ask({"do": "sweep", "name": name})[0]["killed"])

    def acknowledge(self, name: str, pid: int) -> None:
        """We know of this end and have read its pipes: the name is free again."""
        self._ask({"do": "ack", "name": name, "pid": pid})

    def note(self, name: str, note: Mapping[str, Any]) -> None:
        """What the next engine should know of a service."""
        self._ask({"do": "note", "name": name, "note": dict(note)})

    def quit(self) -> None:
        """Kill everything that is left, end the keeper, and wait for that."""
        self._sock.settimeout(QUIT_SECONDS)
        with contextlib.suppress(KeeperLost):
            self._send({"do": "quit"})
            while True:
                self._answer()
        self.abandon()

    def abandon(self) -> None:
        """Part from a keeper that has ended or hangs. Its children are not touched."""
        self._sock.close()
        if self._child is not None:
            # Not reaped by anybody else, so this pid is still it.
            procfs.kill(self._child)
            os.waitpid(self._child, 0)
            self._child = None

    @property
    def pending(self) -> bool:
        """Whether `ended` has something that came in while we waited for an answer."""
        return bool(self._ended)

    def ended(self) -> list[Ended]:
        """Who ended since the last time; does not wait."""
        self._sock.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._receive()
        self._sock.settimeout(ANSWER_SECONDS)
        found, self._ended = self._ended, []
        return found

    def _ask(self, request: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[int, ...]]:
        self._send(request)
        return self._answer()

    def _send(self, request: Mapping[str, Any]) -> None:
        try:
            self._sock.sendall(json.dumps(request).encode())
        except TimeoutError:
            raise self._lost() from None
        except OSError as error:
            if request["do"] == "spawn" and not isinstance(error, ConnectionError):
                raise SpawnFailed(error.errno or 0, "start") from None
            raise self._lost() from None

    def _answer(self) -> tuple[dict[str, Any], tuple[int, ...]]:
        try:
            while (packet := self._receive()) is None:
                pass
        except TimeoutError:
            raise self._lost() from None
        return packet

    def _receive(self) -> tuple[dict[str, Any], tuple[int, ...]] | None:
        """One packet; None if it was the news of an end, which is kept."""
        try:
            data, fds, _, _ = socket.recv_fds(self._sock, PACKET, 4, socket.MSG_CMSG_CLOEXEC)
        except ConnectionError:
            data = b""
        if not data:
            raise self._lost()
        packet: dict[str, Any] = json.loads(data)
        if "ended" in packet:
            self._ended.append(Ended(name=packet["ended"], pid=packet["pid"], status=packet["status"]))
            return None
        return packet, tuple(fds)

    def _lost(self) -> KeeperLost:
        self.broken = True
        return KeeperLost()


def attach(folder: Path) -> Link | None:
    """A link to the keeper that lives in this run folder; None where none does."""
    sock = _seqpacket()
    try:
        with reachable(folder / SOCKET) as name:
            sock.connect(name)
    except (FileNotFoundError, ConnectionRefusedError):
        sock.close()
        return None
    return Link(sock)


def launch(folder: Path, log: Path) -> Link:
    """Start a keeper and connect to it. It inherits its listening socket, so there is nothing to wait for."""
    (folder / SOCKET).unlink(missing_ok=True)
    listener = _seqpacket()
    with listener, reachable(folder / SOCKET) as name:
        listener.bind(name)
        (folder / SOCKET).chmod(0o600)
        listener.listen(8)
        listener.set_inheritable(True)
        pid = _spawn_keeper(folder, log, listener.fileno())
        sock = _seqpacket()
        sock.connect(name)
    return Link(sock, child=pid)


def _spawn_keeper(folder: Path, log: Path, listener: int) -> int:
    root = str(Path(ghostd.__file__).parent.parent)
    argv = [sys.executable, "-I", "-S", "-c", _START, root, str(folder), str(listener)]
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
    ]
    return os.posix_spawn(sys.executable, argv, {"LC_ALL": "C.UTF-8"}, file_actions=files, setsid=True)


def _seqpacket() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
