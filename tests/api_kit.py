"""What the tests of the API share: a workspace with a real repository, services as processes, signed deliveries."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from ghostd.base.clock import SystemClock
from ghostd.config.init import init
from ghostd.model.settings import Places
from ghostd.security import token
from ghostd.security.secrets import load as secrets
from ghostd.store.db import open_ledger
from ghostd.store.ports import Ledger
from ghostd.store.wake import DatagramBell

GENEROUS = 'rate_limit = "100000/minute"'
NAMES = ("gateway", "runner", "status", "telemetry", "trigger", "dashboard", "monitor")


@dataclass(frozen=True)
class Home:
    """A workspace for tests."""

    repo: Path

    @property
    def workspace(self) -> Path:
        return self.repo / ".ghost"

    @property
    def places(self) -> Places:
        return Places(workspace=self.workspace)

    def secret(self, name: Any = "webhook") -> bytes:
        return secrets(name, self.places.secrets, {})[0]

    def bearer(self, *scopes: str) -> dict[str, str]:
        """The header of a token with these scopes."""
        made = token.issue(self.secret("jwt"), subject="tester", scopes=scopes, ttl=60, now=time.time())
        return {"Authorization": f"Bearer {made}"}

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """The workspace's ledger, as another process would open it."""
        opened = open_ledger(self.places.ledger, clock=SystemClock(), bell=DatagramBell(self.places.wake))
        try:
            yield opened
        finally:
            opened.close()


def make_home(folder: Path, *, listen: dict[str, str] | None = None, security: str = "") -> Home:
    """A repository with one commit and its workspace; every listener on a free port but for those in `listen`."""
    repo = folder / "repo"
    repo.mkdir()
    for arguments in (["init", "-q", "-b", "main"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", *arguments], cwd=repo, check=True)
    home = Home(repo=repo)
    init(home.workspace, repo=repo)
    doors = dict.fromkeys(NAMES, "127.0.0.1:0") | (listen or {})
    addresses = "\n".join(f'{name} = "{address}"' for name, address in doors.items())
    home.places.conf.write_text(f"""
[lane.MAIN]
repo = "{repo}"
aliases = ["BRAUN"]
default = true
[lane.CYOPS]
repo = "{repo}"
[security]
{security or GENEROUS}
[listen]
{addresses}
""")
    return home


@dataclass
class Running:
    """A service that has said READY=1."""

    process: subprocess.Popen[str]
    listen: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def url(self, listener: str) -> str:
        return f"http://{self.listen[listener]}"

    def client(self, listener: str, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url(listener), timeout=20, **options)

    def end(self, sig: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(sig)
        return self.process.wait(20)


@contextmanager
def service(module: str, home: Home, **env: str) -> Iterator[Running]:
    """`python -m ghostd.services.<module>`, started as the keeper does it, and ended whatever happens."""
    address = f"\0ghost-test-{os.getpid()}-{time.monotonic_ns()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inbox:
        inbox.bind(address)
        inbox.settimeout(30)
        running = Running(process=start(module, home, NOTIFY_SOCKET="@" + address[1:], **env))
        try:
            _wait_ready(running, inbox)
            yield running
        finally:
            running.process.kill()
            running.process.wait()


def start(module: str, home: Home, **env: str) -> subprocess.Popen[str]:
    log = home.workspace / f"{module}.log"
    with log.open("a") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", f"ghostd.services.{module}", "--workspace", str(home.workspace)],
            env=os.environ | env, stdout=subprocess.DEVNULL, stderr=errors, text=True,
        )  # fmt: skip


def _wait_ready(running: Running, inbox: socket.socket) -> None:
    while "READY=1" not in running.said:
        lines = inbox.recv(65536).decode().split("\n")
        running.said += lines
        for line in lines:
            if line.startswith("X_GHOST_LISTEN="):
                name, _, address = line.removeprefix("X_GHOST_LISTEN=").partition("=")
                running.listen[name] = address


def patch(id: str, **more: Any) -> bytes:
    """A patch that writes one file."""
    metadata = {"description": more.pop("description", f"what {id} does")}
    mutations = [{"op": "write", "path": f"{id}.txt", "contents": more.pop("contents", "hello\n")}]
    return json.dumps({"id": id, "type": "unified", "metadata": metadata, "content": {"mutations": mutations}}).encode()


def hub_signed(body: bytes, secret: bytes, delivery: str = "") -> dict[str, str]:
    """The headers that a Git host sends."""
    headers = {"X-Hub-Signature-256": "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()}
    return headers | ({"X-GitHub-Delivery": delivery} if delivery else {})


def standard_signed(body: bytes, secret: bytes, delivery: str, when: float | None = None) -> dict[str, str]:
    """The headers of Standard Webhooks."""
    stamp = str(int(time.time() if when is None else when))
    signature = hmac.new(secret, f"{delivery}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": delivery,
        "webhook-timestamp": stamp,
        "webhook-signature": "v1," + base64.b64encode(signature).decode(),
    }
