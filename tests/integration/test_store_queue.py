"""Jobs come in once, are claimed by one at a time, and end under a fence; every step is told by its events."""

from __future__ import annotations

import sqlite3
from itertools import pairwise

import pytest
from store_kit import BRANCH, REPO, CountingBell, StandingClock, child, claimed, done, new, types

from ghostd.base.errors import Cannot
from ghostd.model.job import Happening, Kind, Landed, Origin, State
from ghostd.store.db import open_ledger
from ghostd.store.ports import Gained, Ledger


@pytest.fixture
def clock():
    return StandingClock()


@pytest.fixture
def bell():
    return CountingBell()


@pytest.fixture
def ledger(tmp_path, clock, bell):
    opened: Ledger = open_ledger(tmp_path / "ghost.db", clock=clock, bell=bell)
    yield opened
    opened.close()


# Arrival ---------------------------------------------------------------------------------------------------------


def test_a_job_comes_back_as_it_was_put(ledger):
    given = new(
        "p1",
        kind=Kind.ROLLBACK,
        source=b"\xff raw",
        origin=Origin(door="chat", source="file.md"),
        priority=3,
        phase="P8",
        session="chat-17",
        title="Ünïcode — title",
        depends_on=("a", "b"),
        options={"no_gates": True},
    )
    ledger.put(given)
    job = ledger.get("p1")
    same = ("id", "kind", "lane", "repo", "branch", "digest", "body", "origin", "priority", "phase", "session", "title")
    assert [getattr(job, name) for name in (*same, "depends_on", "options")] == [
        getattr(given, name) for name in (*same, "depends_on", "options")
    ]
    assert ledger.source("p1") == b"\xff raw"
    assert (job.state, job.attempts, job.fence, job.result, job.statement) == (State.QUEUED, 0, 0, None, b"")


def test_arrival_is_dated_in_whole_seconds(ledger):
    assert ledger.put(new("p1")).job.received_at == 1_753_770_600


def test_the_same_id_again_gives_the_row_that_is_there_and_tells_nothing_new(ledger, bell):
    first = ledger.put(new("p1", digest="one"))
    again = ledger.put(new("p1", digest="two"))
    assert (first.created, again.created, again.job.digest) == (True, False, "one")
    assert types(ledger) == ["patch.received", "patch.queued"]
    assert bell.rings == 1


def test_a_full_lane_refuses_a_new_job_and_still_knows_the_old_ones(ledger):
    ledger.put(new("p1"), max_queue=2)
    ledger.act(ledger.put(new("p2"), max_queue=2).job.id, "hold")
    with pytest.raises(Cannot) as refused:
        ledger.put(new("p3"), max_queue=2)
    assert refused.value.kind == "queue-full"
    assert ledger.get("p3") is None
    assert not ledger.put(new("p1"), max_queue=2).created
    assert ledger.put(new("p4", lane="CYOPS"), max_queue=2).created
    assert [event.seq for event in ledger.events()] == list(range(1, ledger.newest() + 1))


def test_a_lone_surrogate_in_a_strangers_text_does_not_stop_the_queue(ledger):
    ledger.put(new("p1", title="broken \ud800 text", options={"note": "\udcff"}))
    assert ledger.get("p1").title == "broken \\ud800 text"
    assert ledger.get("p1").options == {"note": "\udcff"}


def test_numbers_are_never_given_twice_nor_where_the_id_is_used_already(ledger):
    ledger.put(new("rollback-2"))
    ledger.learn(REPO, "b", [Landed(commit="c", id="rollback-3", digest="", proof="", lane="L", phase=None)], "c")
    assert [ledger.number("rollback") for _ in range(2)] == [1, 4]
    assert ledger.number("restore") == 1


# Claims ----------------------------------------------------------------------------------------------------------


def test_claims_go_by_priority_then_by_arrival(ledger):
    for id, priority in (("a", 1), ("b", 3), ("c", 1), ("d", 3), ("e", 0)):
        ledger.put(new(id, priority=priority))
    order = []
    while (claim := ledger.claim("MAIN", "me", 60.0)) is not None:
        order.append(claim.job.id)
        ledger.finish(claim, done())
    assert order == ["b", "d", "a", "c", "e"]


