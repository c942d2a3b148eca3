"""Ask a running ghostd over its control socket. It imports nothing heavy until it asks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ghostd.base.errors import Cannot
from ghostd.base.sockets import connect_stream

_BAD_NAME, _SHUTDOWN_STATE = 10, 6


class Control:
    """The control socket of one workspace. Every method raises Cannot(no-daemon) where nobody listens."""

    def __init__(self, socket_path: Path, timeout: float = 10.0) -> None:
        self._path = socket_path
        self._timeout = timeout

    def alive(self) -> bool:
        """Whether somebody listens."""
        try:
            connect_stream(self._path, timeout=self._timeout).close()
        except OSError:
            return False
        return True

    def status(self) -> dict[str, Any]:
        """The document of `ghostd status --json`, without CPU and memory, which the asker measures."""
        document: dict[str, Any] = json.loads(self._call("ghost.status", timeout=self._timeout))
        return document

    def start(self, names: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Start these services (all without names) and wait; a status row for each. Cannot(no-service)."""
        return self._act("ghost.start", names)

    def stop(self, names: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Stop these services and wait; a status row for each. They stay down until somebody starts them."""
        return self._act("ghost.stop", names)

    def restart(self, names: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Restart these services and wait; a status row for each."""
        return self._act("ghost.restart", names)

    def shutdown(self) -> None:
        """Tell ghostd to stop all services and to end. Returns when it has heard, not when it has ended."""
        self._call("ghost.shutdown", timeout=self._timeout)

    def log_path(self, name: str) -> Path:
        """Where a service's output goes. Cannot(no-service)."""
        rows = {row["name"]: row for row in self.status()["services"]}
        if name not in rows:
            raise _no_service(name)
        return Path(rows[name]["log"])

    def _act(self, method: str, names: Sequence[str]) -> list[dict[str, Any]]:
        # A service may take its time to be ready or to end; the engine's own limits see to it that there is an answer.
        rows: list[dict[str, Any]] = json.loads(self._call(method, list(names), timeout=None))
        return rows

    def _call(self, method: str, *parameters: Any, timeout: float | None) -> str:
        import http.client
        import xmlrpc.client

        connection = http.client.HTTPConnection("localhost")
        try:
            connection.sock = connect_stream(self._path, timeout=timeout)
            connection.request("POST", "/RPC2", xmlrpc.client.dumps(parameters, method), {"Content-Type": "text/xml"})
            answer = connection.getresponse()
            text = answer.read()
        except TimeoutError:
            hint = "look into state/log/ghostd.log"
            raise Cannot(f"get an answer from ghostd within {timeout:g} s", kind="daemon-silent", hint=hint) from None
        except (OSError, http.client.HTTPException):
            raise Cannot("reach ghostd: it does not run here", kind="no-daemon", hint="run ghostd start") from None
        finally:
            connection.close()
        if answer.status != http.client.OK:
            hint = "look into state/log/ghostd.log"
            raise Cannot(f"get an answer from ghostd: HTTP {answer.status}", kind="daemon-failed", hint=hint)
        try:
            return str(xmlrpc.client.loads(text.decode())[0][0])
        except xmlrpc.client.Fault as fault:
            raise _told(fault.faultCode, fault.faultString) from None


def _told(code: int, text: str) -> Cannot:
    detail = text.partition(": ")[2] or text
    if code == _BAD_NAME:
        return _no_service(detail)
    if code == _SHUTDOWN_STATE:
        return Cannot("do that: ghostd is stopping", kind="stopping", hint="wait for it, then run ghostd start")
    return Cannot(f"do that: {text}", kind="refused")


def _no_service(name: str) -> Cannot:
    return Cannot(f"find a service {name}", kind="no-service", hint="ghostd status lists them", service=name)
