"""The keeper: starts what it is told, holds what ends, outlives its engine, and leaves nobody behind."""

from __future__ import annotations

import errno
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from supervise_kit import alive, until

from ghostd.supervise import keeper, procfs
from ghostd.supervise import link as link_module
from ghostd.supervise.link import KeeperLost, Link, Order, SpawnFailed, attach, launch
from ghostd.supervise.survivors import end_survivors

ENV = {"PATH": os.environ["PATH"]}


def order(name: str, script: str, **more) -> Order:
    env = ENV | {procfs.MARK: f"{name}:nonce"}
    return Order(**{"name": name, "argv": ("sh", "-c", script), "env": env, "cwd": "/", "umask": 0o022} | more)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


@pytest.fixture
def link(run: Path) -> Iterator[Link]:
    link = launch(run, run / "keeper.log")
    yield link
    link.abandon()
    end_survivors(run)
    assert (run / "keeper.log").read_text() == ""


def ended(link: Link, name: str) -> int:
    """The exit status of a service as soon as the keeper tells it."""
    seen = []
    until(lambda: seen.extend(link.ended()) or [one for one in seen if one.name == name], f"the end of {name}")
    return os.waitstatus_to_exitcode(next(one.status for one in seen if one.name == name))


def output(fd: int) -> bytes:
    """Everything up to the end."""
    os.set_blocking(fd, True)
    with os.fdopen(fd, "rb") as file:
        return file.read()


def test_a_service_runs_with_its_words_folder_mask_and_environment_and_nothing_else(link, tmp_path):
    kept = link.spawn(order("a", "pwd; umask; env; echo err >&2; exit 7", cwd=str(tmp_path), umask=0o027))
    assert ended(link, "a") == 7
    said = output(kept.pipes[0]).decode().splitlines()
    assert said[:2] == [str(tmp_path), "0027"]
    assert said[-1] == "err"
    names = {line.partition("=")[0] for line in said[2:-1]}
    assert names <= {"PATH", procfs.MARK, "PWD", "OLDPWD", "SHLVL", "_"}


def test_streams_can_be_kept_apart(link):
    kept = link.spawn(order("a", "echo out; echo err >&2", streams=2))
    assert [output(fd) for fd in kept.pipes] == [b"out\n", b"err\n"]


def test_a_service_has_a_session_of_its_own_default_signals_and_only_three_descriptors(link):
    script = (
        "import os, signal; print(os.getsid(0) == os.getpid(), signal.getsignal(15), signal.getsignal(2).__name__, \
        signal.pthread_sigmask(signal.SIG_BLOCK, ()), sorted(os.listdir('/proc/self/fd')), os.read(0, 1))"
    )
    kept = link.spawn(order("a", "", argv=(sys.executable, "-c", script)))
    # The fourth is the listing itself.
    assert output(kept.pipes[0]) == b"True 0 default_int_handler set() ['0', '1', '2', '3'] b''\n"


@pytest.mark.parametrize(
    ("more", "code", "stage"),
    [
        ({"argv": ("/nope",)}, errno.ENOENT, "exec"),
        ({"argv": ("no-such-word-here",)}, errno.ENOENT, "exec"),
        ({"argv": ("/etc/passwd",)}, errno.EACCES, "exec"),
        ({"argv": ("/",)}, errno.EACCES, "exec"),
        ({"argv": ("sh", "nul\0")}, errno.EINVAL, "exec"),
        ({"argv": ("sh", "x" * 150_000)}, errno.E2BIG, "exec"),
        ({"cwd": "/nope"}, errno.ENOENT, "cwd"),
        ({"cwd": "/etc/passwd"}, errno.ENOTDIR, "cwd"),
    ],
)
def test_what_can_not_be_started_is_told_with_its_stage_and_leaves_the_name_free(link, more, code, stage):
    with pytest.raises(SpawnFailed) as caught:
        link.spawn(order("a", "exit 0", **more))
    assert (caught.value.code, caught.value.stage) == (code, stage)
    assert link.children()[0] == []
    os.close(link.spawn(order("a", "exit 0")).pipes[0])


def test_an_order_that_fits_into_no_packet_is_refused_and_the_link_lives(link):
    with pytest.raises(SpawnFailed) as caught:
        link.spawn(order("a", "exit 0", env={"BIG": "x" * 1_000_000}))
    assert caught.value.code == errno.EMSGSIZE
    assert link.children()[0] == []


