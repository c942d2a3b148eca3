"""The monitor: health files, alerts that open and resolve, and the engine's journal copied exactly once."""

from __future__ import annotations

import json
import os
import socket
import threading
from types import SimpleNamespace

import pytest
from service_kit import eventually, ledger_of, running

from ghostd.base.clock import SystemClock
from ghostd.base.errors import Cannot
from ghostd.config.load import load
from ghostd.model.alert import AlertState
from ghostd.model.job import Happening, Kind, NewJob, Origin, Outcome
from ghostd.model.settings import Places
from ghostd.monitor import probes
from ghostd.monitor.rules import Lasting
from ghostd.services.monitor import HEALTH, RESOURCES, Monitor, Scribe
from ghostd.supervise.journal import Journal

RUNNING = {"state": "RUNNING", "ready": True, "why": "", "pid": 0}


@pytest.fixture
def ledger(workspace):
    with ledger_of(workspace) as opened:
        yield opened


class Shifted(SystemClock):
    """The machine's clock, moved on by hand."""

    ahead = 0.0

    def wall(self):
        return super().wall() + self.ahead

    def monotonic(self):
        return super().monotonic() + self.ahead


@pytest.fixture
def play(workspace, ledger):
    """A monitor whose supervisor says what the test wants, and whose clock can be moved."""
    settings, places, clock = load(workspace).settings, Places(workspace=workspace), Shifted()
    names = ("executor-MAIN", "executor-CYOPS", "gateway")
    said = SimpleNamespace(services={name: dict(RUNNING) for name in names}, listen={}, silent=False)

    def ask():
        if said.silent:
            raise Cannot("reach ghostd", kind="no-daemon")
        return {"services": [{"name": name, **row} for name, row in said.services.items()], "listen": said.listen}

    monitor = Monitor(ledger=ledger, settings=settings, places=places, clock=clock, ask=ask, has_secret=True)
    state = SimpleNamespace(lasting=Lasting())

    def look(after=0.0):
        clock.ahead += after
        state.lasting = monitor.look(state.lasting)
        return {alert.fingerprint for alert in ledger.alerts(open_only=True)}

    for lane in settings.lanes:
        places.drop(lane).mkdir(parents=True, exist_ok=True)
    return SimpleNamespace(said=said, look=look, places=places, clock=clock)


def queue(ledger, id="p"):
    ledger.put(
        NewJob(
            id=id,
            kind=Kind.PATCH,
            lane="MAIN",
            repo="/r",
            branch="b",
            digest="d",
            body=b"{}",
            origin=Origin(door="drop"),
        )
    )


def types(ledger):
    return [event.type for event in ledger.events() if event.type.startswith("ghost.alert.")]


def test_a_dead_service_opens_one_alert_that_resolves_when_it_is_back(play, ledger):
    assert play.look() == set()
    play.said.services["gateway"] = {"state": "FATAL", "ready": False, "why": "exit status 1"}
    assert play.look() == {"service:gateway"}
    assert play.look(10) == {"service:gateway"}
    play.said.services["gateway"] = dict(RUNNING)
    assert play.look(10) == set()
    assert types(ledger) == ["ghost.alert.opened", "ghost.alert.resolved"]
    assert [delivery.channel for delivery in ledger.due(play.clock.wall())] == ["log", "log"]


def test_a_stale_patch_opens_one_alert_that_resolves_when_it_is_done(play, ledger):
    queue(ledger)
    assert play.look() == set()
    assert play.look(901) == {"patch-stale:p"}
    assert play.look(10) == {"patch-stale:p"}
    ledger.finish(ledger.claim("MAIN", "test:1:1", 60), Outcome(happening=Happening.APPLY, result={}))
    assert play.look(10) == set()
    assert types(ledger) == ["ghost.alert.opened", "ghost.alert.resolved"]


def test_patches_without_an_executor_are_an_alert(play, ledger):
    queue(ledger)
    play.said.services["executor-MAIN"] = {"state": "STOPPED", "ready": False}
    assert play.look() == set()
    assert play.look(10) == {"executor:MAIN"}


def test_an_alert_of_a_service_stays_while_the_supervisor_is_silent(play, ledger):
    play.said.services["gateway"]["state"] = "FATAL"
    play.look()
    play.said.silent = True
    assert play.look() == {"service:gateway"}
    assert play.look(10) == {"service:gateway", "supervisor:ghostd"}


def test_a_drop_folder_that_stays_away_is_an_alert(play):
    for folder in (*play.places.drop("MAIN").iterdir(), play.places.drop("MAIN")):
        folder.rmdir()
    assert play.look() == set()
    assert play.look(10) == {"drop-folder:MAIN"}


