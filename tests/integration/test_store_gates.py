"""The ledger's part for gates: what they printed, and the passes that stand for runs."""

from __future__ import annotations

import pytest
from store_kit import StandingClock

from ghostd.store import gates
from ghostd.store.db import open_ledger
from ghostd.store.ports import GateRun

DAY = 24 * 3600.0


@pytest.fixture
def clock():
    return StandingClock()


@pytest.fixture
def ledger(tmp_path, clock):
    found = open_ledger(tmp_path / "ghost.db", clock=clock)
    yield found
    found.close()


def run(id: str = "p", number: int = 1, **more) -> GateRun:
    usual = {"attempt": 1, "gate": "g", "verdict": "failed", "status": 1, "duration_ms": 5, "output": b"out\0\xff"}
    return GateRun(id=id, run=number, **{**usual, **more})


def test_a_run_comes_back_as_it_was_written_down(ledger, clock):
    first = run(audit={"tree": "x", "n": 1.5}, cut=7, flake=True, kept=True, status=None)
    second = run(number=2, gate="other", output=b"x" * 100_000)
    ledger.ran([first, second])
    (one, two) = ledger.gate_runs("p")
    assert one == GateRun(**{**{f: getattr(first, f) for f in first.__dataclass_fields__}, "time": clock.now})
    assert two.output == second.output
    assert ledger.gate_runs("p", "other") == [two]
    assert list(ledger.gate_runs("q")) == []


def test_the_event_comes_with_the_runs_or_not_at_all(ledger):
    ledger.ran([run()], told={"name": "g"}, lane="MAIN")
    ledger.ran([run(number=2)])
    (event,) = ledger.events()
    assert (event.type, event.subject, event.lane, event.data) == ("ghost.patch.gate", "p", "MAIN", {"name": "g"})


def test_the_oldest_runs_go_but_for_those_to_be_kept(ledger, monkeypatch):
    monkeypatch.setattr(gates, "MOST_RUNS", 3)
    for number in range(6):
        ledger.ran([run(f"p{number}", kept=number == 1)])
    left = [id for id in (f"p{number}" for number in range(6)) if ledger.gate_runs(id)]
    assert left == ["p1", "p3", "p4", "p5"]


def test_a_pass_is_found_under_its_key_and_counted(ledger, clock):
    assert ledger.cached_pass("k") is None
    ledger.add_pass("k", "g", "p", "tool 1", "tree:x", 1200)
    clock.passes(60)
    ledger.use_pass("k")
    found = ledger.cached_pass("k")
    assert (found.gate, found.id, found.tool, found.files, found.duration_ms) == ("g", "p", "tool 1", "tree:x", 1200)
    assert (found.uses, found.used_at - found.made_at) == (1, 60)


def test_a_pass_that_nobody_used_for_a_month_stands_for_nothing_and_goes(ledger, clock):
    ledger.add_pass("old", "g", "p", "t", "f", 1)
    ledger.add_pass("used", "g", "p", "t", "f", 1)
    clock.passes(20 * DAY)
    ledger.use_pass("used")
    clock.passes(11 * DAY)
    assert ledger.cached_pass("old") is None
    assert ledger.cached_pass("used") is not None
    ledger.add_pass("new", "g", "p", "t", "f", 1)
    assert {one.key for one in ledger.passes()} == {"used", "new"}


def test_the_cache_has_a_bound(ledger, clock, monkeypatch):
    monkeypatch.setattr(gates, "MOST_PASSES", 3)
    for number in range(5):
        ledger.add_pass(f"k{number}", "g", "p", "t", "f", 1)
        clock.passes(1)
        ledger.use_pass("k0") if number < 4 else None
        clock.passes(1)
    assert [one.key for one in ledger.passes()] == ["k4", "k0", "k3"]


def test_a_gate_s_passes_are_cleared_and_no_other_s(ledger):
    for key, gate in (("a", "g"), ("b", "g"), ("c", "h")):
        ledger.add_pass(key, gate, "p", "t", "f", 1)
    assert ledger.clear_passes("g") == 2
    assert [one.key for one in ledger.passes()] == ["c"]
    assert ledger.clear_passes() == 1
    assert list(ledger.passes()) == []
