"""The application in this process: what it answers when the rooms behind it fail, and when a client is slow."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from types import SimpleNamespace

import api_kit
import httpx
import pytest
from api_kit import hub_signed, patch

from ghostd.api.app import build
from ghostd.api.auth import Gatekeeper
from ghostd.api.desk import Desk
from ghostd.api.front import Front, Listener
from ghostd.api.rate import Limiter
from ghostd.api.take import Delivery, Taker, deliver
from ghostd.base.clock import SystemClock
from ghostd.base.errors import Cannot
from ghostd.config.load import load
from ghostd.model.settings import ListenSettings
from ghostd.services.gateway import intake, names
from ghostd.store.db import open_ledger


@pytest.fixture
def home(tmp_path):
    return api_kit.make_home(tmp_path)


@pytest.fixture
def front(home):
    """The house behind the doors; a test puts what it wants into it."""
    settings = load(home.workspace).settings
    made = Front(
        settings=settings,
        places=home.places,
        desk=Desk(lambda: open_ledger(home.places.ledger, clock=SystemClock())),
        keeper=Gatekeeper(secrets=[home.secret("jwt")], open_loopback=True),
        taker=Taker(lambda ledger: intake(settings, ledger)),
        daemon=dict,
        limiter=Limiter(1000, 1.0),
        webhook_secrets=[home.secret()],
    )
    yield made
    made.desk.close()


def ask(front: Front, listener: Listener, method: str, path: str, **options) -> httpx.Response:
    """One request through the application, without a server."""

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(build(front, listener), client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, **options)

    return asyncio.run(send())


def failing(error: Exception) -> Taker:
    """An intake that always fails like this."""

    def submit(_) -> None:
        raise error

    return Taker(lambda _: SimpleNamespace(submit=submit))


@pytest.mark.parametrize(
    ("kind", "status", "retry"),
    [
        ("malformed", 422, None),
        ("id-reused", 409, None),
        ("queue-full", 429, "5"),
        ("disk-full", 503, "60"),
        ("repo-missing", 503, None),
        ("never-heard-of", 422, None),
    ],
)
def test_every_refusal_of_intake_has_its_status(front, home, kind, status, retry):
    """The same at both doors, and no receipt is remembered."""
    front.taker = failing(Cannot("take it", kind=kind, hint="later"))
    body = patch("p")
    hook = ask(front, Listener.GATEWAY, "POST", "/webhook", content=body, headers=hub_signed(body, home.secret(), "d"))
    api = ask(front, Listener.STATUS, "POST", "/api/patches", content=body, headers=home.bearer("submit"))
    for answer in (hook, api):
        assert (answer.status_code, answer.json()["code"], answer.headers.get("retry-after")) == (status, kind, retry)
    with home.ledger() as ledger:
        assert ledger.receipt("webhook:d") is None


def test_a_bug_is_told_without_its_trace_and_logged_with_it(front, home, caplog):
    """The client gets a number that the log has as well."""
    front.taker = failing(RuntimeError("a secret detail"))
    answer = ask(front, Listener.STATUS, "POST", "/api/patches", content=b"{}", headers=home.bearer("submit"))
    assert (answer.status_code, answer.json()["code"]) == (500, "bug")
    assert "secret detail" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert answer.json()["request_id"] in record.getMessage()
    assert "a secret detail" in str(record.exc_info)


def test_a_body_that_grows_over_the_limit_is_cut_off(front, home):
    """Counted while it comes: it says nothing of its size beforehand."""
    sent = 0

    async def endless():
        nonlocal sent
        while True:
            sent += 65536
            yield b" " * 65536

    answer = ask(front, Listener.GATEWAY, "POST", "/webhook", content=endless())
    assert answer.status_code == 413
    assert sent < 2 * front.settings.security.max_body


def test_a_body_that_does_not_come_is_given_up(front, home):
    """408 after request_timeout, and nobody waits meanwhile."""
    home.places.conf.write_text(
        home.places.conf.read_text().replace("[security]", '[security]\nrequest_timeout = "200ms"')
    )
    front.settings = load(home.workspace).settings

    async def slow():
        yield b"{"
        await asyncio.sleep(20)

    begun = time.monotonic()
    answer = ask(front, Listener.GATEWAY, "POST", "/webhook", content=slow())
    assert (answer.status_code, answer.json()["code"]) == (408, "slow-body")
    assert time.monotonic() - begun < 5


def test_a_ledger_that_can_not_be_read_is_not_ready_and_still_alive(front):
    """/readyz says no, /livez yes."""

    def broken():
        raise sqlite3.OperationalError("disk I/O error")

    front.desk = Desk(broken)
    assert ask(front, Listener.STATUS, "GET", "/readyz").status_code == 503
    assert ask(front, Listener.STATUS, "GET", "/readyz").json()["checks"] == {"ledger": False}
    assert ask(front, Listener.STATUS, "GET", "/livez").status_code == 200
    front.desk.close()


def test_the_loop_goes_on_while_the_ledger_is_slow(front):
    """A question that takes long delays nobody else."""

    async def both() -> float:
        slow = asyncio.create_task(front.desk.ask(lambda _: time.sleep(1.0)))
        await asyncio.sleep(0.05)
        transport = httpx.ASGITransport(build(front, Listener.STATUS), client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            begun = time.monotonic()
            assert (await client.get("/livez")).status_code == 200
            took = time.monotonic() - begun
        await slow
        return took

    assert asyncio.run(both()) < 0.5


class Killed(BaseException):
    """The process ended here."""


def test_a_crash_between_the_patch_and_its_receipt_makes_the_retry_the_same_job(home):
    """Intake first, then the receipt: the other order would acknowledge what is lost."""
    settings = load(home.workspace).settings
    taker, retried = (Taker(lambda ledger: intake(settings, ledger)) for _ in range(2))
    delivery = Delivery(id="d-1", body=patch("crash"))
    with home.ledger() as ledger:

        def killed(_) -> None:
            raise Killed

        remember, ledger.remember = ledger.remember, killed
        with pytest.raises(Killed):
            deliver(ledger, taker, delivery)
        assert ledger.get("crash") is not None
        assert ledger.receipt(delivery.key) is None
        ledger.remember = remember
    with home.ledger() as after:
        first = after.get("crash")
        answer = deliver(after, retried, delivery)
        assert "duplicate" not in answer
        assert answer["digest"] == first.digest
        assert [job.seq for job in after.jobs()] == [first.seq]
        assert deliver(after, retried, delivery)["duplicate"] is True


def test_health_measures_the_services_and_finds_the_gateway(front):
    """From what the supervisor tells: executors, the gateway's address, pids."""
    import os
    import socket

    with socket.create_server(("127.0.0.1", 0)) as gateway:
        address = f"127.0.0.1:{gateway.getsockname()[1]}"
        row = {"name": "executor-MAIN", "state": "RUNNING", "pid": os.getpid(), "memory_bytes": None}
        gone = {"name": "monitor", "state": "STOPPED", "pid": 2**22 + 1, "memory_bytes": None}
        front.daemon = lambda: {"listen": {"gateway": address}, "services": [row, gone]}
        told = ask(front, Listener.STATUS, "GET", "/api/unified-status").json()["data"]
    assert told["overall_status"] == "healthy"
    assert told["lanes"]["MAIN"]["executor"] == "up"
    assert told["lanes"]["CYOPS"]["executor"] == "unknown"
    assert told["services"][0]["memory_bytes"] > 0
    assert told["services"][1]["memory_bytes"] is None


def test_the_names_under_which_we_listen_are_known_and_wildcards_are_not():
    """A browser on this machine may use the name that the owner has configured."""
    listen = ListenSettings(gateway="0.0.0.0:1", runner="[::]:2", status="ghost.lan:3", telemetry="", monitor="[::1]:4")
    assert names(listen) == {"ghost.lan", "127.0.0.1", "::1"}
