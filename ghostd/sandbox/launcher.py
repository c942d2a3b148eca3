"""Start a launcher, give it its orders, hear how the command ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from ghostd.base import process
from ghostd.sandbox.orders import launcher

#: A launcher that was told to end kills and leaves within milliseconds; one that does not is killed itself.
_GRACE = 5.0
#: Plain and without surprises: the launcher's own environment is not the command's.
_ENVIRONMENT = {"LC_ALL": "C.UTF-8"}
_LARGEST_REPORT = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the command and all that it waited for used: seconds of processor, bytes of the largest process."""

    user: float
    system: float
    memory: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a launcher told. `status` is None where the command was not started, or the launcher itself was killed."""

    status: int | None = None
    leftovers: int = 0
    usage: Usage | None = None
    error: str = ""
    layers: tuple[str, ...] = ()


class Launched:
    """A launcher at work. Leaving the `with` ends it and everything below it, whatever happens."""

    def __init__(self, orders: Mapping[str, object], *, cwd: Path) -> None:
        ours, theirs = socket.socketpair()
        self._socket = ours
        try:
            self._child = process.start(
                launcher(), cwd=cwd, env=_ENVIRONMENT, stdin=theirs.fileno(), stdout=process.PIPE, stderr=process.STDOUT
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        # A launcher that dies at once closes its side; its status tells then.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            ours.sendall(json.dumps(orders).encode())
            ours.shutdown(socket.SHUT_WR)

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def output(self) -> IO[bytes]:
        """The command's stdout and stderr together."""
        assert self._child.stdout is not None
        return self._child.stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        self.output.close()
        self._socket.close()

    def end(self) -> int:
        """Stop it and all below it, where it still runs; the launcher's own status."""
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
            try:
                self._child.wait(_GRACE)
            except process.TimeoutExpired:
                self._child.kill()
        return self._child.wait()

    def wait(self) -> int:
        return self._child.wait()

    def report(self) -> Report:
        """What it told. Call it when it has ended: nobody holds the other side any more then."""
        self._socket.settimeout(_GRACE)
        told = b""
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while len(told) < _LARGEST_REPORT and (chunk := self._socket.recv(_LARGEST_REPORT)):
                told += chunk
        return _report(told.decode(errors="replace").splitlines())


def _report(lines: list[str]) -> Report:
    told = dict(line.partition(" ")[::2] for line in reversed(lines))  # the first error is the cause
    used = told.get("usage", "").split()
    return Report(
        status=int(told["status"]) if "status" in told and "error" not in told else None,
        leftovers=int(told.get("leftovers", 0)),
        usage=Usage(user=float(used[0]), system=float(used[1]), memory=int(used[2])) if used else None,
        error=told.get("error", ""),
        layers=(told["layers"],) if "layers" in told else (),
    )


def session_of(pid: int) -> list[int]:
    """Processes of the session that `pid` led: what is left of a command that killed its own launcher."""
    left = []
    for name in os.listdir("/proc"):  # noqa: PTH208 - names are all that is wanted
        if name.isdigit() and int(name) != pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if os.getsid(int(name)) == pid:
                    left.append(int(name))
    return left
