"""The decisions on a change's way, as tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ghostd.base.errors import Cannot
from ghostd.model.job import Happening, Job, Kind, Landed, Origin, State
from ghostd.model.patch import Validation
from ghostd.model.settings import GateSettings, LaneSettings, Settings
from ghostd.pipeline import rules
from ghostd.pipeline.rules import Before, Commit, NoVerdict, Reject, Repeat, Said, Traces, Verdict

REPO = Path("/r")
MAIN = LaneSettings(name="MAIN", repo=REPO, aliases=("BRAUN",), default=True)
CYOPS = LaneSettings(name="CYOPS", repo=REPO, aliases=("DEV",))
SETTINGS = Settings(workspace=REPO, lanes={"CYOPS": CYOPS, "MAIN": MAIN})

JOB = Job(
    seq=1, id="a", kind=Kind.PATCH, state=State.APPLIED, lane="MAIN", repo="/r", branch="ghost/work", digest="d1",
    body=b"{}", origin=Origin(door="command"), priority=1, phase=None, session=None, title="", depends_on=(),
    options={},
    received_at=1, attempts=1, not_before=0.0, fence=1, started_at=None, finished_at=None, statement=b"", result=None,
    summary="",
)  # fmt: skip
LANDED = Landed(commit="c1", id="a", digest="d1", proof="p1", lane="MAIN", phase=None)


@pytest.mark.parametrize(
    ("wanted", "lane", "warned"),
    [
        (None, "MAIN", False),
        ("MAIN", "MAIN", False),
        ("BRAUN", "MAIN", False),
        ("DEV", "CYOPS", False),
        ("X", "MAIN", True),
    ],
)
def test_a_lane_is_found_by_name_or_alias_and_an_unknown_one_is_the_default_with_a_warning(
    wanted: str | None, lane: str, *, warned: bool
) -> None:
    found, warning = rules.lane_for(SETTINGS, wanted)
    assert (found.name, bool(warning)) == (lane, warned)


@pytest.mark.parametrize(
    ("state", "digest", "stands", "taken_back", "means"),
    [
        (State.APPLIED, "d2", True, None, Repeat.REUSED),
        (State.QUEUED, "d2", False, None, Repeat.REUSED),
        (State.QUEUED, "d1", False, None, Repeat.WAIT),
        (State.HELD, "d1", False, None, Repeat.WAIT),
        (State.RUNNING, "d1", False, None, Repeat.WAIT),
        (State.REJECTED, "d1", False, None, Repeat.EARLIER),
        (State.FAILED, "d1", False, None, Repeat.EARLIER),
        (State.CANCELLED, "d1", False, None, Repeat.EARLIER),
        (State.APPLIED, "d1", True, None, Repeat.ALREADY),
        (State.APPLIED, "d1", True, "rollback-1", Repeat.REVERTED),
        (State.APPLIED, "d1", False, None, Repeat.REWOUND),
    ],
)
def test_what_the_same_id_means_again(
    state: State, digest: str, *, stands: bool, taken_back: str | None, means: Repeat
) -> None:
    assert rules.repeat(replace(JOB, state=state), digest, stands=stands, taken_back=taken_back) is means


@pytest.mark.parametrize(
    ("landed", "taken_back", "proof", "step"),
    [
        (None, None, "", Before.WORK),
        (None, None, "p1", Before.WORK),  # sealed, and killed before the commit point
        (LANDED, None, "p1", Before.RECORD),  # killed after it
        (LANDED, "rollback-1", "p1", Before.RECORD),  # killed after it, and taken back since by another worker
        (LANDED, None, "", Before.ALREADY),  # the ledger was lost, Git knows it
        (LANDED, None, "p2", Before.ALREADY),
        (LANDED, "rollback-1", "", Before.REVERTED),
        (replace(LANDED, digest="d2"), None, "", Before.REUSED),
    ],
)
def test_git_decides_what_a_claimed_job_still_needs(
    landed: Landed | None, taken_back: str | None, proof: str, step: Before
) -> None:
    assert rules.before_work(JOB, Traces(landed=landed, taken_back=taken_back), proof) is step


def gate(name: str, *, required: bool = True, paths: tuple[str, ...] = ()) -> GateSettings:
    return GateSettings(name=name, run=("true",), required=required, paths=paths)


GATES = {g.name: g for g in (gate("lint", required=False), gate("tests"), gate("py", paths=("**/*.py", "conf/*")))}


@pytest.mark.parametrize(
    ("lane_gates", "asked", "paths", "no_gates", "run", "left_out"),
    [
        ((), (), ["a.py"], False, (), ()),
        (("tests",), (), ["a.py"], False, ("tests",), ()),
        (("tests",), ("lint", "tests"), ["a.py"], False, ("tests", "lint"), ()),
        (("tests", "lint"), (), ["a.py"], True, ("tests",), ("lint",)),
        (("py",), (), ["a.py"], False, ("py",), ()),
        (("py",), (), ["deep/er/a.py"], False, ("py",), ()),
        (("py",), (), ["conf/x"], False, ("py",), ()),
        (("py",), (), ["a.txt"], False, (), ()),
    ],
)
def test_which_gates_run(
    lane_gates: tuple[str, ...],
    asked: tuple[str, ...],
    paths: list[str],
    *,
    no_gates: bool,
    run: tuple[str, ...],
    left_out: tuple[str, ...],
) -> None:
    lane = replace(MAIN, gates=lane_gates)
    chosen = rules.select_gates(GATES, lane, asked, [path.encode() for path in paths], no_gates=no_gates)
    assert (tuple(g.name for g in chosen.run), chosen.left_out) == (run, left_out)


def test_a_gate_that_nobody_knows_is_a_verdict_and_names_the_known_ones() -> None:
    with pytest.raises(Cannot) as caught:
        rules.select_gates(GATES, MAIN, ("test",), [])
    assert caught.value.kind == "unknown-gate"
    assert "lint, py, tests" in caught.value.hint


def said(what: Said, *, required: bool) -> Verdict:
    return Verdict(name="g", said=what, required=required, duration_ms=1)


LAX = Validation(enforce_validation_gate=False, block_commit_on_error=False)


@pytest.mark.parametrize(
    ("what", "required", "validation", "decision"),
    [
        (Said.PASSED, True, Validation(), Commit),
        (Said.FAILED, True, Validation(), Reject),
        (Said.FAILED, True, LAX, Reject),  # a patch can not loosen what its lane requires
        (Said.FAILED, False, Validation(), Reject),
        (Said.FAILED, False, LAX, Commit),
        (Said.ERROR, True, LAX, NoVerdict),
        (Said.TIMEOUT, True, LAX, NoVerdict),
        (Said.ERROR, False, Validation(), NoVerdict),
        (Said.TIMEOUT, False, LAX, Commit),
    ],
)
def test_what_a_gate_means_for_the_commit(
    what: Said, *, required: bool, validation: Validation, decision: type
) -> None:
    assert isinstance(rules.decide([said(what, required=required)], validation), decision)


def test_a_strict_lane_sets_all_seven_flags_whatever_the_patch_says() -> None:
    flags = rules.effective(LAX, replace(MAIN, strict=True))
    assert all(getattr(flags, name) for name in flags.__slots__ if isinstance(getattr(Validation(), name), bool))


@pytest.mark.parametrize(
    ("kind", "attempts", "after"),
    [
        ("no-match", 1, Happening.REJECT),
        ("gate-failed", 1, Happening.REJECT),
        ("git-locked", 1, Happening.FAIL),
        ("git-failed", 1, Happening.FAIL),
        ("repo-missing", 1, Happening.FAIL),
        ("bug", 1, Happening.FAIL),
        ("disk-full", 1, 100.2),
        ("disk-full", 2, 101.0),
        ("disk-full", 3, 105.0),
        ("disk-full", 4, Happening.FAIL),
        ("gate-timeout", 4, Happening.FAIL),
    ],
)
def test_what_follows_a_failure(kind: str, attempts: int, after: float | Happening) -> None:
    assert rules.after_failure(kind, attempts, max_retries=3, now=100.0) == after


@pytest.mark.parametrize(
    ("state", "stands", "word"),
    [
        (None, False, "unknown"),
        (State.REJECTED, False, "rejected"),
        (State.APPLIED, False, "taken back"),
        (State.APPLIED, True, ""),
    ],
)
def test_a_patch_runs_only_on_dependencies_that_stand(state: State | None, *, stands: bool, word: str) -> None:
    why = rules.dependencies({"b": state}, {"b": stands})
    assert word in why
    assert bool(why) == bool(word)
