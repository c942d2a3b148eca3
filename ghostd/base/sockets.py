"""Unix sockets at paths of any length.

The kernel takes 107 bytes of path. A longer one is reached through a descriptor of its folder
(`/proc/self/fd/N/name`), so that a workspace may live as deep as it likes.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

LONGEST = 107


@contextlib.contextmanager
def reachable(path: Path) -> Iterator[str]:
    """A name of `path` that fits into a socket address, valid inside the block only."""
    if len(os.fsencode(path)) <= LONGEST:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def bind_datagram(path: Path) -> socket.socket:
    """A non-blocking datagram socket at `path`, mode 0600; a stale file there is replaced."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        path.unlink(missing_ok=True)
        with reachable(path) as name:
            sock.bind(name)
        path.chmod(0o600)
    except BaseException:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def send_datagram(path: Path, data: bytes) -> bool:
    """Send without blocking. False when nobody listens.

    A receiver whose buffer is full counts as reached: it will wake anyway.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, reachable(path) as name:
        sock.setblocking(False)
        try:
            sock.sendto(data, name)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except BlockingIOError:
            return True
    return True


def connect_stream(path: Path, *, timeout: float | None = None) -> socket.socket:
    """A connected stream socket. Raises OSError where nobody listens."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        with reachable(path) as name:
            sock.connect(name)
    except BaseException:
        sock.close()
        raise
    return sock