def test_a_branch_has_one_writer_also_across_lanes(ledger):
    ledger.put(new("a"))
    ledger.put(new("b", lane="CYOPS"))
    ledger.put(new("c", lane="CYOPS", branch="other"))
    first = claimed(ledger)
    assert claimed(ledger, lane="CYOPS").job.id == "c", "another branch is free"
    assert ledger.claim("CYOPS", "me", 60.0) is None
    ledger.finish(first, done())
    assert claimed(ledger, lane="CYOPS").job.id == "b"


def test_the_table_itself_refuses_a_second_writer(ledger, tmp_path):
    for id in "ab":
        ledger.put(new(id))
    claimed(ledger)
    with sqlite3.connect(tmp_path / "ghost.db") as other, pytest.raises(sqlite3.IntegrityError):
        other.execute("UPDATE jobs SET state = 'running'")
    other.close()


def test_each_claim_on_a_branch_has_a_greater_fence(ledger):
    ledger.put(new("a"))
    ledger.put(new("b"))
    ledger.put(new("c", branch="other"))
    fences = []
    for _ in range(3):
        claim = claimed(ledger)
        fences.append((claim.job.id, claim.fence, claim.job.attempts))
        ledger.finish(claim, done(Happening.RETRY) if claim.fence == 1 and claim.job.id == "a" else done())
    assert fences == [("a", 1, 1), ("a", 2, 2), ("b", 3, 1)]
    assert claimed(ledger).fence == 1, "each branch counts for itself"


def test_a_paused_lane_gives_nothing_until_it_is_resumed(ledger, bell):
    ledger.put(new("a"))
    ledger.pause("MAIN", paused=True)
    ledger.pause("MAIN", paused=True)
    assert ledger.paused("MAIN")
    assert ledger.claim("MAIN", "me", 60.0) is None
    rings = bell.rings
    ledger.pause("MAIN", paused=False)
    assert bell.rings == rings + 1, "whoever waits has to look again"
    assert claimed(ledger).job.id == "a"
    assert types(ledger, "MAIN") == ["system.lane", "system.lane"]


def test_a_job_waits_for_its_time_and_the_ledger_tells_when_that_is(ledger, clock):
    ledger.put(new("a"))
    assert ledger.next_due_job("MAIN") is None
    ledger.finish(claimed(ledger), done(Happening.RETRY, retry_at=clock.wall() + 5))
    assert ledger.claim("MAIN", "me", 60.0) is None
    assert ledger.next_due_job("MAIN") == clock.wall() + 5
    clock.passes(5)
    assert ledger.next_due_job("MAIN") is None
    assert claimed(ledger).job.attempts == 2


DEPENDENCIES = [
    (("held",), None),
    (("queued",), None),
    (("running",), None),
    (("applied",), "p"),
    (("rejected",), "p"),
    (("cancelled",), "p"),
    (("unknown",), "p"),
    (("p",), "p"),  # itself: the worker says no, and nobody waits for ever
    (("applied", "held"), None),
]


@pytest.mark.parametrize(("wanted", "expected"), DEPENDENCIES)
def test_a_job_waits_for_dependencies_under_way_and_leaves_the_rest_to_the_worker(ledger, wanted, expected):
    for id in ("applied", "rejected", "running", "held", "cancelled", "queued"):
        ledger.put(new(id, lane="OTHER", branch=id))
    ledger.act("held", "hold")
    ledger.act("cancelled", "cancel")
    while (claim := ledger.claim("OTHER", "me", 60.0)) is not None:
        match claim.job.id:
            case "applied":
                ledger.finish(claim, done())
            case "rejected":
                ledger.finish(claim, done(Happening.REJECT))
            case "queued":
                ledger.finish(claim, done(Happening.RETRY, retry_at=1e12))
    ledger.put(new("p", depends_on=wanted))
    claim = ledger.claim("MAIN", "me", 60.0)
    assert (claim and claim.job.id) == expected


