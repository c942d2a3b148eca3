"""The control socket: supervisor's HTTP server and XML-RPC namespaces, and our namespace `ghost` beside them."""

from __future__ import annotations

import json
import logging
import socket
import types
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from supervisor.http import (
    NOT_DONE_YET,
    LogWrapper,
    deferring_http_channel,
    logtail_handler,
    mainlogtail_handler,
    supervisor_af_unix_http_server,
)
from supervisor.rpcinterface import SupervisorNamespaceRPCInterface
from supervisor.xmlrpc import Faults, RPCError, SystemNamespaceRPCInterface, supervisor_xmlrpc_handler

from ghostd.base.sockets import reachable
from ghostd.supervise.rules import State
from ghostd.supervise.service import Service
from ghostd.supervise.status import row

_log = logging.getLogger("ghostd.supervise.rpc")
#: An answer that was put off is looked at again after this, and whenever a service changes.
_LATER = 0.05
_IN_BETWEEN = (State.STARTING, State.STOPPING)


class Control(Protocol):
    """What the `ghost` namespace asks of the engine."""

    def status(self) -> dict[str, Any]: ...
    def pick(self, names: Sequence[str]) -> list[Service]: ...
    def start(self, services: Iterable[Service]) -> None: ...
    def stop(self, services: Iterable[Service]) -> None: ...
    def restart(self, services: Iterable[Service]) -> None: ...
    def begin_shutdown(self, why: str) -> None: ...


class Supervisor(SupervisorNamespaceRPCInterface):  # type: ignore[misc]
    """supervisor's own methods, with its two loops mended: a wait that spins, and a stop of all that knows no order."""

    def stopProcess(self, name: str, wait: bool = True) -> Any:  # noqa: FBT001, FBT002, N802 - supervisor's signature
        """Stop a process named by name

        @param string name  The name of the process to stop (or 'group:name')
        @param boolean wait        Wait for the process to be fully stopped
        @return boolean result     Always return True unless error
        """
        answer = super().stopProcess(name, wait)
        if isinstance(answer, types.FunctionType):
            vars(answer)["delay"] = _LATER
        return answer

    def stopAllProcesses(self, wait: bool = True) -> Any:  # noqa: FBT001, FBT002, N802 - supervisor's signature
        """Stop all processes in the process list, each before what it requires

        @param  boolean wait   Wait for each process to be fully stopped
        @return array result   An array of process status info structs
        """
        self._update("stopAllProcesses")
        running = [pair for pair in self._getAllProcesses() if pair[1].standing in _STOPPABLE]
        self.supervisord.stop([process for _, process in running])

        def answer() -> Any:
            if any(process.standing in _STOPPABLE or process.pid for _, process in running):
                return NOT_DONE_YET
            done = {"status": Faults.SUCCESS, "description": "OK"}
            return [{"name": process.name, "group": group.config.name, **done} for group, process in running]

        return _deferred(answer) if wait and running else answer()


_STOPPABLE = (State.STARTING, State.RUNNING, State.BACKOFF, State.STOPPING)


class Ghost:
    """Our namespace. Documents travel as JSON text, because XML-RPC has neither null nor numbers above 2³¹."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def status(self) -> str:
        """Everything that is known of all services

        @return string document   The document of `ghostd status --json`
        """
        return json.dumps(self._control.status())

    def start(self, names: list[str]) -> Any:
        """Start services with what they require, and wait for the outcome

        @param array names   Their names; none for all
        @return string rows   What became of them, as JSON
        """
        return self._ask(names, self._control.start)

    def stop(self, names: list[str]) -> Any:
        """Stop services, each before what it requires, and wait for the outcome

        @param array names   Their names; none for all
        @return string rows   What became of them, as JSON
        """
        return self._ask(names, self._control.stop)

    def restart(self, names: list[str]) -> Any:
        """Restart services, and wait for the outcome

        @param array names   Their names; none for all
        @return string rows   What became of them, as JSON
        """
        return self._ask(names, self._control.restart)

    def shutdown(self) -> bool:
        """Stop all services, then ghostd itself

        @return boolean result   Always true
        """
        self._control.begin_shutdown("ghostd was stopped by user")
        return True

    def _ask(self, names: list[str], act: Callable[[Iterable[Service]], None]) -> Any:
        try:
            services = self._control.pick(names)
        except KeyError as error:
            raise RPCError(Faults.BAD_NAME, error.args[0]) from None
        act(services)

        def answer() -> Any:
            if any(one.standing in _IN_BETWEEN or one.again or one.untried() > 0 for one in services):
                return NOT_DONE_YET
            return json.dumps([row(service) for service in services])

        return _deferred(answer)


class System(SystemNamespaceRPCInterface):  # type: ignore[misc]
    """Introspection that also sees inherited methods."""

    def _listMethods(self) -> dict[str, str]:  # noqa: N802 - supervisor's name
        return {
            f"{space}.{name}": str(getattr(methods, name).__doc__)
            for space, methods in self.namespaces.items()
            for name in dir(methods)
            if not name.startswith("_") and isinstance(getattr(methods, name), types.MethodType)
        }


def _deferred(answer: Callable[[], Any]) -> Callable[[], Any]:
    """An answer that supervisor's server asks for again until it is there."""
    vars(answer)["delay"] = _LATER
    return answer


class _Channel(deferring_http_channel):  # type: ignore[misc]
    """A client. What it does wrong is not printed on our terminal."""

    def log_info(self, message: str, kind: str = "info") -> None:
        _log.debug("%s: %s", kind, message)


class ControlServer(supervisor_af_unix_http_server):  # type: ignore[misc]
    """The listening socket, at a path of any length, for the owner only."""

    channel_class = _Channel

    def __init__(self, path: Path, logger: Any) -> None:
        self.ip = self.port = str(path)
        # The engine's lock is held, so whatever lies there is a dead one's.
        path.unlink(missing_ok=True)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with reachable(path) as name:
            sock.bind(name)
        path.chmod(0o600)
        self.prebind(sock, LogWrapper(logger))
        self.server_name = "localhost"
        self.postbind()


def serve(path: Path, engine: Any) -> ControlServer:
    """Open the control socket for an engine, which is supervisord to supervisor's handlers."""
    server = ControlServer(path, engine.options.logger)
    namespaces = [("supervisor", Supervisor(engine)), ("ghost", Ghost(engine))]
    namespaces.append(("system", System(namespaces)))
    server.install_handler(mainlogtail_handler(engine))
    server.install_handler(logtail_handler(engine))
    server.install_handler(supervisor_xmlrpc_handler(engine, namespaces))
    return server
