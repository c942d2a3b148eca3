"""The state machine of a service is total, and the restart policy is a table."""

from __future__ import annotations

import random

import pytest

from ghostd.model.service import Backoff, RestartWhen, ServiceSpec, StartLimit
from ghostd.supervise.rules import (
    DOWN,
    TABLE,
    End,
    GiveUp,
    Happens,
    IllegalMove,
    Past,
    Start,
    State,
    WaitUntil,
    advance,
    decide,
    pause,
)


def spec(**more):
    return ServiceSpec(name="web", command=("web",), **more)


def test_every_cell_of_the_table_is_filled():
    assert set(TABLE) == set(State)
    assert all(set(row) == set(Happens) for row in TABLE.values())


def test_states_bear_the_names_of_supervisor():
    from supervisor.states import ProcessStates

    assert {name for name in vars(ProcessStates) if name.isupper()} == {state.value for state in State}


def test_an_illegal_move_raises_and_names_both():
    with pytest.raises(IllegalMove, match="ready can not happen to a service that is STOPPED"):
        advance(State.STOPPED, Happens.READY)


def test_any_walk_over_the_table_can_come_back_to_running():
    """No state is a trap: from wherever chance leads, a start and a word of readiness lead to RUNNING."""
    dice = random.Random(7)
    for _ in range(300):
        state = State.STOPPED
        for _ in range(dice.randrange(12)):
            state = advance(state, dice.choice([h for h in Happens if TABLE[state][h] is not None]))
        if state is State.STOPPING:
            state = advance(state, Happens.EXIT)
        if state is not State.RUNNING:
            state = advance(advance(state, Happens.START), Happens.READY)
        assert state is State.RUNNING


def test_only_a_start_leads_out_of_what_is_down():
    for state in DOWN:
        others = {TABLE[state][happens] for happens in Happens if happens is not Happens.START}
        assert others <= {None, *DOWN, State.BACKOFF}


@pytest.mark.parametrize(
    ("policy", "code", "failed", "again"),
    [
        (RestartWhen.ALWAYS, 0, False, True),
        (RestartWhen.ALWAYS, 1, False, True),
        (RestartWhen.ON_FAILURE, 0, False, False),
        (RestartWhen.ON_FAILURE, 3, False, False),
        (RestartWhen.ON_FAILURE, 1, False, True),
        (RestartWhen.ON_FAILURE, -9, False, True),
        (RestartWhen.ON_FAILURE, None, False, True),
        (RestartWhen.ON_FAILURE, 0, True, True),
        (RestartWhen.NEVER, 1, False, False),
        (RestartWhen.NEVER, -11, False, False),
    ],
)
def test_who_is_started_again(policy, code, failed, again):
    end = End(code=code, ran=0.5, why="x", failed=failed)
    verdict = decide(spec(restart=policy, exit_codes=(0, 3)), Past(), end, now=10.0, chance=0.5)
    assert isinstance(verdict, WaitUntil) is again
    if not again:
        assert verdict == GiveUp(why="x", final=State.EXITED)


def test_what_never_came_up_and_is_not_tried_again_is_fatal():
    verdict = decide(
        spec(restart=RestartWhen.NEVER), Past(), End(code=None, ran=0, why="x", failed=True), now=0, chance=0
    )
    assert verdict == GiveUp(why="x", final=State.FATAL)


def test_the_first_restart_after_a_long_run_is_immediate_and_forgets_what_was():
    past = Past(starts=(1.0, 2.0, 3.0, 4.0, 5.0), tries=4)
    assert decide(spec(), past, End(code=1, ran=10.1, why="x"), now=16.0, chance=0.9) == Start(past=Past())


def test_pauses_grow_to_their_most_and_jitter_both_ways():
    backoff = Backoff(initial=0.1, factor=2.0, max=30.0, jitter=0.1)
    growing = [pause(spec(backoff=backoff), nth, 0.5) for nth in (1, 2, 3, 9, 10, 10_000)]
    assert growing == pytest.approx([0.1, 0.2, 0.4, 25.6, 30.0, 30.0])
    assert pause(spec(backoff=backoff), 1, 0.0) == pytest.approx(0.09)
    assert pause(spec(backoff=backoff), 1, 0.999999) == pytest.approx(0.11, rel=1e-3)


def test_the_sixth_start_within_ten_seconds_is_not_made():
    past, now, starts = Past(), 0.0, 0
    while True:
        past, starts = past.started(now), starts + 1
        match decide(spec(), past, End(code=1, ran=0.01, why="exit status 1"), now=now + 0.01, chance=0.5):
            case WaitUntil(when=when, past=past):
                now = when
            case GiveUp(why=why, final=final):
                break
    assert starts == 5
    assert final is State.FATAL
    assert why == "exit status 1; gave up after 5 starts within 10 s"


def test_starts_that_are_far_apart_never_end_it():
    past, now = Past(), 0.0
    for _ in range(200):
        verdict = decide(spec(), past.started(now), End(code=1, ran=4.0, why="x"), now=now + 4.0, chance=0.5)
        assert isinstance(verdict, WaitUntil)
        past, now = verdict.past, verdict.when
    assert len(past.starts) <= 100


def test_a_burst_of_one_gives_up_at_the_first_end():
    limited = spec(start_limit=StartLimit(burst=1, interval=60.0))
    assert isinstance(decide(limited, Past().started(0.0), End(code=1, ran=1.0, why="x"), now=1.0, chance=0), GiveUp)