def test_a_waiting_dependency_does_not_keep_others_back(ledger):
    ledger.put(new("first", lane="OTHER"))
    ledger.put(new("a", depends_on=("first",), priority=3))
    ledger.put(new("b"))
    assert claimed(ledger).job.id == "b"


def test_ten_thousand_waiting_jobs_are_not_searched_nor_sorted_for_the_next(tmp_path, clock):
    """The plan, not the time: a walk along the index of waiting jobs in their order."""
    ledger = open_ledger(tmp_path / "plan.db", clock=clock)
    with ledger._file.write():
        for number in range(10_000):
            ledger._take_in(new(f"p{number}"), None)
    plan = _plan(ledger, "next_runnable", lane="MAIN", now=1.0)
    assert plan[0] == "SEARCH j USING INDEX ready (lane=?)"
    assert not [step for step in plan if step.startswith("SCAN j") or "TEMP B-TREE" in step]
    for statement, places in (
        ("abandoned_jobs", {"dead": "[]", "now": 1.0}),
        ("next_due_job", {"lane": "MAIN", "now": 1.0}),
        ("unwritten_summaries", {}),
        ("is_full", {"lane": "MAIN", "most": 5}),
        ("events_of", {"subject": "p1", "since": 0, "limit": 5}),
        ("newest_effect", {"repo": "r", "branch": "b", "id": "i"}),
        ("due_deliveries", {"now": 1.0, "limit": 5}),
    ):
        steps = _plan(ledger, statement, **places)
        searched = ("(subquery", "json_each", "USING")
        assert not [s for s in steps if s.startswith("SCAN") and not any(word in s for word in searched)], statement
    assert claimed(ledger).job.id == "p0"
    ledger.close()


def _plan(ledger, statement: str, **places: object) -> list[str]:
    from ghostd.store.statements import STATEMENTS

    explain = f"EXPLAIN QUERY PLAN {STATEMENTS[statement]}"
    return [row["detail"] for row in ledger._file._run(explain, places)]


# Lease and fence -------------------------------------------------------------------------------------------------


def test_a_zombie_can_neither_renew_nor_seal_nor_finish(ledger, clock):
    ledger.put(new("a"))
    old = claimed(ledger, owner="zombie", lease=10.0)
    clock.passes(11)
    assert [job.id for job in ledger.void({"zombie": True})] == ["a"]
    _is_powerless(ledger, old)
    fresh = claimed(ledger, owner="living")
    _is_powerless(ledger, old)
    assert ledger.finish(fresh, done()).state is State.APPLIED
    _is_powerless(ledger, old)


def _is_powerless(ledger, claim) -> None:
    before = (ledger.get(claim.job.id), ledger.newest())
    assert not ledger.renew(claim, 60.0)
    assert not ledger.seal_all([(claim, b"late")], 60.0)
    assert ledger.finish(claim, done(Happening.REJECT)) is None
    assert (ledger.get(claim.job.id), ledger.newest()) == before


def test_a_claim_of_the_same_owner_from_before_is_a_zombie_too(ledger):
    ledger.put(new("a"))
    old = claimed(ledger)
    ledger.void({"me": False})
    claimed(ledger)
    assert not ledger.renew(old, 60.0)
    assert ledger.finish(old, done()) is None


def test_renewing_keeps_the_lease_and_a_dead_owner_loses_it_at_once(ledger, clock):
    ledger.put(new("a"))
    claim = claimed(ledger, lease=10.0)
    for _ in range(5):
        clock.passes(9)
        assert ledger.renew(claim, 10.0)
        assert ledger.void({"me": True}) == ()
    assert ledger.void({}) == (), "nobody knows of a death"
    assert [job.id for job in ledger.void({"me": False})] == ["a"]
    assert ledger.get("a").state is State.QUEUED
    assert types(ledger, "a")[-2:] == ["patch.claimed", "patch.queued"]


@pytest.mark.parametrize("step", [-86_400, 86_400, 2**31])
def test_a_wall_clock_that_is_set_neither_ends_nor_prolongs_a_lease(ledger, clock, step):
    ledger.put(new("a"))
    claimed(ledger, lease=10.0)
    clock.now += step
    clock.ticks += 9
    assert ledger.void({"me": True}) == ()
    clock.ticks += 2
    assert [job.id for job in ledger.void({"me": True})] == ["a"]