@pytest.fixture
def door():
    """A listener that answers every request with what the test set."""
    server = socket.create_server(("127.0.0.1", 0))
    host, port = server.getsockname()
    said = SimpleNamespace(answer=b"HTTP/1.1 200 OK\r\n\r\n", address=f"{host}:{port}")

    def serve():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(1000)
                connection.sendall(said.answer)

    thread = threading.Thread(target=serve)
    thread.start()
    yield said
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


def test_the_files_tell_health_and_resources(play, ledger, door):
    queue(ledger)
    play.said.listen = {"gateway": door.address}
    play.said.services["gateway"]["pid"] = os.getpid()
    play.look()
    health = json.loads((play.places.heartbeat / HEALTH).read_text())
    assert (health["overall_status"], health["components"]["webhook_endpoint"]) == ("healthy", "operational")
    assert health["queue"]["MAIN"]["queued"] == 1
    assert {"name": "gateway", "state": "RUNNING", "ready": True, "why": ""} in health["services"]
    assert set(health["system_metrics"]) == {"cpu", "memory", "disk", "network"}
    resources = json.loads((play.places.heartbeat / RESOURCES).read_text())
    assert resources["services"]["gateway"]["memory_bytes"] > 1_000_000
    assert resources["disk_free_bytes"] > 0


def test_a_gateway_that_answers_badly_is_told_as_down(play, door):
    play.said.listen = {"gateway": door.address}
    door.answer = b"HTTP/1.1 503 No\r\n\r\n"
    play.look()
    components = json.loads((play.places.heartbeat / HEALTH).read_text())["components"]
    assert components["port_5555_bound"] is True
    assert (components["flask_responsive"], components["webhook_endpoint"]) == (False, "down")


def test_a_port_where_nobody_listens_is_no_error():
    assert probes.answers("127.0.0.1:1") == (False, False)
    assert probes.answers("nonsense") == (False, False)


# The engine's journal -------------------------------------------------------------------------------------------


@pytest.fixture
def journal(workspace):
    path = Places(workspace=workspace).run / "engine.journal"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def record(path, *services):
    writer = Journal(path, SystemClock())
    for name in services:
        writer.record(service=name, **{"from": "STARTING", "to": "RUNNING", "why": "ready"})
    writer.close()


def copied(ledger):
    return [(e.data["number"], e.subject) for e in ledger.events(limit=1000) if e.type == "ghost.service.state"]


def test_each_entry_is_copied_once_over_restarts(ledger, journal):
    record(journal, "a", "b")
    assert Scribe(ledger, journal).copy() == 2
    scribe = Scribe(ledger, journal)
    assert scribe.copy() == 0
    record(journal, "c")
    assert scribe.copy() == 1
    assert copied(ledger) == [(1, "a"), (2, "b"), (3, "c")]
    assert ledger.events()[0].data["to"] == "RUNNING"


def test_without_a_journal_there_is_nothing_to_copy(ledger, journal):
    assert Scribe(ledger, journal).copy() == 0


def test_a_crash_between_event_and_cursor_doubles_nothing(ledger, journal):
    """The cursor is never written, and each start finds the numbers in the events."""

    class NoCursor:
        def __getattr__(self, name):
            return getattr(ledger, name)

        def kv_set(self, key, value):
            raise KeyboardInterrupt

    record(journal, "a", "b", "c")
    for _ in range(3):
        ledger.append("ghost.system.intake", "something else", {})
        with pytest.raises(KeyboardInterrupt):
            Scribe(NoCursor(), journal).copy()
    assert Scribe(ledger, journal).copy() == 0
    assert copied(ledger) == [(1, "a"), (2, "b"), (3, "c")]


def test_a_half_written_line_is_copied_when_it_is_whole(ledger, journal):
    record(journal, "a")
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-5])
    scribe = Scribe(ledger, journal)
    assert scribe.copy() == 0
    journal.write_bytes(whole)
    assert scribe.copy() == 1


def test_the_service_writes_its_files_copies_at_once_and_ends_when_asked(workspace, ledger, journal):
    """Without a supervisor it works as well; it says so in an alert."""
    with running("monitor", workspace, WATCHDOG_USEC="1000000") as service:
        service.note("WATCHDOG=1")
        health = Places(workspace=workspace).heartbeat / HEALTH
        eventually(health.exists)
        assert json.loads(health.read_text())["components"]["ghost_runner"] == "down"
        record(journal, "a")
        eventually(lambda: copied(ledger) == [(1, "a")], 5.0)
        assert service.stop()[0] == 0
    assert all(alert.state is AlertState.OPEN for alert in ledger.alerts())
