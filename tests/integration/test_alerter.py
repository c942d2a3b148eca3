"""The alerter: a real receiver that fails and then accepts; a log that survives crashes; one bad target, many good."""

from __future__ import annotations

import json
import random
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import pytest
from service_kit import eventually, ledger_of, running

from ghostd.alerts.channels import Undelivered, build
from ghostd.alerts.deliver import Courier
from ghostd.base.clock import SystemClock
from ghostd.model.alert import Delivery, Finding, Severity
from ghostd.model.settings import ChannelSettings, Places
from ghostd.services.alerter import Alerter

FINDING = Finding(rule="service", component="web", severity=Severity.CRITICAL, title="service web is FATAL")


@pytest.fixture
def receiver():
    """A webhook's other end: answers what `script` says, then 204; keeps what it was sent."""
    said = SimpleNamespace(script=[], requests=[], accepted=[])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = said.script.pop(0) if said.script else 204
            said.requests.append((self.path, status, self.headers["Idempotency-Key"], body))
            if status == 0:
                return
            if 200 <= status < 300:
                said.accepted.append(body["key"])
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    said.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield said
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def ledger(workspace):
    with ledger_of(workspace) as opened:
        yield opened


class Clock(SystemClock):
    """Wall time that the test moves."""

    now = time.time()

    def wall(self):
        return self.now


@pytest.fixture
def play(workspace, ledger, receiver, tmp_path):
    """An alerter over a real ledger, with a good log, a webhook and a webhook where nobody listens."""
    clock, log = Clock(), Places(workspace=workspace).log / "alerts.jsonl"
    clock.now = time.time() + 1.0
    settings = {
        "hook": ChannelSettings(name="hook", type="webhook", url=receiver.url),
        "dead": ChannelSettings(name="dead", type="webhook", url="http://127.0.0.1:1/"),
    }
    channels = build(settings, log, clock)
    courier = Courier(ledger=ledger, channels=channels, clock=clock, chance=random.Random(1), max_attempts=4)
    alerter = Alerter(courier, ledger, clock)
    here = SimpleNamespace(ending=False, beat=lambda: None)

    def round_(after=0.0):
        clock.now += after
        alerter.round(here)

    def alert(*to, **changes):
        finding = Finding(**{**{key: getattr(FINDING, key) for key in ("rule", "severity", "title")}, **changes})
        ledger.observe([finding], targets={"critical": to}, rules=())

    yield SimpleNamespace(round=round_, alert=alert, log=log, channels=channels, clock=clock)
    for channel in channels.values():
        channel.close()


def lines(play):
    return [json.loads(line) for line in play.log.read_text().splitlines()]


def test_a_receiver_that_fails_twice_gets_the_alert_once(play, ledger, receiver):
    receiver.script = [500, 503]
    play.alert("hook", component="web")
    play.round()
    play.round(0.5)
    assert len(receiver.requests) == 1, "the pause is not over"
    play.round(1.0)
    play.round(3.0)
    play.round(100.0)
    assert [status for _, status, *_ in receiver.requests] == [500, 503, 204]
    assert len(receiver.accepted) == 1
    assert {(key, body["key"]) for _, _, key, body in receiver.requests} == {(receiver.accepted[0],) * 2}
    assert receiver.requests[0][3]["title"] == FINDING.title
    assert ledger.next_due() is None


def test_after_the_last_attempt_it_is_a_dead_letter(play, ledger, receiver):
    receiver.script = [500] * 9
    play.alert("hook", component="web")
    for _ in range(9):
        play.round(1000.0)
    assert len(receiver.requests) == 4
    assert [letter.attempts for letter in ledger.dead_letters()] == [4]


def test_a_bad_target_neither_delays_nor_repeats_the_good_ones(play, ledger, receiver):
    for n in range(15):
        play.alert("dead", "hook", "log", component=f"web{n}")
    for _ in range(8):
        play.round(1000.0)
    assert len(receiver.accepted) == len(set(receiver.accepted)) == 15
    assert len(lines(play)) == 15
    assert all(letter.channel == "dead" for letter in ledger.dead_letters())


