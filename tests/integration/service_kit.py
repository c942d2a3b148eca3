"""Real service processes for tests: started, waited for by their own word, always ended."""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from ghostd.base.clock import SystemClock
from ghostd.model.settings import Places
from ghostd.store.db import open_ledger
from ghostd.store.wake import DatagramBell


class Service:
    """`python -m ghostd.services.<module>` with a notify socket of its own."""

    def __init__(self, module: str, workspace: Path, **env: str) -> None:
        self.notes = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = f"@ghost-test-{os.getpid()}-{time.monotonic_ns()}"
        self.notes.bind("\0" + address[1:])
        self.log = workspace.parent / f"{module}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"ghostd.services.{module}", "--workspace", str(workspace)],
                env=os.environ | {"NOTIFY_SOCKET": address, **env},
                stderr=log,
            )
        self._said: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        """As the supervisor does: all the time, or the service would wait for it."""
        while note := self.notes.recv(4096):
            self._said.put(note.decode())

    def _hush(self) -> None:
        self.notes.shutdown(socket.SHUT_RD)
        self._reader.join()
        self.notes.close()

    def note(self, word: str, seconds: float = 20.0) -> None:
        """Wait until the service tells this."""
        while word not in self._said.get(timeout=seconds):
            pass

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._hush()

    def stop(self) -> tuple[int, float]:
        """SIGTERM: the exit status, and how long it took."""
        begun = time.monotonic()
        self.process.terminate()
        status = self.process.wait(10)
        self._hush()
        return status, time.monotonic() - begun


@contextlib.contextmanager
def running(module: str, workspace: Path, **env: str):
    """A service that has said that it is ready."""
    service = Service(module, workspace, **env)
    try:
        service.note("READY=1")
        yield service
    finally:
        if service.process.poll() is None:
            service.kill()


def eventually(ask, seconds: float = 15.0):
    """The first true answer of `ask`."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)
    return answer


def ledger_of(workspace: Path):
    """A ledger of the test's own, which wakes the services as an executor's would."""
    places = Places(workspace=workspace)
    return contextlib.closing(open_ledger(places.ledger, clock=SystemClock(), bell=DatagramBell(places.wake)))


def patch(id: str) -> str:
    """A patch as YAML."""
    return (
        f'id: {id}\ntype: unified\ncontent:\n  mutations:\n    - {{op: write, path: {id}.txt, contents: "{id}\\n"}}\n'
    )


def fenced(text: str) -> str:
    return f"words\n\n```yaml\n{text}```\n\n"
