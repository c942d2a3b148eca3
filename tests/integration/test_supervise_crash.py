"""Whoever is killed, and whatever lies there from before: every service has one process, and nobody is lost."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from supervise_kit import Daemon, alive, daemon, marked, service, shell, until, workspace

from ghostd.base.errors import Cannot
from ghostd.model.service import Ready, RestartWhen, Stop
from ghostd.supervise.client import Control
from ghostd.supervise.journal import entries
from ghostd.supervise.lock import holder

__all__ = ["daemon", "workspace"]  # fixtures

COUNTER = "i=0; while :; do echo $i; i=$((i+1)); sleep 0.01; done"


def pids(made: Daemon) -> dict[str, int]:
    return {name: row["pid"] for name, row in made.rows().items()}


def test_an_engine_that_is_killed_comes_back_to_the_same_processes(daemon):
    made = daemon(service("a"), shell("b", COUNTER), service("c", ready=Ready(after=0.1)))
    before = pids(made)
    made.kill()
    assert all(map(alive, before.values()))
    made.start()
    assert pids(made) == before
    assert {row["why"] for row in made.rows().values()} == {"taken over from the engine before"}
    os.kill(before["a"], signal.SIGKILL)
    assert made.reborn("a", before["a"])
    assert made.stop() == 0
    assert marked(made.workspace) == []


def test_no_line_is_lost_while_there_is_no_engine(daemon):
    made = daemon(shell("b", COUNTER))
    until(lambda: "9\n" in made.output("b"))
    made.kill()
    time.sleep(0.3)
    made.start()
    time.sleep(0.1)
    made.control.stop(["b"])
    numbers = [int(line) for line in made.output("b").splitlines()]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 20


def test_what_ended_while_there_was_no_engine_is_told_with_its_status(daemon):
    made = daemon(
        service("killed", restart=RestartWhen.NEVER),
        shell("left", "sleep 3; echo bye; exit 6", restart=RestartWhen.NEVER),
    )
    made.kill()
    os.kill(_pid_of(made, "killed"), signal.SIGKILL)
    until(lambda: not alive(_pid_of(made, "left")))
    made.start()
    assert made.reach("killed", "EXITED")["why"] == "killed by SIGKILL"
    assert made.reach("left", "EXITED")["exit"] == 6
    assert made.output("left") == "bye\n"


def _pid_of(made: Daemon, name: str) -> int:
    """From the journal: there may be no engine to ask."""
    started = [e for e in entries(made.places.run / "engine.journal") if e["service"] == name and e["to"] == "RUNNING"]
    return started[-1]["pid"]


def test_one_that_a_user_stopped_stays_down_after_a_crash_of_the_engine_until_it_is_started(daemon):
    made = daemon(service("a"), service("b"))
    made.control.stop(["a"])
    made.kill()
    made.start()
    assert (made.state("a"), made.row("a")["why"], made.state("b")) == ("STOPPED", "stopped by user", "RUNNING")
    made.control.start(["a"])
    made.kill()
    made.start()
    assert made.state("a") == "RUNNING"


def test_a_stop_that_was_under_way_goes_on_with_the_next_engine(daemon):
    made = daemon(
        shell("a", "trap 'sleep 1; exit 0' TERM; echo up; while :; do sleep 0.1; done", stop=Stop(group=False))
    )
    until(lambda: made.output("a"))
    subprocess.Popen([sys.executable, "-c", _STOP, str(made.places.control)], stderr=subprocess.DEVNULL).wait(5)
    made.reach("a", "STOPPING")
    made.kill()
    made.start()
    assert made.reach("a", "STOPPED")["why"].startswith("stopped by user")


_STOP = """
import sys
from pathlib import Path
from ghostd.base.errors import Cannot
from ghostd.supervise.client import Control
import xmlrpc.client, http.client
from ghostd.base.sockets import connect_stream
c = http.client.HTTPConnection("localhost")
c.sock = connect_stream(Path(sys.argv[1]), timeout=5)
c.request("POST", "/RPC2", xmlrpc.client.dumps(("a", False), "supervisor.stopProcess"), {"Content-Type": "text/xml"})
c.getresponse().read()
"""


def test_a_service_that_is_not_configured_any_more_is_stopped_by_the_next_engine(daemon):
    made = daemon(service("stays"), service("goes"))
    before = pids(made)
    made.kill()
    made.configure(service("stays"))
    made.start()
    until(lambda: "goes" not in made.rows())
    assert not alive(before["goes"])
    assert pids(made) == {"stays": before["stays"]}


def test_a_keeper_that_is_killed_costs_a_restart_and_nothing_more(daemon):
    made = daemon(service("a"), shell("b", "(setsid sleep 1000 &); exec sleep 1000"), service("down", autostart=False))
    before = pids(made)
    made.kill_keeper()
    for name in ("a", "b"):
        made.reborn(name, before[name])
        assert made.row(name)["why"] == "restarted after its keeper died"
    assert made.state("down") == "STOPPED"
    assert not any(alive(pid) for pid in before.values() if pid)
    until(lambda: len(marked(made.workspace)) == 3)
    assert made.stop() == 0
    assert marked(made.workspace) == []


def test_engine_and_keeper_killed_together_leave_nobody_twice(daemon):
    made = daemon(service("a"), shell("b", "(setsid sleep 1000 &); exec sleep 1000"))
    before = marked(made.workspace)
    assert len(before) == 3
    keeper = made.keeper
    made.kill()
    os.kill(keeper, signal.SIGKILL)
    until(lambda: not alive(keeper))
    assert all(map(alive, before))
    made.start()
    assert not any(map(alive, before))
    until(lambda: len(marked(made.workspace)) == 3)
    assert "had outlived their keeper" in made.told()


def test_killed_at_random_moments_every_service_has_one_process(daemon):
    made = daemon(*(service(f"s{number}") for number in range(4)))
    for turn in range(6):
        time.sleep(0.03 * turn)
        made.kill()
        made.start(wait=turn % 2 == 0)
    until(lambda: _settled(made))
    assert sorted(marked(made.workspace)) == sorted(pids(made).values())


def _settled(made: Daemon) -> bool:
    try:
        return all(row["ready"] for row in made.rows().values())
    except Cannot:
        return False


def test_stop_takes_over_what_a_killed_engine_has_left_and_ends_it_well(daemon, workspace):
    made = daemon(shell("a", f"trap 'echo well > {workspace}/end; exit 0' TERM; echo up; while :; do sleep 0.05; done"))
    until(lambda: made.output("a"))
    made.kill()
    made.start("--stop", wait=False)
    assert made.process.wait(20) == 0
    assert (workspace / "end").read_text() == "well\n"
    assert marked(made.workspace) == []


# -- what lies there from before -----------------------------------------------------------------------------------


def test_a_second_engine_is_refused_with_the_pid_of_the_first_and_harms_nobody(daemon):
    made = daemon(service("a"))
    before = pids(made)
    second = Daemon(made.workspace, service("a"))
    second.start(wait=False)
    assert second.process.wait(20) == 1
    assert (
        f"already-running cannot start a second ghostd in {made.workspace}: one runs already, with pid {made.pid};"
        in (made.told())
    )
    assert pids(made) == before
    assert holder(made.places.run) == made.pid


def test_stale_sockets_lock_and_records_are_replaced(daemon, workspace):
    run = workspace / "state" / "run"
    (run / "notify").mkdir(parents=True)
    for name, kind in (("ghostd.sock", socket.SOCK_STREAM), ("keeper.sock", socket.SOCK_SEQPACKET)):
        with socket.socket(socket.AF_UNIX, kind) as stale:
            stale.bind(str(run / name))
    (run / "ghostd.lock").write_text("1\n")
    (run / "keeper.json").write_text('{"torn')
    (run / "children.jsonl").write_text('{"boot": "x", "pid": 1}\n\0\0')
    (run / "engine.journal").write_text('{"seq": 41}\n{"seq": 42, "torn')
    assert holder(run) is None
    made = daemon(service("a"))
    assert made.state("a") == "RUNNING"
    assert [entry["seq"] for entry in entries(run / "engine.journal")][:3] == [41, 42, 43]


def test_a_workspace_whose_paths_are_too_long_for_a_socket_works_whole(tmp_path):
    where = tmp_path / ("d" * 90) / ("e" * 100)
    where.mkdir(parents=True)
    assert len(str(where)) > 200
    speaks = f"""exec {sys.executable} -c '
