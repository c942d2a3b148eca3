"""supervisor's configuration objects, made from ServiceSpecs instead of an ini file, with every system call taken out.

Its classes are the contract with supervisorctl, event listeners and plugins. What they would do to processes themselves
(fork, waitpid for any child, closing other people's descriptors) raises here: the keeper does it.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from supervisor.datatypes import RestartUnconditionally, RestartWhenExitUnexpected
from supervisor.loggers import LevelsByName
from supervisor.options import ProcessConfig, ProcessGroupConfig, ServerOptions

from ghostd.model.service import RestartWhen, ServiceSpec
from ghostd.supervise import words
from ghostd.supervise.logs import ForSupervisor

IDENTIFIER = "ghostd"
_RESTART = {
    RestartWhen.ALWAYS: RestartUnconditionally,
    RestartWhen.ON_FAILURE: RestartWhenExitUnexpected,
    RestartWhen.NEVER: False,
}


class Options(ServerOptions):  # type: ignore[misc]
    """The options of one engine. `house` is what the services need of it."""

    def __init__(self, *, house: Any, logfile: Path, log_folder: Path) -> None:
        super().__init__()
        self.house = house
        self.log_folder = log_folder
        self.logger = ForSupervisor(logging.getLogger("ghostd.supervisor"))
        self.logfile = str(logfile)
        self.loglevel = LevelsByName.INFO
        self.identifier = IDENTIFIER
        self.serverurl = ""
        self.strip_ansi = False
        self.first = True

    def add_groups(self, specs: Iterable[ServiceSpec]) -> None:
        """One group for each service, in start order, which becomes supervisor's priority."""
        for number, spec in enumerate(specs, start=len(self.process_group_configs) + 1):
            config = ServiceConfig(self, spec, number)
            self.process_group_configs.append(ProcessGroupConfig(self, spec.name, number, [config]))

    def process_config(self, do_usage: bool = True) -> NoReturn:  # noqa: FBT001, FBT002 - supervisor's signature
        raise ValueError("the configuration is read when ghostd starts")

    def reopenlogs(self) -> None:
        self.logger.info("log files are opened anew")

    def _not_here(self, *_: Any, **__: Any) -> NoReturn:
        raise NotImplementedError("processes are the keeper's business")

    fork = waitpid = kill = execve = setpgrp = make_pipes = cleanup_fds = drop_privileges = daemonize = _not_here


class ServiceConfig(ProcessConfig):  # type: ignore[misc]
    """One service as supervisor's classes and clients see it."""

    # Equality goes over these names: a changed specification is a changed service.
    optional_param_names = [*ProcessConfig.optional_param_names, "spec"]  # noqa: RUF012 - supervisor's own shape

    def __init__(self, options: Options, spec: ServiceSpec, priority: int) -> None:
        super().__init__(
            options, spec=spec, serverurl=None, environment=dict(spec.env), **_parameters(options, spec, priority)
        )

    def make_process(self, group: Any = None) -> Any:
        from ghostd.supervise.child import Child

        child = Child(self)
        child.group = group
        return child


def _parameters(options: Options, spec: ServiceSpec, priority: int) -> dict[str, Any]:
    quiet = dict.fromkeys(
        (
            "stdout_capture_maxbytes",
            "stdout_events_enabled",
            "stdout_syslog",
            "stderr_capture_maxbytes",
            "stderr_events_enabled",
            "stderr_syslog",
            "stderr_logfile_backups",
            "stderr_logfile_maxbytes",
        ),
        0,
    )
    return {
        **quiet,
        "name": spec.name,
        "uid": None,
        "command": shlex.join(spec.command),
        "directory": spec.cwd,
        "umask": spec.umask,
        "priority": priority,
        "autostart": spec.autostart,
        "autorestart": _RESTART[spec.restart],
        "startsecs": int(spec.ready.after),
        "startretries": spec.start_limit.burst,
        "stdout_logfile": str(options.log_folder / f"{spec.name}.log"),
        "stdout_logfile_backups": spec.log.backups,
        "stdout_logfile_maxbytes": spec.log.max_size,
        "stderr_logfile": None,
        "stopsignal": words.signal_number(spec.stop.signal),
        "stopwaitsecs": int(spec.stop.timeout),
        "stopasgroup": spec.stop.group,
        "killasgroup": True,
        "exitcodes": list(spec.exit_codes),
        "redirect_stderr": True,
    }
