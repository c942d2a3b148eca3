"""Commands are limited, timed, and leave no process behind."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest

from ghostd.model.service import Limits
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
        (Limits(memory=1 << 30), "ulimit -v", b"1048576"),
        (Limits(cpu_time=9.0), "ulimit -t", b"9"),
    ],
)
def test_limits_hold_in_the_command(tmp_path: Path, limits: Limits, script: str, shown: bytes) -> None:
    assert sh(tmp_path, script, limits=limits).output.strip() == shown


def test_too_much_memory_ends_the_command_and_not_us(tmp_path: Path) -> None:
    finished = sh(tmp_path, "x=$(head -c 400000000 /dev/zero | tr '\\0' x); echo ${#x}", limits=Limits(memory=64 << 20))
    assert finished.status != 0


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