import os, socket, time
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
    s.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
time.sleep(1000)'"""
    made = Daemon(where, shell("a", speaks, ready=Ready(notify=True)))
    try:
        made.start()
        before = pids(made)
        made.kill()
        made.start()
        assert pids(made) == before
        url = made.control.status()["supervisorctl"].split()[-1]
        ctl = [Path(sys.executable).with_name("supervisorctl"), "-s", url, "status"]
        assert "RUNNING" in subprocess.run(ctl, capture_output=True, text=True, check=True).stdout
        made.kill_keeper()
        made.reborn("a", before["a"])
        ctl[2] = made.control.status()["supervisorctl"].split()[-1]
        assert ctl[2] != url
        assert "RUNNING" in subprocess.run(ctl, capture_output=True, text=True, check=True).stdout
        assert made.stop() == 0
    finally:
        made.clear()


def test_nobody_home_is_told_with_the_next_step(tmp_path):
    control = Control(tmp_path / "ghostd.sock")
    assert not control.alive()
    with pytest.raises(Cannot) as caught:
        control.status()
    assert (caught.value.kind, caught.value.hint) == ("no-daemon", "run ghostd start")


def test_an_engine_that_does_not_answer_is_told_as_that(daemon):
    made = daemon(service("a"))
    os.kill(made.pid, signal.SIGSTOP)
    try:
        with pytest.raises(Cannot) as caught:
            Control(made.places.control, timeout=0.2).status()
    finally:
        os.kill(made.pid, signal.SIGCONT)
    assert caught.value.kind == "daemon-silent"