def test_the_failure_of_a_channel_is_met_once_in_a_round(play, ledger, receiver):
    receiver.script = [500] * 99
    for n in range(5):
        play.alert("hook", component=f"web{n}")
    play.round()
    assert len(receiver.requests) == 1
    assert sorted(delivery.attempts for delivery in ledger.due(play.clock.wall() + 9)) == [0, 0, 0, 0, 1]


def test_a_redirect_is_not_followed(play, receiver):
    receiver.script = [302, 302]
    play.alert("hook", component="web")
    play.round()
    assert [path for path, *_ in receiver.requests] == ["/hook"]
    assert receiver.accepted == []


def test_a_connection_that_breaks_is_a_failure(play, ledger, receiver):
    receiver.script = [0]
    play.alert("hook", component="web")
    play.round()
    assert receiver.accepted == []
    play.round(2.0)
    assert len(receiver.accepted) == 1


def test_the_attempt_is_written_down_before_the_send(play, ledger):
    counted = []

    class Dying:
        def send(self, delivery):
            counted.append(ledger.due(play.clock.wall())[0].attempts)
            raise KeyboardInterrupt

        def close(self):
            """Nothing."""

    play.channels["hook"].close()
    play.channels["hook"] = Dying()
    play.alert("hook", component="web")
    for _ in range(4):
        with pytest.raises(KeyboardInterrupt):
            play.round()
    assert counted == [1, 2, 3, 4]
    # Whoever tried died each time; it is not tried for ever.
    play.round()
    assert len(ledger.dead_letters()) == 1


def test_a_channel_that_the_configuration_lost_is_a_dead_letter(play, ledger):
    play.alert("gone", component="web")
    play.round()
    assert [letter.channel for letter in ledger.dead_letters()] == ["gone"]


DELIVERY = Delivery(id=1, key="alert-1.1.log", channel="log", payload={"title": "é\x1b[31m\n"}, attempts=0, next_at=0.0)


def test_the_log_has_each_delivery_once_even_when_nobody_knew_that_it_was_written(play):
    for _ in range(3):
        play.channels["log"].send(DELIVERY)
    assert [line["key"] for line in lines(play)] == ["alert-1.1.log"]
    assert play.log.stat().st_mode & 0o777 == 0o600
    assert b"\x1b" not in play.log.read_bytes()


def test_a_line_that_a_crash_cut_spoils_no_other(play):
    play.log.parent.mkdir(exist_ok=True)
    play.log.write_text('{"key": "alert-0')
    play.channels["log"].send(DELIVERY)
    assert json.loads(play.log.read_text().splitlines()[1])["key"] == "alert-1.1.log"


def test_a_log_that_can_not_be_written_is_a_failure(play):
    play.log.mkdir(parents=True)
    with pytest.raises(Undelivered, match="deliver to log"):
        play.channels["log"].send(DELIVERY)


def test_the_service_delivers_as_soon_as_an_alert_opens(workspace, ledger, receiver):
    with (workspace / "conf" / "ghost.toml").open("a") as conf:
        conf.write(f'\n[alert.channel.hook]\ntype = "webhook"\nurl = "{receiver.url}"\n')
    log = Places(workspace=workspace).log / "alerts.jsonl"
    receiver.script = [500]
    with running("alerter", workspace, WATCHDOG_USEC="1000000") as service:
        ledger.observe([FINDING], targets={"critical": ("log", "hook")}, rules=())
        eventually(log.exists)
        eventually(lambda: len(receiver.accepted) == 1)
        service.note("WATCHDOG=1")
        status, seconds = service.stop()
    assert (status, seconds < 1.0) == (0, True)
    assert [status for _, status, *_ in receiver.requests] == [500, 204]
    assert len(log.read_text().splitlines()) == 1