def test_a_lease_from_before_the_machine_started_has_ended(ledger, clock):
    ledger.put(new("a"))
    claimed(ledger)
    clock.ticks = 5.0
    assert [job.id for job in ledger.void({"me": True})] == ["a"]


def test_owners_are_those_who_work(ledger):
    ledger.put(new("a"))
    ledger.put(new("b", branch="other"))
    first = claimed(ledger, owner="x")
    claimed(ledger, owner="y")
    assert ledger.owners() == ["x", "y"]
    ledger.finish(first, done())
    assert ledger.owners() == ["y"]


# The end ---------------------------------------------------------------------------------------------------------


def test_an_end_is_written_whole_with_its_events_in_order(ledger, clock):
    ledger.put(new("a"))
    claim = claimed(ledger)
    assert ledger.seal_all([(claim, b"sealed")], 60.0)
    clock.passes(2)
    told = (("ghost.patch.gate", {"name": "lint"}), ("ghost.patch.reverted", {"id": "older", "by": "a"}))
    after = ledger.finish(claim, done(result={"status": "applied", "duration_ms": 12}, commit="abc", events=told))
    assert after == ledger.get("a")
    assert (after.state, after.statement, after.summary, after.finished_at) == (
        State.APPLIED,
        b"sealed",
        "# told",
        clock.wall(),
    )
    assert types(ledger, "a") == ["patch.received", "patch.queued", "patch.claimed", "patch.gate", "patch.applied"]
    assert types(ledger, "older") == ["patch.reverted"]
    last = ledger.events(subject="a")[-1]
    assert (last.seq, last.lane, last.data["commit"], last.data["duration_ms"]) == (ledger.newest(), "MAIN", "abc", 12)


@pytest.mark.parametrize(
    ("outcome", "unwritten"),
    [
        (done(), ["a"]),
        (done(summary_written=True), []),
        (done(summary=""), []),
        (done(Happening.RETRY), []),
    ],
)
def test_summaries_that_nobody_saw_on_disk_are_remembered(ledger, outcome, unwritten):
    ledger.put(new("a"))
    ledger.finish(claimed(ledger), outcome)
    assert [job.id for job in ledger.unwritten_summaries()] == unwritten
    ledger.summary_written("a")
    assert ledger.unwritten_summaries() == []


BY_HAND = [
    ((), "hold", State.HELD, "patch.held"),
    (("hold",), "release", State.QUEUED, "patch.queued"),
    (("hold",), "cancel", State.CANCELLED, "patch.cancelled"),
    ((), "cancel", State.CANCELLED, "patch.cancelled"),
    (("cancel",), "requeue", State.QUEUED, "patch.queued"),
]


@pytest.mark.parametrize(("before", "happening", "state", "event"), BY_HAND)
def test_people_hold_release_cancel_and_requeue(ledger, before, happening, state, event):
    ledger.put(new("a"))
    for earlier in before:
        ledger.act("a", earlier)
    assert ledger.act("a", happening).state is state
    assert ledger.get("a").state is state
    assert types(ledger)[-1] == event


def test_a_held_job_is_not_claimed(ledger):
    ledger.put(new("a"))
    ledger.act("a", "hold")
    assert ledger.claim("MAIN", "me", 60.0) is None


@pytest.mark.parametrize("happening", ["hold", "release", "cancel", "requeue"])
def test_nobody_can_pull_a_running_job_away_by_hand(ledger, happening):
    ledger.put(new("a"))
    claimed(ledger)
    newest = ledger.newest()
    with pytest.raises(Cannot) as refused:
        ledger.act("a", happening)
    assert refused.value.kind == "illegal-state"
    assert refused.value.hint
    assert (ledger.get("a").state, ledger.newest()) == (State.RUNNING, newest)


def test_an_unknown_id_is_told(ledger):
    with pytest.raises(Cannot) as refused:
        ledger.act("nobody", "hold")
    assert refused.value.kind == "unknown-id"