def test_limits_are_set_and_never_above_what_is_allowed(link):
    rlimits = [(resource.RLIMIT_NOFILE, 64), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_CPU, 3600)]
    kept = link.spawn(order("a", "ulimit -n; ulimit -c; ulimit -t", rlimits=rlimits))
    assert output(kept.pipes[0]) == b"64\n0\n3600\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change users")
def test_a_service_can_run_as_another_user(link):
    kept = link.spawn(order("a", "id -u; id -g; id -G", user=(65534, 65534, [65534])))
    assert output(kept.pipes[0]) == b"65534\n65534\n65534\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root can do that")
def test_becoming_another_user_without_root_is_told(link):
    with pytest.raises(SpawnFailed) as caught:
        link.spawn(order("a", "id", user=(0, 0, [0])))
    assert caught.value.stage == "user"


def test_a_name_never_has_two_processes(link):
    first = link.spawn(order("a", "sleep 1000"))
    with pytest.raises(SpawnFailed) as caught:
        link.spawn(order("a", "sleep 1000"))
    assert caught.value.code == errno.EEXIST
    # Not even after its end, as long as nobody has taken note of that.
    assert link.kill("a", signal.SIGKILL, group=True)
    assert ended(link, "a") == -9
    with pytest.raises(SpawnFailed):
        link.spawn(order("a", "sleep 1000"))
    link.acknowledge("a", first.pid)
    os.close(link.spawn(order("a", "exit 0")).pipes[0])
    os.close(first.pipes[0])


def test_a_signal_goes_to_the_process_or_to_its_group_and_says_whether_it_went(link):
    kept = link.spawn(order("a", "trap 'echo got; exit 5' USR1; echo up; sleep 1000 & wait"))
    assert until(lambda: _read(kept.pipes[0])) == b"up\n"
    assert link.kill("a", signal.SIGUSR1, group=False)
    assert ended(link, "a") == 5
    assert not link.kill("a", signal.SIGUSR1, group=False)
    assert not link.kill("nobody", signal.SIGUSR1, group=True)
    link.sweep("a")
    assert output(kept.pipes[0]) == b"got\n"


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 100)
    except BlockingIOError:
        return b""


def test_the_keeper_does_not_end_by_signals_that_are_for_the_engine(link):
    link.children()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        os.kill(link.pid, number)
    assert link.children()[0] == []


def test_an_engine_that_dies_leaves_children_pipes_notes_and_exit_codes_to_the_next(link, run):
    """No line is lost, no writer meets a broken pipe, and what ended meanwhile is told with its status."""
    os.mkfifo(run / "go")
    writer = link.spawn(
        order("writer", "read x < go; for i in 1 2 3; do echo line $i; done; exec sleep 1000", cwd=str(run))
    )
    brief = link.spawn(order("brief", "echo last words; exit 42"))
    link.note("writer", {"ready": 1})
    assert ended(link, "brief") == 42
    # The engine dies: every descriptor that it had is gone.
    for fd in (*writer.pipes, *brief.pipes):
        os.close(fd)
    link._sock.close()
    (run / "go").write_text("go\n")
    until(lambda: Path(f"/proc/{writer.pid}/comm").read_text() == "sleep\n")

    second = attach(run)
    kept, notes = second.children()
    found = {one.name: one for one in kept}
    assert (found["writer"].pid, found["writer"].start, found["writer"].status) == (writer.pid, writer.start, None)
    assert os.waitstatus_to_exitcode(found["brief"].status) == 42
    assert notes == {"writer": {"ready": 1}}
    assert second.pid == link.pid
    assert output(found["brief"].pipes[0]) == b"last words\n"
    assert second.kill("writer", signal.SIGTERM, group=True)
    assert ended(second, "writer") == -15
    assert output(found["writer"].pipes[0]) == b"line 1\nline 2\nline 3\n"
    second.abandon()


def test_a_second_engine_waits_until_the_first_is_gone(link, run):
    with attach(run)._sock as second:
        second.settimeout(0.1)
        second.sendall(b'{"do": "list"}')
        with pytest.raises(TimeoutError):
            second.recv(100)
        link._sock.close()
        second.settimeout(5)
        assert b'"end"' in second.recv(1000)


HELPERS = {
    "same session": "sleep 1000 & echo $!; exit 3",
    "session of its own": "setsid sleep 1000 & echo $!; exit 3",
    "double fork": "(setsid sh -c 'sleep 1000 & echo $!; wait' &); sleep 0.2; exit 3",
    "session kept, environment wiped": "env -i sleep 1000 & echo $!; exit 3",
}


