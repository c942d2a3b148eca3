"""Stock supervisorctl, the real program, against our engine: its words and its exit statuses."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import time
import xmlrpc.client

import pytest
from supervise_kit import SUPERVISORCTL, alive, daemon, marked, service, shell, until, workspace
from supervisor.xmlrpc import SupervisorTransport

from ghostd.base.sockets import connect_stream
from ghostd.model.service import RestartWhen

__all__ = ["daemon", "workspace"]  # fixtures


@pytest.fixture
def made(daemon):
    return daemon(
        service("db"),
        shell("web", "echo hello; echo trouble >&2; exec sleep 1000", requires=("db",)),
        shell("gone", "exit 0", restart=RestartWhen.ON_FAILURE),
        service("missing", "/no/such/program"),
        service("off", autostart=False),
    )


def test_status_of_all_and_of_some(made):
    status, text = made.ctl("status")
    lines = dict(line.split(maxsplit=1) for line in text.splitlines())
    assert status == 3
    assert re.fullmatch(r"RUNNING +pid \d+, uptime 0:00:\d\d", lines["db"])
    assert lines["gone"].startswith("EXITED ")
    assert lines["missing"].startswith("FATAL     cannot run /no/such/program: No such file or directory")
    assert lines["off"] == "STOPPED   Not started"
    assert made.ctl("status", "db", "web")[0] == 0
    assert made.ctl("status", "nope") == (4, "nope: ERROR (no such process)\n")
    assert made.ctl("status", "nope:*") == (4, "nope: ERROR (no such group)\n")


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (("start", "off"), 0, "off: started\n"),
        (("start", "off:*"), 0, "off: started\n"),
        (("start", "db"), 0, "db: ERROR (already started)\n"),
        (("start", "nope"), 1, "nope: ERROR (no such process)\n"),
        (("start", "missing"), 1, "missing: ERROR (no such file)\n"),
        (("stop", "web"), 0, "web: stopped\n"),
        (("stop", "off"), 0, "off: ERROR (not running)\n"),
        (("stop", "nope"), 1, "nope: ERROR (no such process)\n"),
        (("restart", "web"), 0, "web: stopped\nweb: started\n"),
        (("signal", "CONT", "db"), 0, "db: signalled\n"),
        (("signal", "NONSENSE", "db"), 1, "db: ERROR (bad signal name)\n"),
        (("pid", "off"), 7, "0\n"),
        (("pid", "nope"), 1, "No such process nope\n"),
        (("version",), 0, "4.3.0\n"),
        (("tail", "web"), 0, "hello\ntrouble\n\n"),
        (("tail", "-8", "web"), 0, "trouble\n\n"),
        (("tail", "web", "stderr"), 1, "web: ERROR (no log file)\n"),
        (("tail", "nope"), 1, "nope: ERROR (no such process name)\n"),
        (("clear", "web"), 0, "web: cleared\n"),
        (("reread",), 1, "ERROR: CANT_REREAD: the configuration is read when ghostd starts\n"),
    ],
)
def test_verbs(made, words, status, text):
    until(lambda: "trouble" in made.output("web"))
    assert made.ctl(*words) == (status, text)


@pytest.mark.slow
def test_the_same_verbs_as_stock_supervisord(made, tmp_path):
    """What the table above says is what supervisor itself says to the same questions."""
    conf = tmp_path / "stock.conf"
    conf.write_text(
        f"[supervisord]\nnodaemon=true\nlogfile={tmp_path}/log\npidfile={tmp_path}/pid\nchildlogdir={tmp_path}\n"
        f"[unix_http_server]\nfile={tmp_path}/sock\n"
        "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
        "[program:db]\ncommand=sleep 1000\nstartsecs=0\n"
        "[program:off]\ncommand=sleep 1000\nautostart=false\nstartsecs=0\n"
        "[program:missing]\ncommand=/no/such/program\nautostart=false\n"
    )
    stock = subprocess.Popen([SUPERVISORCTL.with_name("supervisord"), "-c", conf], stdout=subprocess.DEVNULL)
    try:
        until((tmp_path / "sock").exists)
        time.sleep(0.5)
        for words in ("status db", "status nope", "start db", "start nope", "start missing", "stop off", "stop nope",
                      "start off", "stop off", "signal CONT db", "signal X db", "pid off", "pid nope", "version",
                      "tail nope", "clear db", "fg off"):  # fmt: skip
            line = [SUPERVISORCTL, "-s", f"unix://{tmp_path}/sock", *words.split()]
            theirs = subprocess.run(line, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
            ours = made.ctl(*words.split())
            assert _plain(ours[1]) == _plain(theirs.stdout + theirs.stderr), words
            assert ours[0] == theirs.returncode, words
    finally:
        stock.send_signal(signal.SIGTERM)
        stock.wait(20)


def _plain(text: str) -> str:
    return re.sub(r"pid \d+, uptime \S+", "pid N, uptime T", text)


def test_avail_and_pids(made):
    status, text = made.ctl("avail")
    rows = [line.split() for line in text.splitlines()]
    assert status == 0
    assert ["off", "in", "use", "manual", "5:5"] in rows
    assert ["db", "in", "use", "auto", "1:1"] in rows
    assert made.ctl("pid") == (0, f"{made.pid}\n")
    assert made.ctl("pid", "db") == (0, f"{made.row('db')['pid']}\n")


def test_stop_all_keeps_the_order_and_start_all_brings_all_back(made):
    status, text = made.ctl("stop", "all")
    assert (status, sorted(text.splitlines())) == (0, ["db: stopped", "web: stopped"])
    assert {row["state"] for row in made.rows().values()} <= {"STOPPED", "EXITED", "FATAL"}
    status, text = made.ctl("start", "all")
    assert "web: started" in text
    assert "missing: ERROR (no such file)" in text
    assert made.state("web") == "RUNNING"


def test_remove_and_add_but_not_what_others_count_on(made):
    made.ctl("stop", "all")
    assert made.ctl("remove", "db")[1] == "ERROR: process/group still running: db\n"
    assert made.ctl("remove", "off") == (0, "off: removed process group\n")
    assert "off" not in made.rows()
    assert made.ctl("add", "off") == (0, "off: added process group\n")
    assert made.ctl("start", "off") == (0, "off: started\n")


def test_tail_f_follows(made):
    line = [SUPERVISORCTL, "-s", f"unix://{made.places.control}", "tail", "-f", "talk"]
    assert made.ctl("status", "talk")[0] == 4
    line[-1] = "web"
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0) as follower:
        seen = b""
        while b"trouble" not in seen:
            seen += follower.stdout.read(100)
        made.ctl("restart", "web")
        while seen.count(b"trouble") < 2:
            seen += follower.stdout.read(100)
        follower.send_signal(signal.SIGINT)
    assert seen.startswith(b"==> Press Ctrl-C to exit <==\n")


def test_maintail_shows_the_engines_own_log(made):
    (made.places.log / "ghostd.log").write_text("one\ntwo\n")
    assert made.ctl("maintail") == (0, "one\ntwo\n\n")


def test_reload_restarts_the_services_not_the_engine(made):
    before = made.row("db")["pid"]
    assert made.ctl("reload") == (0, "Restarted supervisord\n")
    made.reborn("db", before)
    assert alive(made.pid)


def test_shutdown(made):
    assert made.ctl("shutdown") == (0, "Shut down\n")
    assert made.process.wait(20) == 0
    assert marked(made.workspace) == []
    status, text = made.ctl("status")
    assert status == 4
    assert "no such file" in text


def test_system_methods_list_everything_with_help(made):
    transport = SupervisorTransport(serverurl=f"unix://{made.places.control}")
    with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as server:
        methods = server.system.listMethods()
        assert {"supervisor.getAllProcessInfo", "supervisor.startProcess", "ghost.status", "system.multicall"} <= set(
            methods
        )
        assert len([name for name in methods if name.startswith("supervisor.")]) >= 37
        assert "document" in server.system.methodHelp("ghost.status")
        assert server.supervisor.getIdentification() == "ghostd"
        assert server.supervisor.getState() == {"statecode": 1, "statename": "RUNNING"}
        info = server.supervisor.getProcessInfo("db")
        assert (info["statename"], info["group"], info["pid"]) == ("RUNNING", "db", made.row("db")["pid"])
        with pytest.raises(xmlrpc.client.Fault, match="UNKNOWN_METHOD"):
            server.ghost._ask("x")


@pytest.mark.parametrize(
    "rubbish", [b"\0\xff\r\n\r\n", b"POST /RPC2 HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"GET " + b"A" * 9000]
)
def test_a_client_that_sends_rubbish_or_half_a_request_disturbs_nobody(made, rubbish):
    with connect_stream(made.places.control, timeout=5) as client:
        client.sendall(rubbish)
        assert made.ctl("status", "db")[0] == 0
        client.shutdown(socket.SHUT_RDWR)
    assert made.ctl("status", "db")[0] == 0


def test_the_socket_is_for_the_owner_only(made):
    assert made.places.control.stat().st_mode & 0o777 == 0o600
    assert made.places.run.stat().st_mode & 0o077 == 0
