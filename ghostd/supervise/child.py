"""supervisor's view of a service: its Subprocess interface, answered by our Service.

Nothing here forks, waits or kills by itself; what supervisor's RPC methods, groups and events ask for is passed on.
"""

from __future__ import annotations

import errno
import os
from typing import Any

from supervisor.process import Subprocess
from supervisor.states import ProcessStates

from ghostd.supervise.logs import LogFile
from ghostd.supervise.rules import State
from ghostd.supervise.service import Service


class Child(Service, Subprocess):  # type: ignore[misc]
    """One service in one group of its own."""

    def __init__(self, config: Any) -> None:
        log = config.spec.log
        file = LogFile(config.options.log_folder / f"{config.name}.log", max_size=log.max_size, backups=log.backups)
        # Not Subprocess.__init__, which sets a bare state: ours has one door.
        Service.__init__(self, config.spec, config.options.house, file)
        self.config = config
        self.dispatchers: dict[int, Any] = {}
        self.pipes: dict[str, Any] = {}

    @property
    def state(self) -> int:
        return int(getattr(ProcessStates, self.standing))

    @property
    def spawnerr(self) -> str | None:
        return self.why if self.standing in (State.BACKOFF, State.FATAL) else None

    @property
    def exitstatus(self) -> int | None:
        """In supervisor's words, where every signal is -1."""
        return None if self.code is None else max(self.code, -1)

    @property
    def laststart(self) -> float:
        return self.body.laststart

    @property
    def backoff(self) -> int:
        return self.past.tries

    @property
    def killing(self) -> bool:
        return self.standing is State.STOPPING

    def get_state(self) -> int:
        return self.state

    def get_execv_args(self) -> tuple[str, tuple[str, ...]]:
        """Raises supervisor's NotFound, NotExecutable or NoPermission, which its clients know how to tell."""
        argv = self.spec.command
        folders = [self.spec.cwd] if "/" in argv[0] else self.config.get_path()
        found = [os.path.join(folder, argv[0]) for folder in folders]  # noqa: PTH118 - shown in the user's own words
        filename = next(filter(os.path.exists, found), None)
        stat = None if filename is None else self.config.options.stat(filename)
        self.config.options.check_execv_args(filename or argv[0], argv, stat)
        return filename or argv[0], argv

    def spawn(self) -> int | None:
        self.up("started by user", by_hand=True)
        return self.pid or None

    def stop(self) -> None:
        self.down("stopped by user", by_user=True)

    def give_up(self) -> None:
        self.stop()

    def transition(self) -> None:
        self.tick()

    def kill(self, sig: int) -> str | None:
        return self.signal(sig)

    def signal(self, sig: int) -> str | None:
        sent = self.pid and self.house.link.kill(self.name, sig, group=False)
        return None if sent else f"{self.name} is not running"

    def finish(self, pid: int, sts: int) -> None:
        self.ended(pid, sts)

    def write(self, chars: bytes) -> None:
        raise OSError(errno.EPIPE, "services have no standard input")

    def removelogs(self) -> None:
        self.body.log.clear()

    def reopenlogs(self) -> None:
        self.body.log.reopen()

    def drain(self) -> None:
        """Output is read as it comes."""

    def stop_report(self) -> None:
        """What is being waited for stands in `why`."""