def test_requeue_begins_anew_and_keeps_its_place_and_date(ledger, clock):
    before = ledger.put(new("a")).job
    ledger.put(new("b"))
    ledger.finish(claimed(ledger), done(Happening.FAIL))
    clock.passes(100)
    ledger.act("a", "requeue")
    after = ledger.get("a")
    assert (after.attempts, after.result, after.statement, after.summary) == (0, None, b"", "")
    assert (after.seq, after.received_at) == (before.seq, before.received_at)
    assert ledger.unwritten_summaries() == []
    assert claimed(ledger).job.id == "a"


# An event stands or falls with what it tells --------------------------------------------------------------------


@pytest.mark.parametrize("step", ["put", "claim", "finish", "act", "pause"])
def test_where_the_event_can_not_be_written_nothing_has_happened(ledger, tmp_path, bell, step):
    ledger.put(new("a"))
    ledger.put(new("running", lane="R", branch="r"))
    claim = claimed(ledger, lane="R")
    before, rings = (ledger.jobs(), ledger.events()), bell.rings
    with sqlite3.connect(tmp_path / "ghost.db") as other:
        other.execute("CREATE TRIGGER no BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'no'); END")
    other.close()
    steps = {
        "put": lambda: ledger.put(new("b")),
        "claim": lambda: ledger.claim("MAIN", "me", 60.0),
        "finish": lambda: ledger.finish(claim, done()),
        "act": lambda: ledger.act("a", "cancel"),
        "pause": lambda: ledger.pause("MAIN", paused=True),
    }
    with pytest.raises(sqlite3.IntegrityError):
        steps[step]()
    assert (ledger.jobs(), ledger.events()) == before
    assert not ledger.paused("MAIN")
    assert bell.rings == rings
    assert ledger.renew(claim, 60.0), "the claim is still held"


# Looking ---------------------------------------------------------------------------------------------------------


def test_jobs_are_listed_by_lane_state_session_and_order(ledger):
    for id, lane, session in (("a", "MAIN", "s"), ("b", "CYOPS", "s"), ("c", "MAIN", None), ("d", "MAIN", "s")):
        ledger.put(new(id, lane=lane, session=session))
    ledger.act("d", "hold")

    def listed(**wanted: object) -> str:
        return "".join(job.id for job in ledger.jobs(**wanted))

    assert listed() == "dcba"
    assert listed(newest_first=False, limit=2) == "ab"
    assert listed(lane="MAIN", session="s") == "da"
    assert listed(states=[State.QUEUED]) == "cba"
    assert listed(states=[State.QUEUED, State.HELD], newest_first=False, limit=3) == "abc"
    assert listed(states=[State.QUEUED], lane="CYOPS") == "b"
    assert listed(states=[State.APPLIED]) == ""
    assert ledger.counts() == {("MAIN", State.QUEUED): 2, ("CYOPS", State.QUEUED): 1, ("MAIN", State.HELD): 1}


# Several processes -----------------------------------------------------------------------------------------------


def _started(*children):
    """Let them begin at the same moment."""
    for one in children:
        assert one.stdout.readline() == "ready\n"
    for one in children:
        one.stdin.write("go\n")
        one.stdin.flush()
    return [one.communicate(timeout=60)[0].splitlines() for one in children]


def test_two_processes_that_put_the_same_ids_create_each_once(ledger, tmp_path):
    lines = _started(child("putter", tmp_path, "x", 80), child("putter", tmp_path, "y", 80))
    told = [line.split() for each in lines for line in each]
    assert sorted(id for id, created, _ in told if created == "True") == sorted(f"p{n}" for n in range(80))
    assert all(ledger.get(id).digest == digest for id, _, digest in told)
    assert ledger.newest() == 2 * 80


@pytest.mark.parametrize("lanes", [("MAIN", "MAIN"), ("MAIN", "CYOPS")], ids=["one lane", "two lanes, one branch"])
def test_two_processes_never_hold_the_same_branch(ledger, tmp_path, lanes):
    for number in range(60):
        ledger.put(new(f"p{number}", lane=lanes[number % 2]))
    workers = [child("work", tmp_path, lane, name, 60) for lane, name in zip(lanes, "xy", strict=True)]
    told = [line.split() for each in _started(*workers) for line in each]
    held = sorted((float(begun), float(ended), int(fence)) for _, fence, begun, ended in told)
    assert sorted(id for id, *_ in told) == sorted(f"p{number}" for number in range(60))
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(held))
    assert [fence for _, _, fence in held] == list(range(1, 61))


