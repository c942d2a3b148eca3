"""Services under a real engine: started in order, ready, restarted, given up, stopped; and what comes of bad ones."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest
from supervise_kit import EAGER, alive, daemon, marked, service, shell, until, workspace

from ghostd.base.errors import Cannot
from ghostd.model.service import Backoff, Limits, LogFile, Ready, RestartWhen, StartLimit, Stop
from ghostd.supervise.journal import entries

__all__ = ["daemon", "workspace"]  # fixtures

NOTIFY = f"""{sys.executable} -c '
import os, socket, time, sys
def say(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(text.encode(), os.environ["NOTIFY_SOCKET"])
%s
time.sleep(1000)'"""


def speaker(name: str, *lines: str, **more):
    """A Python service that talks to its notify socket."""
    return shell(name, "exec " + NOTIFY % "\n".join(lines), **({"ready": Ready(notify=True, timeout=20)} | more))


def moves(made, name: str) -> list[str]:
    """Every state that a service has been in."""
    return [entry["to"] for entry in entries(made.places.run / "engine.journal") if entry["service"] == name]


# -- restarts ------------------------------------------------------------------------------------------------------


def test_a_service_that_is_killed_comes_back_with_its_why_and_a_count(daemon):
    made = daemon(service("a", start_limit=EAGER))
    first = made.row("a")
    assert (first["state"], first["ready"], first["why"], first["restarts"]) == ("RUNNING", True, "ready", 0)
    os.kill(first["pid"], signal.SIGKILL)
    made.reborn("a", first["pid"])
    again = made.row("a")
    assert (again["state"], again["restarts"], again["why"]) == ("RUNNING", 1, "restarted after killed by SIGKILL")
    assert moves(made, "a") == ["STARTING", "RUNNING", "EXITED", "STARTING", "RUNNING"]


def test_a_restart_does_not_wait_for_a_tick(daemon, workspace):
    """Far below the second that a polling loop would need, even on a busy machine; the figure itself is for bench/."""
    os.mkfifo(workspace / "up")
    fifo = os.open(workspace / "up", os.O_RDWR)
    made = daemon(shell("a", f"echo $$ > {workspace}/up; exec sleep 1000", start_limit=EAGER))
    pid, times = int(os.read(fifo, 20)), []
    for _ in range(7):
        made.reborn("a", 0)
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        pid = int(os.read(fifo, 20))
        times.append(time.monotonic() - began)
    os.close(fifo)
    assert sorted(times)[3] < 0.3


def test_one_that_dies_at_once_is_given_up_after_its_burst(daemon):
    made = daemon(shell("a", "exit 3"), service("good"))
    row = made.row("a")
    assert (row["state"], row["ready"], row["exit"], row["pid"]) == ("FATAL", False, 3, 0)
    assert row["why"] == "exit status 3; gave up after 5 starts within 10 s"
    assert row["restarts"] == 4
    assert moves(made, "a").count("STARTING") == 5
    assert made.state("good") == "RUNNING"


def test_after_giving_up_a_start_by_hand_has_all_its_tries_again(daemon, workspace):
    made = daemon(shell("a", f"test -e {workspace}/cure && exec sleep 1000"))
    assert made.state("a") == "FATAL"
    (workspace / "cure").touch()
    (row,) = made.control.start(["a"])
    assert (row["state"], row["ready"]) == ("RUNNING", True)


@pytest.mark.parametrize(
    ("policy", "script", "state", "why"),
    [
        (RestartWhen.ON_FAILURE, "exit 0", "EXITED", "exit status 0"),
        (RestartWhen.ON_FAILURE, "exit 4", "EXITED", "exit status 4"),
        (RestartWhen.NEVER, "exit 9", "EXITED", "exit status 9"),
        (RestartWhen.NEVER, "kill -KILL $$", "EXITED", "killed by SIGKILL"),
        (RestartWhen.ALWAYS, "exit 0", "FATAL", "exit status 0; gave up after 5 starts within 10 s"),
    ],
)
def test_who_stays_down(daemon, policy, script, state, why):
    made = daemon(shell("a", script, restart=policy, exit_codes=(0, 4)))
    row = made.reach("a", state)
    assert row["why"] == why


def test_pauses_before_restarts_are_kept(daemon):
    made = daemon(
        shell("a", "exit 1", backoff=Backoff(initial=0.2, factor=2.0, jitter=0.0), start_limit=StartLimit(burst=3))
    )
    times = [e["time"] for e in entries(made.places.run / "engine.journal") if e["to"] == "STARTING"]
    first, second = times[1] - times[0], times[2] - times[1]
    assert 0.2 <= first < 0.4 <= second


@pytest.mark.parametrize(
    ("command", "more", "why"),
    [
        (("/no/such/program",), {}, "cannot run /no/such/program: No such file or directory"),
        (("no-such-word-here",), {}, "cannot run no-such-word-here: No such file or directory"),
        (("/etc/passwd",), {}, "cannot run /etc/passwd: Permission denied"),
        (
            ("sleep", "9"),
            {"cwd": "/no/such/folder"},
            "cannot change to its folder /no/such/folder: No such file or directory",
        ),
        (("sleep", "9"), {"env": {"BIG": "x" * 500_000}}, "cannot run sleep: Message too long"),
    ],
)
def test_what_can_not_be_started_ends_fatal_with_its_reason(daemon, command, more, why):
    made = daemon(service("a", *command, **more))
    row = made.row("a")
    assert (row["state"], row["pid"], row["exit"]) == ("FATAL", 0, None)
    assert row["why"] == f"{why}; gave up after 5 starts within 10 s"


def test_a_user_that_does_not_exist_or_may_not_be_is_fatal_at_once(daemon):
    made = daemon(service("a", user="no-such-user"), service("b", user="root" if os.geteuid() else None))
    assert made.row("a")["why"] == "cannot run as no-such-user: there is no such user"
    assert moves(made, "a") == ["STARTING", "FATAL"]
    if os.geteuid():
        assert "only root can change users" in made.row("b")["why"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change users")
def test_a_service_runs_as_its_user(daemon):
    made = daemon(shell("a", 'echo "$(id -un) $USER $HOME"; exec sleep 1000', user="nobody"))
    until(lambda: made.output("a"))
    assert made.output("a").split()[:2] == ["nobody", "nobody"]


def test_exit_on_failure_ends_the_engine_with_the_status_of_the_service(daemon):
    made = daemon(service("other"), shell("a", "sleep 0.2; exit 7", restart=RestartWhen.ALWAYS, exit_on_failure=True))
    assert made.process.wait(20) == 7
    assert marked(made.workspace) == []


# -- readiness and order -------------------------------------------------------------------------------------------


def test_ready_by_notify_with_status_and_addresses(daemon):
    made = daemon(speaker("a", 'say("X_GHOST_LISTEN=api=127.0.0.1:99\\nSTATUS=hello\\nWATCHDOG=1")', 'say("READY=1")'))
    document = made.control.status()
    assert document["listen"] == {"api": "127.0.0.1:99"}
    assert document["services"][0]["said"] == "hello"
    assert document["state"] == "RUNNING"
    assert document["supervisorctl"] == f"supervisorctl -s unix://{made.places.control}"


def test_one_that_never_says_ready_is_stopped_and_counts_as_failed(daemon):
    made = daemon(service("a", ready=Ready(notify=True, timeout=0.2), start_limit=StartLimit(burst=2)))
    row = made.row("a")
    assert (row["state"], row["pid"]) == ("FATAL", 0)
    assert row["why"].startswith("not ready within 0.2 s; gave up")
    assert moves(made, "a")[:4] == ["STARTING", "STOPPING", "BACKOFF", "STARTING"]


def test_an_end_before_readiness_is_a_failure_even_with_status_0(daemon):
    made = daemon(shell("a", "exit 0", ready=Ready(notify=True), start_limit=StartLimit(burst=1)))
    assert made.row("a")["why"].startswith("exit status 0 before it was ready")
    assert made.state("a") == "FATAL"


def test_ready_after_a_while_of_living(daemon):
    made = daemon(service("a", ready=Ready(after=0.3)))
    starting, running = [e["time"] for e in entries(made.places.run / "engine.journal")]
    assert 0.29 <= running - starting < 5


def test_descriptors_that_come_with_a_datagram_are_closed(daemon):
    """`systemd-notify` waits for exactly that, and nobody may fill our table with them."""
    script = """
import array
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect(os.environ["NOTIFY_SOCKET"])
for i in range(50):
    r, w = os.pipe()
    s.sendmsg([b"BARRIER=1"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [w, w, w]))])
    os.close(w)
    assert os.read(r, 1) == b""
    os.close(r)
say("READY=1")"""
    made = daemon(speaker("a", script))
    assert made.state("a") == "RUNNING"
    assert len(list(Path(f"/proc/{made.pid}/fd").iterdir())) < 40


def test_nobody_starts_before_what_it_requires_is_ready_nor_stops_after_it(daemon):
    made = daemon(
        service("web", requires=("db",)),
        shell("log", "exit 0", after=("web",), restart=RestartWhen.NEVER),
        service("db", ready=Ready(after=0.3)),
    )
    made.stop()
    story = [(e["service"], e["to"]) for e in entries(made.places.run / "engine.journal")]
    assert story.index(("db", "RUNNING")) < story.index(("web", "RUNNING")) < story.index(("log", "RUNNING"))
    assert story.index(("web", "STOPPED")) < story.index(("db", "STOPPING"))


def test_one_whose_requirement_fails_says_so_and_can_be_started_later(daemon, workspace):
    made = daemon(
        shell("db", f"test -e {workspace}/cure && exec sleep 1000", ready=Ready(after=0.1)),
        service("web", requires=("db",)),
    )
    assert made.row("web")["why"] == "requires db, which is FATAL"
    (workspace / "cure").touch()
    (row,) = made.control.start(["web"])
    assert (row["state"], made.state("db")) == ("RUNNING", "RUNNING")


def test_a_start_by_hand_takes_along_what_is_required(daemon):
    made = daemon(service("db", autostart=False), service("web", requires=("db",), autostart=False))
    assert [row["state"] for row in made.rows().values()] == ["STOPPED", "STOPPED"]
    made.control.start(["web"])
    assert [row["state"] for row in made.rows().values()] == ["RUNNING", "RUNNING"]


def test_a_restart_keeps_the_order(daemon):
    made = daemon(service("db"), service("web", requires=("db",)))
    before = made.rows()
    rows = made.control.restart()
    assert {row["why"] for row in rows} == {"ready"}
    assert not {row["pid"] for row in rows} & {row["pid"] for row in before.values()}
    story = [(e["service"], e["to"]) for e in entries(made.places.run / "engine.journal")][4:]
    assert story.index(("web", "STOPPED")) < story.index(("db", "STOPPING"))
    assert story.index(("db", "RUNNING")) < len(story) - 1 - story[::-1].index(("web", "RUNNING"))


def test_a_service_that_is_none_is_told_by_name(daemon):
    made = daemon(service("a"))
    for ask in (made.control.start, made.control.stop, made.control.restart):
        with pytest.raises(Cannot) as caught:
            ask(["a", "nope"])
        assert (caught.value.kind, caught.value.details["service"]) == ("no-service", "nope")
    assert made.state("a") == "RUNNING"


# -- the end -------------------------------------------------------------------------------------------------------


def test_sigterm_stops_all_and_leaves_no_process_and_no_socket(daemon):
    made = daemon(
        shell("stubborn", "trap '' TERM; while :; do sleep 1000; done", stop=Stop(timeout=0.3)),
        shell("family", "(setsid sleep 1000 &); (setsid env -i sleep 1000 &); sleep 1000 & exec sleep 1000"),
        speaker("speaker", 'say("READY=1")'),
        shell("dead", "exit 1"),
    )
    keeper = made.keeper
    pids = [row["pid"] for row in made.rows().values() if row["pid"]]
    assert made.stop() == 0
    assert not any(map(alive, [*pids, keeper]))
    assert marked(made.workspace) == []
    assert sorted(path.name for path in made.places.run.iterdir()) == ["engine.journal", "ghostd.lock", "notify"]
    assert list((made.places.run / "notify").iterdir()) == []
    last = [e for e in entries(made.places.run / "engine.journal") if e["service"] == "stubborn"][-1]
    assert last["why"] == "ghostd got SIGTERM (killed after 0.3 s)"


def test_a_second_sigterm_does_not_wait_for_the_grace(daemon):
    made = daemon(shell("stubborn", "trap '' TERM; while :; do sleep 1000; done", stop=Stop(timeout=1000)))
    made.process.terminate()
    made.reach("stubborn", "STOPPING")
    assert made.stop() == 0
    assert marked(made.workspace) == []


def test_sighup_and_sigusr2_do_not_hurt(daemon):
    made = daemon(shell("a", "while :; do echo tick; sleep 0.05; done"))
    log = made.places.log / "a.log"
    until(lambda: made.output("a"))
    log.rename(log.with_suffix(".moved"))
    os.kill(made.pid, signal.SIGHUP)
    os.kill(made.pid, signal.SIGUSR2)
    until(lambda: log.exists() and "tick" in made.output("a"))
    assert "SIGHUP is ignored" in made.told()


# -- output --------------------------------------------------------------------------------------------------------


def test_a_flood_is_rotated_at_line_ends_and_nobody_else_notices(daemon):
    flood = "i=0; while :; do echo $i a line of some length that says nothing at all; i=$((i+1)); done"
    made = daemon(shell("flood", flood, log=LogFile(max_size=20_000, backups=2)), service("calm", start_limit=EAGER))
    until((made.places.log / "flood.log.2").exists)
    pid = made.row("calm")["pid"]
    os.kill(pid, signal.SIGKILL)
    made.reborn("calm", pid)
    made.control.stop(["flood"])
    files = [made.places.log / f"flood.log{end}" for end in (".2", ".1", "")]
    assert all(file.stat().st_size <= 20_000 for file in files)
    assert not (made.places.log / "flood.log.3").exists()
    lines = b"".join(file.read_bytes() for file in files).decode().splitlines()
    numbers = [int(line.partition(" ")[0]) for line in lines]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_binary_output_is_kept_byte_for_byte(daemon):
    made = daemon(shell("a", r"printf 'a\000\377\033[2J\r\n'; printf 'no newline'; exec sleep 1000"))
    until(lambda: b"no newline" in (made.places.log / "a.log").read_bytes())
    assert (made.places.log / "a.log").read_bytes() == b"a\0\xff\x1b[2J\r\nno newline"


def test_last_words_are_in_the_log_however_much_they_are(daemon):
    made = daemon(shell("a", "head -c 900000 /dev/zero | tr '\\0' x; echo; echo end; exit 0"))
    made.reach("a", "EXITED")
    assert made.output("a") == "x" * 900_000 + "\nend\n"


def test_a_full_log_disk_stops_nobody_and_is_told_when_there_is_room_again(daemon, workspace):
    log = workspace / "state" / "log"
    log.mkdir(parents=True)
    (log / "a.log").symlink_to("/dev/full")
    made = daemon(shell("a", "while :; do echo tick; sleep 0.02; done"))
    until(lambda: "RUNNING" in made.state("a"))
    time.sleep(0.2)
    assert made.state("a") == "RUNNING"
    (log / "a.log").unlink()
    until(lambda: (log / "a.log").exists() and "tick" in made.output("a"))
    first = made.output("a").splitlines()[0]
    assert first.startswith("[ghostd: ")
    assert first.endswith(" bytes of output are missing here: No space left on device]")


def test_a_service_that_closes_its_outputs_lives_and_costs_nothing(daemon):
    made = daemon(shell("a", "exec >&- 2>&-; exec sleep 1000"))
    pid = made.row("a")["pid"]
    time.sleep(0.2)
    before = _ticks(made.pid)
    time.sleep(0.5)
    assert made.row("a")["pid"] == pid
    assert _ticks(made.pid) - before <= 3


# -- the process itself --------------------------------------------------------------------------------------------


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_an_idle_engine_sleeps(daemon):
    """Nothing is due, so nothing wakes it: no processor time, and no switch of context."""
    made = daemon(*(service(f"s{number}") for number in range(5)))
    time.sleep(0.3)

    def switches() -> int:
        lines = Path(f"/proc/{made.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("voluntary_ctxt")).split()[1])

    before = switches(), _ticks(made.pid)
    time.sleep(1.5)
    assert (switches(), _ticks(made.pid)) == before


def test_limits_are_set_and_shown_and_those_that_can_not_be_are_told(daemon):
    limits = Limits(memory=1 << 30, nofile=77, core=0, cpu_time=60, cpu=0.5, pids=5)
    made = daemon(shell("a", "ulimit -v; ulimit -n; ulimit -t; exec sleep 1000", limits=limits))
    until(lambda: made.output("a").count("\n") == 3)
    assert made.output("a").split() == [str(1 << 20), "77", "60"]
    document = made.control.status()
    assert document["services"][0]["limits"] == limits.as_json()
    assert document["not_enforced"] == {"cpu": ["a"], "pids": ["a"]}


def test_used_up_cpu_time_is_told_as_that(daemon):
    made = daemon(shell("a", "while :; do :; done", limits=Limits(cpu_time=1), restart=RestartWhen.NEVER))
    row = made.reach("a", "EXITED")
    assert row["why"] in ("out of CPU time (limit 1 s)", "killed by SIGKILL")


def test_a_service_sees_what_supervisor_promises_and_none_of_our_secrets(daemon, monkeypatch):
    monkeypatch.setenv("GHOST_JWT_SECRET", "hush")
    monkeypatch.setenv("SOMETHING_ELSE", "private")
    made = daemon(shell("a", "env; exec sleep 1000", env={"MINE": "1", "PATH": "/usr/bin:/bin"}))
    until(lambda: "PWD=" in made.output("a"))
    env = dict(line.partition("=")[::2] for line in made.output("a").splitlines())
    assert env["SUPERVISOR_ENABLED"] == "1"
    assert env["SUPERVISOR_SERVER_URL"] == f"unix://{made.places.control}"
    assert (env["SUPERVISOR_PROCESS_NAME"], env["SUPERVISOR_GROUP_NAME"]) == ("a", "a")
    assert (env["GHOST_HOME"], env["MINE"], env["PATH"]) == (str(made.workspace), "1", "/usr/bin:/bin")
    assert "NOTIFY_SOCKET" not in env
    assert not {"GHOST_JWT_SECRET", "SOMETHING_ELSE"} & env.keys()
