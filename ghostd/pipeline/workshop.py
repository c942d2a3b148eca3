"""What every step of the path works with: one ledger, the repositories, the settings, the clock, and who we are."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from ghostd.base.clock import Clock
from ghostd.model.settings import LaneSettings, Places, Settings
from ghostd.repo.git import Repository, open_repository
from ghostd.store.ports import Ledger


class Repositories:
    """Open repositories by their identity (path of the common Git folder), each opened once."""

    def __init__(self, settings: Settings) -> None:
        self._git = settings.git
        self._open: dict[str, Repository] = {}
        self._identity: dict[Path, str] = {}

    def at(self, path: Path) -> Repository:
        """The repository that holds `path`. Raises Cannot(repo-missing | repo-invalid)."""
        if path not in self._identity:
            found = open_repository(path, durability=self._git.durability, lock_timeout=self._git.lock_timeout)
            self._identity[path] = found.identity
            self._identity[Path(found.identity)] = found.identity
            if found.identity in self._open:
                found.close()
            else:
                self._open[found.identity] = found
        return self._open[self._identity[path]]

    def of(self, lane: LaneSettings) -> Repository:
        """The repository of a lane."""
        return self.at(lane.repo)

    def identified(self, identity: str) -> Repository:
        """The repository of a job, by the identity that intake wrote down."""
        return self._open.get(identity) or self.at(Path(identity))

    def close(self) -> None:
        for repository in self._open.values():
            repository.close()
        self._open.clear()
        self._identity.clear()


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """One worker's things; belongs to one thread."""

    ledger: Ledger
    settings: Settings
    places: Places
    repositories: Repositories
    clock: Clock
    owner: str
    #: Called now and then during long work (feeds the watchdog).
    alive: Callable[[], None] = field(default=lambda: None)
    #: Lanes whose jobs this command did itself: their proof logs are brought up to date before it ends.
    worked: set[str] = field(default_factory=set)

    def close(self) -> None:
        self.repositories.close()
        self.ledger.close()


def owner_of_this_process() -> str:
    """`host:pid:start`: names this process for ever, also when its pid is given to another one."""
    return f"{socket.gethostname()}:{os.getpid()}:{psutil.Process().create_time():.2f}"


def is_alive(owner: str) -> bool:
    """Whether the process behind an owner still runs. One on another host counts as alive: only its lease can tell."""
    host, pid, start = owner.rsplit(":", 2)
    if host != socket.gethostname():
        return True
    try:
        return f"{psutil.Process(int(pid)).create_time():.2f}" == start
    except psutil.NoSuchProcess:
        return False
