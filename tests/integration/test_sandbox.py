"""Commands are limited, timed, and leave no process behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from ghostd.model.service import Limits
from ghostd.sandbox import cgroups
from ghostd.sandbox.layers import OUTPUT_KEPT, Finished, run_limited

ENV = {"PATH": os.environ["PATH"]}


def sh(folder: Path, script: str, *, timeout: float = 20.0, limits: Limits | None = None) -> Finished:
    return run_limited(["/bin/sh", "-c", script], cwd=folder, env=ENV, limits=limits or Limits(), timeout=timeout)


def test_the_exit_status_and_both_outputs_come_back(tmp_path: Path) -> None:
    finished = sh(tmp_path, "echo out; echo err >&2; exit 7")
    assert (finished.status, finished.timed_out, finished.leftovers) == (7, False, 0)
    assert sorted(finished.output.split()) == [b"err", b"out"]


@pytest.mark.parametrize(
    "script",
    [
        "sleep 300 & echo started",
        "(setsid sleep 300 &) ; echo started",  # a double fork into a session of its own
        "setsid sh -c 'sleep 300 & sleep 300' & echo started",
        "nohup sh -c 'trap \"\" TERM HUP; sleep 300' & echo started",
    ],
)
def test_nothing_of_a_command_outlives_it(tmp_path: Path, script: str) -> None:
    finished = sh(tmp_path, f"cd {tmp_path}; {script}; sleep 0.2")
    assert finished.status == 0
    assert finished.leftovers >= 1
    assert not [p for p in psutil.process_iter() if _works_in(p, tmp_path)]


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return bool(process.cwd() == str(folder))
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def test_a_command_that_takes_too_long_is_killed_with_all_below_it(tmp_path: Path) -> None:
    begun = time.monotonic()
    finished = sh(tmp_path, f"cd {tmp_path}; trap '' TERM; setsid sleep 300 & while :; do sleep 1; done", timeout=0.5)
    assert finished.timed_out
    assert finished.status == -9
    assert time.monotonic() - begun < 20
    assert not [p for p in psutil.process_iter() if _works_in(p, tmp_path)]


def test_a_flood_of_output_keeps_only_its_end(tmp_path: Path) -> None:
    finished = sh(tmp_path, "head -c 10000000 /dev/zero | tr '\\0' x; echo; echo the end")
    assert len(finished.output) == OUTPUT_KEPT
    assert finished.output.endswith(b"the end\n")


@pytest.mark.parametrize(
    ("limits", "script", "shown"),
    [
        (Limits(nofile=17), "ulimit -n", b"17"),
        (Limits(core=0), "ulimit -c", b"0"),
        (Limits(cpu_time=9.0), "ulimit -t", b"9"),
    ],
)
def test_limits_hold_in_the_command(tmp_path: Path, limits: Limits, script: str, shown: bytes) -> None:
    assert sh(tmp_path, script, limits=limits).output.strip() == shown


def test_too_much_memory_ends_the_command_and_not_us(tmp_path: Path) -> None:
    finished = sh(tmp_path, "x=$(head -c 400000000 /dev/zero | tr '\\0' x); echo ${#x}", limits=Limits(memory=64 << 20))
    assert finished.status != 0
    assert finished.out_of_memory == ("memory" in cgroups.slots())


def test_without_a_memory_controller_the_address_space_is_limited(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(cgroups, "slots", dict)
    assert sh(tmp_path, "ulimit -v", limits=Limits(memory=1 << 30)).output.strip() == b"1048576"


def test_commands_of_several_threads_do_not_kill_each_other(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        long = pool.submit(sh, tmp_path, "(setsid sleep 300 &); sleep 1; echo long")
        short = [pool.submit(sh, tmp_path, f"(setsid sleep 300 &); sleep 0.{n}; echo short") for n in range(4)]
        assert [one.result().status for one in [*short, long]] == [0] * 5
        assert long.result().output == b"long\n"


def test_a_command_that_kills_its_own_launcher_leaves_nothing_behind(tmp_path: Path) -> None:
    finished = sh(tmp_path, f"cd {tmp_path}; sleep 300 & kill -9 $PPID; sleep 300")
    assert finished.status == -9
    assert not finished.timed_out
    assert gone(tmp_path)


@pytest.mark.parametrize("walls", [True, False])
def test_the_command_dies_with_who_started_it_and_its_groups_too(tmp_path: Path, *, walls: bool) -> None:
    cell = f"Cell(writable=(Path('{tmp_path}'),))" if walls else "None"
    code = (
        "from pathlib import Path; from ghostd.model.service import Limits;"
        "from ghostd.sandbox.layers import run_limited; from ghostd.sandbox.cell import Cell;"
        f"run_limited(['/bin/sh', '-c', 'cd {tmp_path}; setsid sleep 300 & touch begun; sleep 300'],"
        f"cwd=Path('{tmp_path}'), env={{'PATH': '/usr/bin:/bin'}}, limits=Limits(memory=1 << 30, pids=99), timeout=300,"
        f"cell={cell})"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2]) as parent:
        while not (tmp_path / "begun").exists():
            assert parent.poll() is None
            time.sleep(0.01)
        parent.kill()
    assert gone(tmp_path)
    groups = [group for slot in cgroups.slots().values() for group in slot.folder.glob(f"ghost-cell-{parent.pid}-*")]
    end = time.monotonic() + 10
    while any(group.exists() for group in groups):
        assert time.monotonic() < end, groups
        time.sleep(0.02)


def gone(folder: Path) -> bool:
    """Whether within ten seconds no living process is left that works in the folder."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if not any(_works_in(p, folder) for p in psutil.process_iter()):
            return True
        time.sleep(0.02)
    return False


