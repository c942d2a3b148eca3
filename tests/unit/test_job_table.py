"""The table of a job's states has no hole, and what the ledger makes of it says the same."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from ghostd.model.event import TYPES
from ghostd.model.job import (
    TERMINAL,
    TRANSITIONS,
    Happening,
    IllegalTransition,
    Job,
    Kind,
    Origin,
    Outcome,
    State,
    advance,
)
from ghostd.store import rules

EVERY = list(product(State, Happening))
JOB = Job(
    seq=1,
    id="p1",
    kind=Kind.PATCH,
    state=State.QUEUED,
    lane="MAIN",
    repo="/r/.git",
    branch="ghost/work",
    digest="d",
    body=b"{}",
    origin=Origin(door="command"),
    priority=1,
    phase=None,
    session=None,
    title="t",
    depends_on=(),
    options={},
    received_at=1,
    attempts=2,
    not_before=5.0,
    fence=3,
    started_at=2.0,
    finished_at=None,
    statement=b"sealed",
    result=None,
    summary="",
)
RUNNING = replace(JOB, state=State.RUNNING)


def test_every_state_has_an_answer_to_everything_that_can_happen():
    assert set(TRANSITIONS) == set(EVERY)


@pytest.mark.parametrize(("state", "happening"), EVERY)
def test_advance_gives_what_the_table_says_or_refuses(state, happening):
    after = TRANSITIONS[state, happening]
    if after is None:
        with pytest.raises(IllegalTransition, match=f"{happening} a job that is {state}"):
            advance(state, happening)
    else:
        assert advance(state, happening) is after


def test_only_a_requeue_leads_out_of_a_terminal_state_and_never_out_of_applied():
    out = {(s, h): after for (s, h), after in TRANSITIONS.items() if s in TERMINAL and after is not None}
    assert out == {(s, Happening.REQUEUE): State.QUEUED for s in TERMINAL - {State.APPLIED}}


def test_only_a_claim_leads_to_running():
    assert {h for (_, h), after in TRANSITIONS.items() if after is State.RUNNING} == {Happening.CLAIM}


def test_every_state_can_be_reached_and_every_job_can_end():
    reached, seen = {State.QUEUED}, set()
    while reached - seen:
        state = (reached - seen).pop()
        seen.add(state)
        reached |= {after for (s, _), after in TRANSITIONS.items() if s is state and after is not None}
    assert reached == set(State)


@pytest.mark.parametrize(("kind", "happening"), list(product(Kind, Happening)))
def test_every_happening_is_told_by_an_event_that_is_documented(kind, happening):
    assert rules.told_by(kind, happening) in TYPES


def test_no_event_but_a_phase_event_tells_that_a_freeze_or_thaw_is_done():
    assert rules.told_by(Kind.FREEZE, Happening.APPLY) == "ghost.phase.frozen"
    assert rules.told_by(Kind.THAW, Happening.APPLY) == "ghost.phase.thawed"
    assert rules.told_by(Kind.THAW, Happening.REJECT) == "ghost.patch.rejected"


def test_a_claim_counts_an_attempt():
    after = rules.claimed(JOB, 4, 9.0)
    assert (after.state, after.attempts, after.fence, after.started_at) == (State.RUNNING, 3, 4, 9.0)


def test_a_retry_waits_and_has_no_result_yet():
    after = rules.ended(RUNNING, Outcome(happening=Happening.RETRY, result={"error": {}}, retry_at=77.0), 9.0)
    assert (after.state, after.not_before, after.result, after.finished_at) == (State.QUEUED, 77.0, None, None)


def test_an_end_keeps_the_sealed_statement():
    after = rules.ended(RUNNING, Outcome(happening=Happening.APPLY, result={"id": "p1"}, summary="s"), 9.0)
    assert (after.statement, after.result, after.summary, after.finished_at) == (b"sealed", {"id": "p1"}, "s", 9.0)


def test_a_lost_lease_keeps_the_statement_since_a_commit_may_have_been_made_from_it():
    after = rules.lost(RUNNING)
    assert (after.state, after.statement, after.attempts, after.not_before) == (State.QUEUED, b"sealed", 2, 0.0)


def test_a_requeue_begins_anew():
    failed = replace(JOB, state=State.FAILED, result={"x": 1}, summary="s", finished_at=8.0)
    after = rules.by_hand(failed, Happening.REQUEUE, 9.0)
    assert after == replace(
        failed,
        state=State.QUEUED,
        attempts=0,
        not_before=0.0,
        started_at=None,
        finished_at=None,
        statement=b"",
        result=None,
        summary="",
    )


def test_the_jobs_own_event_comes_last_and_takes_in_the_workers_fuller_word():
    outcome = Outcome(
        happening=Happening.APPLY,
        result={},
        events=(("ghost.phase.frozen", {"tag": "phase/P1"}), ("ghost.patch.reverted", {"id": "other"})),
    )
    frozen = replace(JOB, kind=Kind.FREEZE, state=State.APPLIED)
    told = rules.ending(frozen, outcome)
    assert [(type, subject) for type, subject, _ in told] == [
        ("ghost.patch.reverted", "other"),
        ("ghost.phase.frozen", "p1"),
    ]
    assert told[-1][2]["tag"] == "phase/P1"
