"""Events are read in order by each reader at its own pace; alerts reach each channel once for each change."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest
from store_kit import CountingBell, StandingClock, types

from ghostd.model.alert import AlertState, Finding, Severity
from ghostd.model.job import Origin
from ghostd.store.db import open_ledger
from ghostd.store.ports import Ledger, Receipt

TARGETS = {"warning": ["log"], "critical": ["log", "pager"]}


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


def finding(component: str = "web", severity: Severity = Severity.WARNING, title: str = "down", **data) -> Finding:
    return Finding(rule="service", component=component, severity=severity, title=title, data=data)


def observe(ledger, *findings, rules=("service",)):
    ledger.observe(findings, targets=TARGETS, rules=rules)


# Events ----------------------------------------------------------------------------------------------------------


def test_events_are_numbered_without_a_gap_and_read_from_anywhere(ledger, clock):
    assert ledger.newest() == 0
    numbers = [ledger.append("ghost.service.state", name, {"n": name}, lane="MAIN") for name in "abcab"]
    assert numbers == [1, 2, 3, 4, 5]
    assert [event.subject for event in ledger.events(2)] == ["c", "a", "b"]
    assert [event.seq for event in ledger.events(0, limit=2)] == [1, 2]
    assert [event.seq for event in ledger.events(1, subject="a")] == [4]
    first = ledger.events()[0]
    assert (first.type, first.data, first.lane, first.time) == ("ghost.service.state", {"n": "a"}, "MAIN", clock.wall())


def test_a_number_that_was_not_committed_is_given_again(ledger):
    ledger.append("ghost.service.state", "a", {})
    with contextlib.suppress(ZeroDivisionError), ledger._file.write():
        ledger._tell("ghost.service.state", "never", {}, lane=None)
        raise ZeroDivisionError
    assert ledger.append("ghost.service.state", "b", {}) == 2
    assert [event.subject for event in ledger.events()] == ["a", "b"]


def test_the_bell_rings_after_the_commit_so_that_who_wakes_finds_the_news(tmp_path, clock):
    class LookingBell:
        seen = 0

        def ring(self):
            self.seen = other.newest()

    bell = LookingBell()
    ledger = open_ledger(tmp_path / "l.db", clock=clock, bell=bell)
    other = open_ledger(tmp_path / "l.db", clock=clock)
    ledger.append("ghost.service.state", "a", {})
    assert bell.seen == 1
    ledger.close()
    other.close()


def test_what_tells_nothing_rings_nothing(ledger, bell):
    ledger.kv_set("a", "b")
    ledger.advance("reader", 3)
    ledger.journal(Origin(door="chat"), b"raw")
    assert bell.rings == 0


def test_each_reader_has_its_own_place_and_never_falls_back(ledger):
    ledger.advance("alerts", 5)
    ledger.advance("alerts", 3)
    ledger.advance("metrics", 1)
    assert [ledger.cursor(reader) for reader in ("alerts", "metrics", "nobody")] == [5, 1, 0]


# Alerts ----------------------------------------------------------------------------------------------------------


def test_a_finding_opens_one_alert_and_one_delivery_for_each_channel(ledger, clock):
    observe(ledger, finding(severity=Severity.CRITICAL, pid=7))
    (alert,) = ledger.alerts(open_only=True)
    assert (alert.fingerprint, alert.state, alert.version, alert.opened_at, alert.data) == (
        "service:web",
        AlertState.OPEN,
        1,
        clock.wall(),
        {"pid": 7},
    )
    deliveries = ledger.due(clock.wall())
    assert [delivery.channel for delivery in deliveries] == ["log", "pager"]
    assert all(delivery.payload["key"] == delivery.key for delivery in deliveries)
    assert deliveries[0].payload["event"] == "ghost.alert.opened"
    assert types(ledger) == ["alert.opened"]


def test_seeing_the_same_again_writes_nothing(ledger, bell, clock, tmp_path):
    observe(ledger, finding(pids=(1, 2)))
    before = (ledger.alerts(), ledger.due(clock.wall()), ledger.newest(), bell.rings)
    with sqlite3.connect(tmp_path / "ghost.db") as other:
        other.execute("CREATE TRIGGER no BEFORE UPDATE ON alerts BEGIN SELECT RAISE(ABORT, 'written'); END")
    other.close()
    for _ in range(3):
        observe(ledger, finding(pids=(1, 2)))
    assert (ledger.alerts(), ledger.due(clock.wall()), ledger.newest(), bell.rings) == before


def test_other_words_are_kept_and_told_to_nobody(ledger, clock):
    observe(ledger, finding(title="down for 1 s"))
    observe(ledger, finding(title="down for 9 s"))
    (alert,) = ledger.alerts()
    assert (alert.title, alert.version) == ("down for 9 s", 1)
    assert len(ledger.due(clock.wall())) == 1


def test_another_severity_is_told_to_the_channels_of_the_new_one(ledger, clock):
    observe(ledger, finding())
    observe(ledger, finding(severity=Severity.CRITICAL))
    assert [(d.channel, d.payload["version"]) for d in ledger.due(clock.wall())] == [
        ("log", 1),
        ("log", 2),
        ("pager", 2),
    ]


def test_what_is_gone_is_resolved_and_a_new_occurrence_is_a_new_alert(ledger, clock):
    observe(ledger, finding())
    clock.passes(60)
    observe(ledger)
    (alert,) = ledger.alerts()
    assert (alert.state, alert.resolved_at, alert.version) == (AlertState.RESOLVED, clock.wall(), 2)
    assert ledger.alerts(open_only=True) == []
    observe(ledger, finding())
    assert [alert.id for alert in ledger.alerts()] == [2, 1]
    assert types(ledger) == ["alert.opened", "alert.resolved", "alert.opened"]
    assert len({delivery.key for delivery in ledger.due(clock.wall())}) == 3


def test_a_rule_that_was_not_examined_resolves_nothing(ledger):
    observe(ledger, finding())
    observe(ledger, rules=("disk", "serv"))
    assert len(ledger.alerts(open_only=True)) == 1


def test_an_alert_and_its_deliveries_stand_or_fall_together(ledger, tmp_path, clock):
    with sqlite3.connect(tmp_path / "ghost.db") as other:
        other.execute("CREATE TRIGGER no BEFORE INSERT ON deliveries BEGIN SELECT RAISE(ABORT, 'no'); END")
    other.close()
    with pytest.raises(sqlite3.IntegrityError):
        observe(ledger, finding())
    assert (ledger.alerts(), ledger.newest(), ledger.due(clock.wall())) == ([], 0, [])


def test_a_delivery_is_tried_put_off_and_in_the_end_delivered_or_given_up(ledger, clock):
    observe(ledger, finding(), finding("db"))
    first, second = ledger.due(clock.wall())
    assert ledger.next_due() == clock.wall()
    ledger.attempt(first)
    ledger.put_off(first, "refused", until=clock.wall() + 30)
    assert ledger.due(clock.wall()) == [second]
    ledger.delivered(second)
    assert ledger.next_due() == clock.wall() + 30
    (again,) = ledger.due(clock.wall() + 30)
    assert (again.key, again.attempts, again.error) == (first.key, 1, "refused")
    ledger.attempt(again)
    ledger.put_off(again, "gone", until=None)
    assert (ledger.due(1e12), ledger.next_due()) == ([], None)
    (dead,) = ledger.dead_letters()
    assert (dead.key, dead.attempts, dead.error) == (first.key, 2, "gone")


# Small things ----------------------------------------------------------------------------------------------------


def test_small_facts_are_kept_and_replaced(ledger):
    assert ledger.kv_get("a") is None
    ledger.kv_set("a", "1")
    ledger.kv_set("a", "2")
    assert ledger.kv_get("a") == "2"


def test_the_first_answer_to_a_delivery_stands(ledger):
    first = Receipt(key="webhook:1", body_digest="d", answer={"id": "p1"})
    ledger.remember(first)
    ledger.remember(Receipt(key="webhook:1", body_digest="other", answer={}))
    assert ledger.receipt("webhook:1") == first
    assert ledger.receipt("webhook:2") is None


def test_raw_bytes_are_kept_until_they_are_settled(ledger, tmp_path, clock):
    origin = Origin(door="chat", source="talk.md")
    rows = [ledger.journal(origin, raw) for raw in (b"\x00\xff", b"two")]
    ledger.settle(rows[0])
    again = open_ledger(tmp_path / "ghost.db", clock=clock)
    assert again.journalled() == [(rows[1], origin, b"two")]
    again.settle(rows[1])
    again.close()
    assert ledger.journal(origin, b"three") == rows[1] + 1, "a number is not given twice"
