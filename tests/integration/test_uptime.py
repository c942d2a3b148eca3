"""`requireServiceUptime`, with a control socket that says what a test wants to be said of the services."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any
from xmlrpc.client import dumps

import gate_kit as kit
import pytest
from acceptance_tools import git, patch_text, write_op

from ghostd.model.job import Kind
from ghostd.pipeline import uptime
from ghostd.pipeline.attempt import Attempt, LeaseLost

UPTIME = {"validation": {"requireServiceUptime": True}, "execution": {"maxRetries": 0}}
PATCH = patch_text("p", write_op("new", "x\n"), **UPTIME)


def row(name: str = "web", **more: Any) -> dict[str, Any]:
    usual = {"name": name, "state": "RUNNING", "ready": True, "healthy": None, "restarts": 0, "why": "started"}
    return usual | more


class Talk(socketserver.ThreadingUnixStreamServer):
    """ghostd's control socket as far as a status goes: it gives the documents in turn, the last one for ever."""

    daemon_threads = True

    def __init__(self, path: str, documents: list[dict[str, Any]]) -> None:
        super().__init__(path, Answer)
        self.documents = documents
        self.asked = 0


class Answer(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        server: Talk = self.server  # type: ignore[assignment]
        document = server.documents[min(server.asked, len(server.documents) - 1)]
        server.asked += 1
        body = dumps((json.dumps(document),), methodresponse=True).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "here"

    def log_message(self, *_: object) -> None:
        pass


def document(*rows: dict[str, Any], state: str = "RUNNING") -> dict[str, Any]:
    return {"state": state, "services": list(rows)}


@pytest.fixture
def says(tmp_path, monkeypatch) -> Iterator[Any]:
    """Let the control socket say these documents in turn."""
    monkeypatch.setattr(uptime, "_PAUSE", 0.02)
    servers: list[Talk] = []

    def say(shop, *documents: dict[str, Any]) -> Talk:
        path = tmp_path / f"control{len(servers)}"
        server = Talk(str(path), list(documents))
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        monkeypatch.setattr(type(shop.places), "control", path)
        return server

    yield say
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def shop(workspace):
    kit.configure(workspace, {"watch": "200ms"})
    conf = workspace / "conf" / "ghost.toml"
    conf.write_text(conf.read_text() + '\n[service.web]\ncommand = ["sleep", "60"]\n')
    with kit.opened(workspace) as found:
        yield found


def test_services_that_are_and_stay_well_change_nothing(shop, says):
    talk = says(shop, document(row()))
    job = kit.send(shop, PATCH)
    assert (job.state, job.result["status"]) == ("applied", "applied")
    assert talk.asked >= 3, "before, and again and again while it is watched"
    assert shop.ledger.get("rollback-1") is None


@pytest.mark.parametrize(
    ("rows", "word"),
    [
        ([row(state="FATAL")], "web is FATAL"),
        ([row(state="STOPPED")], "web is STOPPED"),
        ([row(state="STARTING")], "web is STARTING"),
        ([row(ready=False)], "web is not ready"),
        ([row(healthy=False)], "web is not healthy"),
        ([row("other")], "web is not there"),
    ],
)
def test_before_the_patch_all_have_to_be_well(shop, says, repo, rows, word):
    says(shop, document(*rows))
    job = kit.send(shop, PATCH)
    assert (job.state, kit.kind(job)) == ("rejected", "service-down")
    assert word in job.result["error"]["message"]
    assert git(repo, "branch", "--list", "ghost/work") == ""


def test_without_a_daemon_nobody_can_say_that_they_are_well(shop, tmp_path, monkeypatch):
    job = kit.send(shop, PATCH)
    assert (job.state, kit.kind(job)) == ("rejected", "service-down")


def test_who_does_not_ask_for_it_is_not_asked(shop):
    assert kit.send(shop, patch_text("p", write_op("new", "x\n"))).state == "applied"


def test_without_services_there_is_nothing_to_watch(workspace):
    """A strict lane sets the flag for every patch, also where there is nothing to be watched."""
    kit.configure(workspace, {"strict": True})
    with kit.opened(workspace) as shop:
        assert kit.send(shop, PATCH).state == "applied"


def test_a_lane_may_name_its_own_services(workspace, says):
    kit.configure(workspace, {"watch": "50ms", "services": ["db"]})
    conf = workspace / "conf" / "ghost.toml"
    conf.write_text(conf.read_text() + "".join(f'\n[service.{n}]\ncommand = ["sleep", "60"]\n' for n in ("web", "db")))
    with kit.opened(workspace) as shop:
        says(shop, document(row("db"), row("web", state="FATAL")))
        assert kit.send(shop, PATCH).state == "applied"


@pytest.mark.parametrize(
    ("later", "word"),
    [
        (row(state="BACKOFF"), "web is BACKOFF"),
        (row(restarts=1, why="restarted after exit status 1"), "was restarted (restarted after exit status 1)"),
        (row(healthy=False), "not healthy"),
    ],
)
def test_a_service_that_does_not_stay_well_takes_the_patch_back(shop, says, repo, later, word):
    """The restart above all: between two looks it may be down and up again."""
    says(shop, document(row()), document(row()), document(row()), document(later))
    job = kit.send(shop, PATCH)
    assert (job.state, job.result["status"], kit.kind(job)) == ("applied", "rejected", "service-down")
    assert word in job.result["error"]["message"]
    assert job.result["error"]["rollback"] == "rollback-1"
    back = shop.ledger.get("rollback-1")
    assert (back.state, back.origin.door, back.origin.source) == ("applied", "watch", "p")
    assert back.result["reverted"] == ["p"]
    assert git(repo, "rev-parse", "ghost/work^{tree}") == git(repo, "rev-parse", "main^{tree}")
    assert "service-down" not in job.summary or word in job.summary
    again = kit.send(shop, PATCH)
    assert again.result["status"] == "rejected"


def test_a_restart_before_the_first_look_of_the_watch_counts(shop, says):
    """The files are there before the watch is: a service may have died of them and be up again."""
    says(shop, document(row(restarts=3)), document(row(restarts=4, why="restarted after exit status 1")))
    assert kit.kind(kit.send(shop, PATCH)) == "service-down"


def test_a_service_that_is_started_anew_right_after_the_commit_is_not_waited_for(shop, says):
    says(shop, document(row()), document(row(state="STARTING", ready=False)), document(row()))
    assert kit.kind(kit.send(shop, PATCH)) == "service-down"


def test_a_watch_that_was_interrupted_is_begun_again(shop, says, repo, monkeypatch):
    """The worker dies while it watches: the commit stands, the next attempt watches anew, and only records it."""
    talk = says(shop, document(row()))
    real = Attempt._tick
    ticks = iter(range(100))

    def dying(self) -> None:
        if next(ticks) == 1:
            raise LeaseLost
        real(self)

    monkeypatch.setattr(Attempt, "_tick", dying)
    job = kit.send(shop, PATCH)
    assert (job.state, job.result["status"], job.attempts) == ("applied", "applied", 2)
    assert git(repo, "rev-list", "--count", "main..ghost/work") == "1"
    assert talk.asked > 4


def test_the_end_of_ghostd_says_nothing_against_the_patch(shop, says):
    """It stops its services itself; the watch begins again when it is back and they are up."""
    says(
        shop,
        document(row()),
        document(row()),
        document(row(state="STOPPING"), state="SHUTDOWN"),
        document(row(state="STARTING", ready=False)),
        document(row()),
    )
    job = kit.send(shop, PATCH)
    while not job.state.terminal:
        job = kit.send(shop, PATCH)
    assert (job.state, job.result["status"]) == ("applied", "applied")
    assert shop.ledger.get("rollback-1") is None


def test_after_a_kill_behind_the_note_the_same_rollback_is_put_in(shop, says):
    """The note comes before the rollback: a second attempt must not number another one."""
    says(shop, document(row()))
    shop.ledger.kv_set("watch:p", f"rollback-{shop.ledger.number('rollback')}")
    job = kit.send(shop, PATCH)
    assert (job.result["status"], kit.kind(job)) == ("rejected", "service-down")
    backs = [one.id for one in shop.ledger.jobs() if one.kind is Kind.ROLLBACK]
    assert backs == ["rollback-1"]
    assert shop.ledger.get("rollback-1").state == "applied"