@pytest.mark.parametrize("script", HELPERS.values(), ids=HELPERS)
def test_a_sweep_kills_what_an_ended_service_left_and_nobody_else(link, script):
    other = link.spawn(order("other", "setsid sleep 1000 & exec sleep 1000"))
    kept = link.spawn(order("a", script))
    assert ended(link, "a") == 3
    left = int(until(lambda: _read(kept.pipes[0])))
    assert alive(left)
    assert link.sweep("a") >= 1
    assert not alive(left)
    assert len(procfs.below(other.pid, procfs.everybody())) == 1
    for fd in (*kept.pipes, *other.pipes):
        os.close(fd)


def test_a_sweep_of_what_still_runs_or_never_ran_kills_nobody(link):
    kept = link.spawn(order("a", "setsid sleep 1000 & exec sleep 1000"))
    assert link.sweep("a") == 0
    assert link.sweep("nobody") == 0
    assert alive(kept.pid)
    os.close(kept.pipes[0])


def test_a_fork_bomb_ends_with_a_sweep(link):
    bomb = "sh -c 'while :; do setsid sleep 1000 & sleep 0.01; done' & sleep 0.3; exit 0"
    kept = link.spawn(order("a", bomb))
    assert ended(link, "a") == 0
    assert link.sweep("a") > 3
    assert procfs.below(link.pid, procfs.everybody()) == set()
    os.close(kept.pipes[0])


def test_quit_leaves_no_process_and_no_file_not_even_of_who_wiped_its_traces(link, run):
    for name in ("a", "b"):
        os.close(link.spawn(order(name, "setsid env -i sleep 1000 & trap '' TERM; sleep 1000")).pipes[0])
    until(lambda: len(procfs.below(link.pid, procfs.everybody())) == 6)
    mine = procfs.below(link.pid, procfs.everybody())
    link.quit()
    assert not any(map(alive, mine))
    assert [path.name for path in run.iterdir()] == ["keeper.log"]


def test_a_dead_keeper_is_noticed_and_its_children_are_found_by_its_records(link, run):
    kept = link.spawn(order("a", "setsid sleep 1000 & exec sleep 1000"))
    below = until(lambda: found if len(found := procfs.below(link.pid, procfs.everybody())) == 2 else None)
    os.kill(link.pid, signal.SIGKILL)
    with pytest.raises(KeeperLost):
        until(lambda: link.ended() and False)
    assert link.broken
    assert end_survivors(run) == 2
    assert not any(map(alive, below))
    os.close(kept.pipes[0])


def test_a_keeper_that_hangs_is_as_good_as_dead(run, monkeypatch):
    monkeypatch.setattr(link_module, "ANSWER_SECONDS", 0.2)
    link = launch(run, run / "keeper.log")
    link.children()
    os.kill(link.pid, signal.SIGSTOP)
    with pytest.raises(KeeperLost):
        link.children()
    assert link.broken
    keeper = link.pid
    link.abandon()
    assert not alive(keeper)
    end_survivors(run)


def test_records_of_another_boot_or_of_a_later_process_with_that_pid_harm_nobody(run):
    mine = procfs.look(os.getpid())
    lines = [
        f'{{"boot": "another", "name": "a", "pid": {mine.pid}, "start": {mine.start}, "mark": ""}}',
        f'{{"boot": "{procfs.boot()}", "name": "a", "pid": {mine.pid}, "start": {mine.start - 1}, "mark": ""}}',
        '{"boot": "torn',
        "\x00\x00",
        "[]",
    ]
    (run / "children.jsonl").write_text("\n".join(lines))
    assert end_survivors(run) == 0


def test_the_keeper_reaps_orphans_that_are_handed_to_it(link):
    kept = link.spawn(order("a", "(setsid sh -c 'exit 0' &); exec sleep 1000"))
    until(lambda: procfs.children(link.pid) == {kept.pid})
    os.close(kept.pipes[0])


def test_the_record_of_children_is_written_anew_when_it_has_grown(tmp_path, monkeypatch):
    """Then it holds those that live, and nothing else."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(keeper, "RECORD_BYTES", 2000)
    record = keeper.Record("boot")
    living = keeper.Held("old", "old:1", 7, 70, [])
    for number in range(100):
        new = keeper.Held("new", "new:1", 1000 + number, 5, [])
        record.add(new, [living, new])
    lines = Path("children.jsonl").read_text().splitlines()
    assert 2 <= len(lines) < 40
    assert {'"name": "old"' in line for line in lines[:1]} == {True}
    assert '"pid": 1099' in lines[-1]
    os.close(record.fd)


def test_nobody_listens_where_no_keeper_is(run):
    assert attach(run) is None
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stale:
        stale.bind(str(run / "keeper.sock"))
    assert attach(run) is None