def test_as_much_of_the_output_is_kept_as_was_asked_for(tmp_path: Path) -> None:
    finished = run_limited(
        ["/bin/sh", "-c", "head -c 300000 /dev/zero; echo end"], cwd=tmp_path, env=ENV, limits=Limits(), timeout=20,
        keep=1000,
    )  # fmt: skip
    assert (len(finished.output), finished.cut) == (1000, 300004 - 1000)
    assert finished.output.endswith(b"end\n")


def test_a_command_that_floods_still_ends_in_time(tmp_path: Path) -> None:
    finished = sh(tmp_path, "cat /dev/zero", timeout=0.5)
    assert finished.timed_out


def test_what_a_command_used_is_told(tmp_path: Path) -> None:
    used = sh(tmp_path, "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done").usage
    assert used is not None
    assert used.user > 0
    assert used.memory > 1 << 20


@pytest.mark.skipif("pids" not in cgroups.slots(), reason="no pids controller of ours")
def test_a_fork_bomb_stays_within_its_limit(tmp_path: Path) -> None:
    bomb = "for i in 1 2 3 4 5 6 7 8 9; do sleep 300 & done; echo all of them"
    finished = sh(tmp_path, bomb, limits=Limits(pids=6))
    assert b"all of them" not in finished.output


@pytest.mark.skipif("cpu" not in cgroups.slots(), reason="no cpu controller of ours")
def test_a_share_of_the_processor_holds(tmp_path: Path) -> None:
    used = sh(tmp_path, "timeout 1 sh -c 'while :; do :; done'", limits=Limits(cpu=0.2)).usage
    assert used is not None
    assert used.user + used.system < 0.6


@pytest.mark.skipif(not cgroups.slots(), reason="no control group of ours")
def test_no_control_group_is_left_and_one_of_a_dead_process_is_removed(tmp_path: Path) -> None:
    folders = {slot.folder for slot in cgroups.slots().values()}
    dead = [folder / "ghost-cell-999999999-1-0" for folder in folders]
    for group in dead:
        group.mkdir()
    cgroups.slots.cache_clear()
    sh(tmp_path, "setsid sleep 300 &", limits=Limits(memory=1 << 30, pids=10, cpu=1.0))
    ours = f"ghost-cell-{os.getpid()}-*"
    assert not [group for folder in folders for group in folder.glob(ours)]
    assert not [group for group in dead if group.exists()]


def test_a_command_that_is_not_there_is_told_and_not_raised(tmp_path: Path) -> None:
    finished = run_limited(["./missing"], cwd=tmp_path, env=ENV, limits=Limits(), timeout=1)
    assert finished.status is None
    assert finished.error == "./missing: No such file or directory"


def test_an_exception_of_the_tick_kills_the_tree_and_goes_on(tmp_path: Path) -> None:
    def lost() -> None:
        raise InterruptedError("lease lost")

    with pytest.raises(InterruptedError):
        run_limited(
            ["/bin/sh", "-c", f"cd {tmp_path}; sleep 300"],
            cwd=tmp_path, env=ENV, limits=Limits(), timeout=20, on_tick=lost, tick=0.1,
        )  # fmt: skip
    assert not [p for p in psutil.process_iter() if _works_in(p, tmp_path)]


def test_the_environment_is_only_what_was_given(tmp_path: Path) -> None:
    os.environ["GHOST_CANARY"] = "secret"
    try:
        assert b"GHOST_CANARY" not in sh(tmp_path, "env").output
    finally:
        del os.environ["GHOST_CANARY"]
