"""A real engine and keeper with given services, for tests: started, asked, killed, and never left behind."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ghostd.base.sockets import bind_datagram
from ghostd.model.service import Backoff, ServiceSpec, StartLimit, Stop
from ghostd.model.settings import Places
from ghostd.supervise import procfs
from ghostd.supervise.client import Control
from ghostd.supervise.survivors import end_survivors

HERE = Path(__file__).parent
PATIENCE = 20.0
SUPERVISORCTL = Path(sys.executable).with_name("supervisorctl")


def service(name: str, *command: str, **more: Any) -> ServiceSpec:
    """A service that is restarted at once and gives up soon, so that a test need not wait."""
    given = {"backoff": Backoff(initial=0.01, factor=1.0, jitter=0.0), "stop": Stop(timeout=5.0), "cwd": "/"} | more
    return ServiceSpec(name=name, command=command or ("sleep", "1000"), **given)


def shell(name: str, script: str, **more: Any) -> ServiceSpec:
    return service(name, "sh", "-c", script, **more)


#: Any run counts as a long one: each crash is followed by a restart at once.
EAGER = StartLimit(burst=5, interval=0.0)


def until(condition: Callable[[], Any], what: str = "") -> Any:
    """What `condition` returns as soon as it is true."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.01)
    return found


def alive(pid: int) -> bool:
    return procfs.look(pid) is not None


def marked(workspace: Path) -> list[int]:
    """Every process that a service of this workspace is or has left."""
    wanted = f"GHOST_HOME={workspace}".encode()
    found = []
    for pid in procfs.everybody():
        try:
            if wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.append(pid)
        except OSError:
            continue
    return found


class Daemon:
    """The engine process of one workspace."""

    def __init__(self, workspace: Path, *specs: ServiceSpec) -> None:
        self.workspace = workspace
        self.places = Places(workspace=workspace)
        self.control = Control(self.places.control)
        self.process: subprocess.Popen[bytes] | None = None
        self.log = workspace / "engine.txt"
        self.configure(*specs)

    def configure(self, *specs: ServiceSpec) -> None:
        (self.workspace / "specs").write_bytes(pickle.dumps(specs))

    def start(self, *flags: str, wait: bool = True) -> Daemon:
        """Start an engine, and wait until every service is ready or has failed."""
        with contextlib.ExitStack() as stack:
            # A short folder: a workspace's own path may be too long for an address.
            path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "ear"
            ear = stack.enter_context(bind_datagram(path))
            log = stack.enter_context(self.log.open("ab"))
            self.process = subprocess.Popen(
                [sys.executable, HERE / "supervise_child.py", self.workspace, self.workspace / "specs", *flags],
                stdout=log, stderr=log, env=os.environ | {"NOTIFY_SOCKET": str(path)}, start_new_session=True,
            )  # fmt: skip
            pidfd = os.pidfd_open(self.process.pid)
            while wait:
                ready, _, _ = select.select([ear, pidfd], [], [], PATIENCE)
                assert ready, "the engine never got ready: " + self.told()
                if pidfd in ready or b"READY=1" in ear.recv(4096).split(b"\n"):
                    break
            os.close(pidfd)
        return self

    def told(self) -> str:
        return self.log.read_text()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def keeper(self) -> int:
        return int(json.loads((self.places.run / "keeper.json").read_text())["pid"])

    def kill(self) -> None:
        """As `kill -9` does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def kill_keeper(self) -> None:
        pid = self.keeper
        os.kill(pid, signal.SIGKILL)
        until(lambda: not alive(pid))

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(PATIENCE)

    def rows(self) -> dict[str, dict[str, Any]]:
        return {row["name"]: row for row in self.control.status()["services"]}

    def row(self, name: str) -> dict[str, Any]:
        return self.rows()[name]

    def state(self, name: str) -> str:
        return self.row(name)["state"]

    def reach(self, name: str, state: str) -> dict[str, Any]:
        """The row of a service as soon as it is in this state."""
        until(lambda: self.state(name) == state, f"{name} to be {state}: {self.told()}")
        return self.row(name)

    def reborn(self, name: str, old: int) -> int:
        """The pid of a service's next process."""
        until(lambda: self.row(name)["pid"] not in (0, old) and self.row(name)["ready"], f"{name} after {old}")
        return self.row(name)["pid"]

    def output(self, name: str) -> str:
        return (self.places.log / f"{name}.log").read_text("utf-8", "replace")

    def ctl(self, *words: str) -> tuple[int, str]:
        """Exit status and output of the real supervisorctl."""
        done = subprocess.run(
            [SUPERVISORCTL, "-s", f"unix://{self.places.control}", *words],
            capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def clear(self) -> None:
        """Leave nothing, however the test ended."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.places.run.exists():
            end_survivors(self.places.run)
        for pid in marked(self.workspace):
            procfs.kill(pid)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    where = tmp_path / "workspace"
    where.mkdir()
    return where


@pytest.fixture
def daemon(workspace: Path) -> Iterator[Callable[..., Daemon]]:
    """Make an engine with these services and start it."""
    made: list[Daemon] = []

    def make(*specs: ServiceSpec) -> Daemon:
        made.append(Daemon(workspace, *specs))
        return made[-1].start()

    yield make
    for one in made:
        one.clear()