# Several in one hand ---------------------------------------------------------------------------------------------


def _running(ledger, owner: str, *ids: str) -> None:
    """Jobs in a worker's hands, by force: what the ledger itself allows, whatever a program believes."""
    with ledger._db.write():
        for id in ids:
            ledger._file._run("UPDATE jobs SET state = 'running', owner = ? WHERE id = ?", (owner, id))


def test_a_branch_belongs_to_one_owner_whatever_a_program_believes(ledger):
    for id in ("a", "b", "c"):
        ledger.put(new(id))
    _running(ledger, "me", "a", "b")
    with pytest.raises(sqlite3.IntegrityError, match="another owner"):
        _running(ledger, "you", "c")
    assert ledger.get("c").state is State.QUEUED
    with pytest.raises(sqlite3.IntegrityError, match="another owner"):
        _running(ledger, "you", "b")
    ledger.put(new("elsewhere", branch="other"))
    _running(ledger, "you", "elsewhere")


def more(ledger, first, most: int = 1, fits=lambda _job: True):
    return ledger.claim_more(first, 60.0, most=most, fits=fits)


def test_more_jobs_come_in_their_order_and_under_fences_of_their_own(ledger, bell):
    for n, priority in enumerate((1, 3, 1, 2)):
        ledger.put(new(f"p{n}", priority=priority))
    first = claimed(ledger)
    rings = bell.rings
    all_of_them = [first, *more(ledger, first), *more(ledger, first, 5), *more(ledger, first)]
    assert [claim.job.id for claim in all_of_them] == ["p1", "p3", "p0", "p2"]
    assert [claim.fence for claim in all_of_them] == [1, 2, 3, 4]
    assert bell.rings == rings, "nobody is woken in the middle of a group"
    assert ledger.claim("MAIN", "you", 60.0) is None
    assert [row.id for row in ledger.void({"me": False})] == ["p0", "p1", "p2", "p3"]


@pytest.mark.parametrize(
    "next_one",
    [
        {"kind": Kind.ROLLBACK},
        {"branch": "other"},
        {"repo": "/srv/other/.git"},
        {"depends_on": ("a",)},
        {"depends_on": ("unknown",)},
    ],
    ids=str,
)
def test_what_can_not_join_is_not_passed_by(ledger, next_one):
    ledger.put(new("a"))
    ledger.put(new("odd", **next_one))
    ledger.put(new("z"))
    assert more(ledger, claimed(ledger), 3) == []
    assert ledger.get("odd").state is State.QUEUED
    assert ledger.get("z").state is State.QUEUED


def test_what_does_not_fit_is_not_passed_by_either(ledger):
    for id in ("a", "b", "odd", "c"):
        ledger.put(new(id))
    found = more(ledger, claimed(ledger), 5, fits=lambda job: job.id != "odd")
    assert [claim.job.id for claim in found] == ["b"]
    assert ledger.claim("MAIN", "me", 60.0) is None
    ledger.finish(found[0], done())
    assert ledger.get("c").state is State.QUEUED


def test_more_is_not_claimed_in_a_paused_lane_nor_before_its_time(ledger, clock):
    for id in ("a", "b"):
        ledger.put(new(id))
    first = claimed(ledger)
    ledger.pause("MAIN", paused=True)
    assert more(ledger, first) == []
    ledger.pause("MAIN", paused=False)
    (later,) = more(ledger, first)
    ledger.finish(later, done(Happening.RETRY, retry_at=clock.wall() + 5))
    assert more(ledger, first) == []
    clock.passes(6)
    assert more(ledger, first)[0].job.id == "b"


