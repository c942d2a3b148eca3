"""Opens the doors: binds what `[listen]` names, and the workspace's own socket."""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from ghostd.api.front import FIRST_RANK, Front, Listener
from ghostd.base.errors import Cannot
from ghostd.base.sockets import reachable

_log = logging.getLogger("ghost.api")
BACKLOG = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A bound, listening socket. `address` is empty for the workspace's own."""

    listener: Listener
    socket: socket.socket
    address: str

    @property
    def local(self) -> bool:
        return not self.address


def open_doors(front: Front, listeners: Collection[Listener]) -> list[Door]:
    """Bind what is configured. One that can not be had: Cannot(port-taken, …) for the first rank, else a skip."""
    doors: list[Door] = []
    for listener in listeners:
        configured = getattr(front.settings.listen, listener)
        try:
            doors += [_open(listener, configured)] if configured else []
        except Cannot as error:
            if listener in FIRST_RANK:
                for door in doors:
                    door.socket.close()
                raise
            _log.error("%s", error)
            front.skipped[listener.value] = str(error)
    front.listening.update({door.listener.value: door.address for door in doors})
    return doors


def _open(listener: Listener, configured: str) -> Door:
    host, _, port = configured.rpartition(":")
    host = host.strip("[]")
    try:
        opened = _listening(host, int(port))
    except (OSError, ValueError, OverflowError) as error:
        raise _unavailable(listener, configured, error) from None
    bound = opened.getsockname()[1]
    return Door(listener=listener, socket=opened, address=f"[{host}]:{bound}" if ":" in host else f"{host}:{bound}")


def _listening(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    opened = socket.socket(family, kind, protocol)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        # Listening at once, because a merely bound port may still be taken by somebody else.
        opened.listen(BACKLOG)
    except BaseException:
        opened.close()
        raise
    return opened


def _unavailable(listener: Listener, configured: str, error: Exception) -> Cannot:
    number = error.errno if isinstance(error, OSError) else None
    why = {errno.EADDRINUSE: "port is taken", errno.EACCES: "not allowed"}.get(number or 0, "")
    return Cannot(
        f"listen on {configured} ({listener}): {why or getattr(error, 'strerror', None) or error}",
        kind="port-taken" if number == errno.EADDRINUSE else "cannot-listen",
        hint=f'set [listen] {listener} = "127.0.0.1:0" for a free port, or "" to switch it off',
    )


def open_local(path: Path, listener: Listener) -> Door:
    """The workspace's own socket, for this user's tools; a stale one is replaced."""
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        with reachable(path) as name:
            opened.bind(name)
        path.chmod(0o600)
        opened.listen(BACKLOG)
    except BaseException:
        opened.close()
        raise
    return Door(listener=listener, socket=opened, address="")
