"""The wake-up: one byte on a unix datagram socket for each one who waits. A hint; the ledger is the truth."""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import socket
from collections.abc import Iterator
from pathlib import Path

from ghostd.base.files import make_dir
from ghostd.base.sockets import bind_datagram, send_datagram

_SUFFIX = ".sock"
#: More than any ring, so that each read takes a whole one.
_RING = 16


class DatagramBell:
    """Rings at every socket of a folder, and clears away those that nobody reads any more."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def ring(self) -> None:
        for path in self._sockets():
            # Out of descriptors or memory, or another user's socket: a lost hint costs one safety check, no more.
            with contextlib.suppress(OSError):
                if not send_datagram(path, b"\1"):
                    path.unlink(missing_ok=True)

    def _sockets(self) -> Iterator[Path]:
        try:
            names = os.listdir(self._folder)  # noqa: PTH208 - plain names: this is done for each patch
        except OSError:
            # No folder: nobody has ever waited. No descriptors left: as above.
            return
        yield from (self._folder / name for name in names if name.endswith(_SUFFIX))


class DatagramWaiter:
    """A socket of our own in the folder."""

    def __init__(self, sock: socket.socket, path: Path) -> None:
        self._sock = sock
        self._path = path
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)

    def fileno(self) -> int:
        return self._sock.fileno()

    def wait(self, timeout: float) -> bool:
        rung = bool(self._poll.poll(max(0.0, timeout) * 1000))
        self.drain()
        return rung

    def drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self._sock.recv(_RING)

    def close(self) -> None:
        # First the name, then the socket: a ringer never meets a name that refuses.
        self._path.unlink(missing_ok=True)
        self._sock.close()


def listen(folder: Path) -> DatagramWaiter:
    """Begin to wait: every ring from now on wakes us."""
    path = make_dir(folder) / f"{os.getpid()}-{secrets.token_hex(6)}{_SUFFIX}"
    return DatagramWaiter(bind_datagram(path), path)