def test_statements_are_sealed_all_or_none(ledger, clock):
    for id in ("a", "b"):
        ledger.put(new(id))
    first = claimed(ledger, lease=10.0)
    (second,) = more(ledger, first)
    clock.passes(11)
    ledger.void({})
    assert not ledger.seal_all([(second, b"two"), (first, b"one")], 60.0)
    assert (ledger.get("a").statement, ledger.get("b").statement) == (b"", b"")
    assert ledger.seal_all([(second, b"two")], 60.0)
    assert ledger.get("b").statement == b"two"


def test_the_ends_of_a_group_and_what_the_branch_has_gained_are_one_transaction(ledger, monkeypatch):
    for id in ("a", "b"):
        ledger.put(new(id))
    first = claimed(ledger)
    (second,) = more(ledger, first)
    ledger.learn(REPO, BRANCH, [], "tip0")
    landed = tuple(Landed(commit=f"c{id}", id=id, digest="d", proof="e", lane="MAIN", phase=None) for id in ("a", "b"))
    gained = Gained(repo=REPO, branch=BRANCH, before="tip0", tip="cb", landed=landed)
    ends = [(first, done()), (second, done(Happening.REJECT))]
    with monkeypatch.context() as patched:
        patched.setattr(ledger, "_finished", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            ledger.finish_all(ends, gained)
    assert (ledger.known(REPO, BRANCH), ledger.branch_commits(REPO, BRANCH)) == ("tip0", [])
    assert [job.state for job in ledger.finish_all(ends, gained)] == [State.APPLIED, State.REJECTED]
    assert ledger.known(REPO, BRANCH) == "cb"
    assert [each.id for each in ledger.branch_commits(REPO, BRANCH)] == ["a", "b"]


def test_a_gain_from_somewhere_else_is_left_to_the_next_look_at_the_branch(ledger):
    """Somebody has learned the branch in between, or it was never read: a gap in the index would hide a commit."""
    ledger.put(new("a"))
    landed = (Landed(commit="ca", id="a", digest="d", proof="e", lane="MAIN", phase=None),)
    gained = Gained(repo=REPO, branch=BRANCH, before="tip0", tip="ca", landed=landed)
    ledger.finish_all([(claimed(ledger), done())], gained)
    assert (ledger.known(REPO, BRANCH), ledger.branch_commits(REPO, BRANCH)) == (None, [])


def test_a_restore_is_known_as_one(ledger):
    landed = Landed(commit="c", id="restore-1", digest="d", proof="e", lane="MAIN", phase=None, restores="phase/P1")
    ledger.learn(REPO, BRANCH, [landed], "c")
    assert ledger.landed(REPO, BRANCH, "restore-1") == landed


def test_only_what_a_redo_makes_good_is_not_synced(ledger):
    """Asked of SQLite itself, in the middle of each movement."""
    levels: dict[str, int] = {}
    real = ledger._file._run

    def run(sql, places=None):
        if sql == "COMMIT":
            levels[now] = real("PRAGMA synchronous")[0][0]
        return real(sql, places)

    ledger._file._run = run
    now = "put"
    ledger.put(new("a"))
    ledger.put(new("b"))
    now = "claim"
    first = claimed(ledger)
    now = "claim_more"
    (second,) = more(ledger, first)
    now = "renew"
    ledger.renew(first, 60.0)
    now = "seal"
    ledger.seal_all([(first, b"s")], 60.0)
    now = "learn"
    ledger.learn(REPO, BRANCH, [], "tip")
    now = "finish"
    ledger.finish_all([(first, done()), (second, done())])
    full, normal = 2, 1
    assert levels == {
        "put": full,
        "claim": normal,
        "claim_more": normal,
        "renew": normal,
        "seal": full,
        "learn": normal,
        "finish": full,
    }


def test_the_jobs_of_the_last_minutes_are_told_by_the_newest_end(ledger, clock):
    assert ledger.ended_lately(60.0) == ()
    for id in ("old", "new", "silent"):
        ledger.put(new(id))
        ledger.finish(claimed(ledger), done(summary="" if id == "silent" else "# told"))
        clock.passes(100)
    clock.passes(10_000)
    assert [job.id for job in ledger.ended_lately(150.0)] == ["new"]
