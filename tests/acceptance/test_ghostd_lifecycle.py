"""`ghostd start run stop restart status logs`, as people call them, with all real services."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ghostd.base.sockets import bind_datagram
from ghostd.supervise import procfs
from ghostd.supervise.survivors import end_survivors

OWN = {"bridge", "gateway", "executor-MAIN", "executor-CYOPS", "status-api", "monitor", "alerter"}
VERBS = ("start", "run", "stop", "restart", "status", "logs")


@pytest.fixture
def ours(workspace: Path, ghostd) -> Iterator[Callable[..., Any]]:
    """The `ghostd` command in a workspace, and nothing of it left afterwards."""
    yield ghostd
    ghostd("stop")
    end_survivors(workspace / "state" / "run")


def add(workspace: Path, name: str, text: str) -> None:
    folder = workspace / "conf" / "services"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.toml").write_text(f"[service.{name}]\n{text}\n")


def until(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + 30
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return found


def engine(workspace: Path) -> int:
    return int((workspace / "state" / "run" / "ghostd.lock").read_text())


def keeper(workspace: Path) -> int:
    return json.loads((workspace / "state" / "run" / "keeper.json").read_text())["pid"]


def marked(workspace: Path) -> set[int]:
    """Every process that a service of this workspace is or has left."""
    wanted = f"GHOST_HOME={workspace}".encode()
    found = set()
    for pid in procfs.everybody():
        try:
            if wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.add(pid)
        except OSError:
            continue
    return found


def test_a_whole_life(workspace, ours):
    """Start, look, restart, kill things, stop: what people do, and what is left at the end, which is nothing."""
    add(
        workspace,
        "web",
        'command = ["sh", "-c", "echo hello; exec sleep 1000"]\nlimits = {memory = "64M", nofile = 99}',
    )
    started = ours("start")
    assert (started.status, started.stderr) == (0, "")
    assert started.stdout == f"ghostd runs, pid {engine(workspace)}: 8 of 8 services are ready\n"

    document = ours("status", "--json").json
    rows = {row["name"]: row for row in document["services"]}
    assert set(rows) == OWN | {"web"}
    assert document["pid"] == engine(workspace)
    assert {row["state"] for row in rows.values()} == {"RUNNING"}
    assert all(row["ready"] and row["pid"] and row["memory_bytes"] > 0 for row in rows.values())
    assert all(row["cpu_percent"] >= 0 and row["healthy"] is None for row in rows.values())
    assert rows["web"]["limits"] == {"memory": 64 << 20, "nofile": 99, "core": 0}
    assert rows["bridge"]["limits"]["memory"] > 0
    assert {"gateway", "status", "dashboard"} <= set(document["listen"])

    text = ours("status", "web", "gateway").stdout.splitlines()
    assert text[0].split() == ["SERVICE", "STATE", "READY", "PID", "UPTIME", "RESTARTS", "MEMORY", "LIMITS", "WHY"]
    assert text[1].split()[:4] == ["web", "RUNNING", "yes", str(rows["web"]["pid"])]
    assert text[-1] == f"supervisorctl -s unix://{workspace}/state/run/ghostd.sock"
    ctl = [Path(sys.executable).with_name("supervisorctl"), *text[-1].split()[1:], "status"]
    assert subprocess.run(ctl, capture_output=True, text=True, check=True).stdout.count("RUNNING") == 8

    again = ours("start")
    assert (again.status, again.stdout.partition(":")[0]) == (0, f"ghostd runs already, pid {document['pid']}")
    assert ours("start", "--json").json["already_running"] is True
    foreground = ours("run", "--json")
    assert (foreground.status, foreground.json["error"]["kind"]) == (1, "already-running")
    assert foreground.json["error"]["pid"] == document["pid"]

    assert ours("logs", "web").stdout == "hello\n"
    restarted = ours("restart", "web", "bridge", "--json").json["services"]
    assert {row["name"]: row["ready"] for row in restarted} == {"web": True, "bridge": True}
    assert {row["pid"] for row in restarted}.isdisjoint({rows["web"]["pid"], rows["bridge"]["pid"]})
    assert ours("logs", "web", "-n", "1", "--json").json == {"service": "web", "line": "hello"}

    os.kill(rows["gateway"]["pid"], signal.SIGKILL)
    until(lambda: _gateway(ours)["ready"] and _gateway(ours)["pid"] != rows["gateway"]["pid"])
    assert _gateway(ours)["why"] == "restarted after killed by SIGKILL"

    stopped = ours("stop")
    assert (stopped.status, stopped.stdout) == (0, f"ghostd has stopped (pid {document['pid']})\n")
    assert marked(workspace) == set()
    left = {path.name for path in (workspace / "state" / "run").rglob("*") if path.is_socket()}
    assert left == set()
    assert (ours("stop").status, ours("stop").stdout) == (0, "ghostd is not running\n")
    assert ours("stop", "--json").json == {"stopped": False, "pid": None}


def _gateway(ours) -> dict[str, Any]:
    return ours("status", "gateway", "--json").json["services"][0]


@pytest.mark.parametrize("victims", [("engine",), ("keeper",), ("engine", "keeper")], ids="+".join)
def test_start_again_after_kill_9(workspace, ours, victims):
    """The engine: every pid is the same. The keeper: all are new. Both: all are new, and none is there twice."""
    assert ours("start").status == 0
    before = {row["name"]: row["pid"] for row in ours("status", "--json").json["services"]}
    for victim in victims:
        pid = engine(workspace) if victim == "engine" else keeper(workspace)
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: procfs.look(pid) is None)
    if "engine" in victims:
        gone = ours("status", "--json")
        assert (gone.status, gone.json["error"]["kind"]) == (1, "no-daemon")
        if victims == ("engine",):
            assert "ghostd start takes them over" in gone.json["error"]["hint"]
        assert ours("start").status == 0
    rows = until(lambda: _all_ready(ours))
    after = {row["name"]: row["pid"] for row in rows}
    if victims == ("engine",):
        assert after == before
    else:
        assert not set(before.values()) & set(after.values())
    assert marked(workspace) == set(after.values())


def _all_ready(ours) -> list[dict[str, Any]] | None:
    told = ours("status", "--json")
    rows = told.json["services"] if told.status == 0 else []
    return rows if rows and all(row["ready"] for row in rows) else None


def test_stop_ends_what_a_killed_engine_has_left(workspace, ours):
    ours("start")
    os.kill(engine(workspace), signal.SIGKILL)
    stopped = ours("stop")
    assert (stopped.status, stopped.stdout) == (
        0,
        "ghostd was gone already; the services that it had left are stopped\n",
    )
    assert marked(workspace) == set()


def test_start_tells_which_service_is_not_ready_and_why(workspace, ours):
    add(workspace, "broken", 'command = ["/no/such/program"]\nbackoff = {initial = "1ms"}')
    add(workspace, "quick", 'command = ["sh", "-c", "exit 5"]\nbackoff = {initial = "1ms"}')
    add(workspace, "done", 'command = ["true"]')
    started = ours("start")
    assert started.status == 1
    lines = [line.split(maxsplit=2) for line in started.stdout.splitlines()[2:]]
    assert lines == [
        [
            "broken",
            "FATAL",
            "cannot run /no/such/program: No such file or directory; gave up after 5 starts within 10 s",
        ],
        ["quick", "FATAL", "exit status 5; gave up after 5 starts within 10 s"],
    ]
    assert ours("status", "done", "--json").json["services"][0]["state"] == "EXITED"
    assert ours("restart", "quick").status == 1


def test_a_broken_configuration_is_told_before_anything_starts_and_does_not_keep_from_a_stop(workspace, ours):
    ours("start")
    conf = workspace / "conf" / "ghost.toml"
    conf.write_text(conf.read_text() + "\n[wobble.web]\n")
    for verb in ("start", "run"):
        told = ours(verb, "--json")
        assert (told.status, told.json["error"]["kind"]) == (1, "bad-config")
    assert ours("status").status == 0
    assert ours("stop").status == 0
    assert marked(workspace) == set()


@pytest.mark.parametrize("verb", VERBS)
def test_no_workspace_is_told_with_the_next_step(verb, ghostd, tmp_path):
    words = ("logs", "web") if verb == "logs" else (verb,)
    told = ghostd(*words, "--json", cwd=tmp_path)
    assert told.status == 1
    assert told.json["error"]["kind"] == "no-workspace"
    assert told.json["error"]["hint"].startswith("run ghostd init")


@pytest.mark.parametrize("verb", ["status", "restart"])
def test_no_daemon_is_told_with_the_next_step(verb, workspace, ghostd):
    told = ghostd(verb, "--json")
    assert (told.status, told.json["error"]["kind"], told.json["error"]["hint"]) == (1, "no-daemon", "run ghostd start")
    assert ghostd(verb).stderr == "ghostd: cannot reach ghostd: it does not run here; run ghostd start\n"


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_an_example(verb, ghostd):
    told = ghostd(verb, "--help")
    assert told.status == 0
    assert f"Example:\n    ghostd {verb}" in told.stdout
    assert "--json" in told.stdout


def test_run_in_the_foreground_tells_its_notify_socket_and_ends_on_sigterm(workspace, ours, repo, tmp_path):
    """As systemd and containers would have it: same pid, READY=1, log on stderr, exit status 0."""
    with bind_datagram(tmp_path / "ear") as ear, (tmp_path / "err").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "ghostd.cli.ghostd", "run"], cwd=repo, stderr=err,
            env=os.environ | {"NOTIFY_SOCKET": str(tmp_path / "ear")},
        )  # fmt: skip
        heard = b""
        while b"READY=1" not in heard:
            assert select.select([ear], [], [], 60)[0]
            heard += ear.recv(4096) + b"\n"
        assert b"services are ready; waiting for " in heard
        assert engine(workspace) == process.pid
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert "bridge: STARTING → RUNNING: ready" in (tmp_path / "err").read_text()
    assert marked(workspace) == set()


# -- logs ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def log(workspace: Path) -> Path:
    return workspace / "state" / "log" / "web.log"


def test_logs_without_a_daemon_the_last_lines_made_safe(ghostd, log):
    log.write_bytes(b"".join(b"%d\n" % number for number in range(100_000)) + b"evil \x1b[2J\xff\n\nlast, not ended")
    told = ghostd("logs", "web", "-n", "4")
    assert told.stdout == "99999\nevil \\x1b[2J\\xff\n\nlast, not ended\n"
    assert len(ghostd("logs", "web").stdout.splitlines()) == 50
    assert len(ghostd("logs", "web", "-n", "70000").stdout.splitlines()) == 70_000
    assert ghostd("logs", "web", "-n", "0").stdout == ""


@pytest.mark.parametrize("name", ["nope", "../secrets/jwt", "/etc/passwd", "", "a\nb"])
def test_logs_of_what_has_none(name, ghostd, log):
    log.write_text("x\n")
    told = ghostd("logs", name, "--json")
    assert (told.status, told.json["error"]["kind"]) == (1, "no-log")
    assert "web" in told.json["error"]["hint"]


def test_logs_f_follows_over_a_rotation(log, repo):
    log.write_text("one\n")
    line = [sys.executable, "-m", "ghostd.cli.ghostd", "logs", "web", "-f"]
    with subprocess.Popen(line, cwd=repo, stdout=subprocess.PIPE, text=True) as follower:
        try:
            assert follower.stdout.readline() == "one\n"
            with log.open("a") as file:
                file.write("two\nhalf")
                file.flush()
                assert follower.stdout.readline() == "two\n"
                file.write(" and whole\n")
            assert follower.stdout.readline() == "half and whole\n"
            log.rename(log.with_name("web.log.1"))
            log.write_text("three\n")
            assert follower.stdout.readline() == "three\n"
        finally:
            follower.send_signal(signal.SIGINT)
            assert follower.wait(10) == 130
