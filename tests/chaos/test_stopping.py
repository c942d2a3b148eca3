"""A sample of the crash runs (`just chaos` does them all), and that the runner would see a mistake."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import power
import pytest
import stopping
from operations import OPERATIONS, Operation
from visiting import MODES, Visit, count, prepare, visit

pytestmark = pytest.mark.slow
#: Points of each operation and mode that the sample visits.
SAMPLE = 7
WHY_NOT = stopping.supported()
NO_POWER = power.supported()


@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "-")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", OPERATIONS)
def test_nothing_is_lost_doubled_or_half_done(tmp_path, name):
    slot = tmp_path / "slot"
    prepare(OPERATIONS[name], slot)
    points = len(count(OPERATIONS[name], slot))
    assert points > 50
    step = points // SAMPLE
    wrong = [
        (mode, point, found.call, found.problems)
        for shift, mode in enumerate(MODES)
        for point in range(1 + shift * step // len(MODES), points + 1, step)
        if (found := visit(Visit(name, mode, point, slot))).problems
    ]
    assert wrong == []


@pytest.mark.skipif(bool(NO_POWER or WHY_NOT), reason=NO_POWER or WHY_NOT or "-")
@pytest.mark.timeout(600)
def test_a_power_cut_loses_nothing():
    told: list[str] = []
    cuts, wrong = power.cut(OPERATIONS["apply"], every=29, tell=told.append)
    assert (cuts > 5, wrong, told) == (True, 0, [])


# --- the runner itself ---


def _write_twice(folder: Path) -> int:
    (folder / "total").write_text("")
    (folder / "total").write_text("10\n")
    return 0


def _write_once(folder: Path) -> int:
    with (folder / "aside").open("w") as file:
        file.write("10\n")
        file.flush()
        os.fsync(file.fileno())
    (folder / "aside").rename(folder / "total")
    return 0


def _whole(folder: Path) -> Iterator[str]:
    if (folder / "total").read_text() not in ("5\n", "10\n"):
        yield "half done"


@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "-")
@pytest.mark.parametrize(("act", "safe"), [(_write_twice, False), (_write_once, True)])
def test_the_runner_sees_what_a_kill_leaves_half_done(tmp_path, monkeypatch, act, safe):
    """A file that is emptied and then filled is half done in between; one that is renamed into place never is."""

    def prepared(folder: Path) -> None:
        folder.mkdir()
        (folder / "total").write_text("5\n")

    planted = Operation("planted", prepared, act, lambda _: 0, _whole)
    monkeypatch.setattr("visiting.OPERATIONS", {"planted": planted})
    monkeypatch.setattr("visiting.problems", lambda operation, folder: list(operation.stands(folder)))
    slot = tmp_path / "slot"
    prepare(planted, slot)
    points = len(count(planted, slot))
    found = [visit(Visit("planted", "kill", point, slot)).problems for point in range(1, points + 1)]
    assert any(found) is not safe
