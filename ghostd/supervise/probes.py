"""How a service tells that it works: sd_notify datagrams, a socket for each, so that nobody speaks for another.

Protocol: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

from __future__ import annotations

import os
import socket
from array import array
from dataclasses import dataclass, field
from pathlib import Path

from ghostd.base.log import one_line
from ghostd.base.sockets import bind_datagram

_LARGEST = 4096
_MOST_FDS = 64
#: Datagrams that are read at one go: a service that floods its socket does not keep the others waiting.
_AT_ONCE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one datagram says."""

    ready: bool = False
    watchdog: bool = False
    status: str | None = None
    #: Listener → `host:port`, from `X_GHOST_LISTEN=name=host:port`.
    listen: dict[str, str] = field(default_factory=dict)


def understand(datagram: bytes) -> Told:
    """Read the assignments that we know; a stranger's text, so all others are passed over."""
    ready = watchdog = False
    status: str | None = None
    listen = {}
    for line in datagram.decode("utf-8", "replace").split("\n"):
        key, _, value = line.partition("=")
        match key:
            case "READY":
                ready = ready or value == "1"
            case "WATCHDOG":
                watchdog = watchdog or value == "1"
            case "STATUS":
                status = one_line(value, 200)
            case "X_GHOST_LISTEN" if "=" in value:
                name, _, address = value.partition("=")
                listen[one_line(name, 40)] = one_line(address, 100)
            case _:
                pass
    return Told(ready=ready, watchdog=watchdog, status=status, listen=listen)


class Ear:
    """The socket that one service notifies."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sock = bind_datagram(path)

    def fileno(self) -> int:
        return self._sock.fileno()

    def hear(self) -> list[Told]:
        """What has been said since the last time."""
        heard = []
        for _ in range(_AT_ONCE):
            try:
                data, ancillary, _, _ = self._sock.recvmsg(
                    _LARGEST, socket.CMSG_SPACE(4 * _MOST_FDS), socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                break
            _close_received(ancillary)
            heard.append(understand(data))
        return heard

    def close(self) -> None:
        self._sock.close()
        self.path.unlink(missing_ok=True)


def _close_received(ancillary: list[tuple[int, int, bytes]]) -> None:
    """`BARRIER=1` brings a descriptor whose closing is the answer; no other is wanted, and none may pile up."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds = array("i")
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
            for fd in fds:
                os.close(fd)
