"""What the monitor finds worth an alert, from snapshots."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ghostd.model.alert import Severity
from ghostd.model.job import Job, Kind, Origin, State
from ghostd.model.settings import MonitorSettings
from ghostd.monitor.rules import RULES, Copied, Gateway, Lasting, Service, Snapshot, examine, health, lasting, to_copy

NOW = 1_000_000.0
SETTINGS = MonitorSettings(stale_after=900.0, disk_free=1000)
WELL = Service(name="executor-MAIN", state="RUNNING", ready=True)
FINE = Snapshot(wall=NOW, services=(WELL,), waiting={"MAIN": 0}, disk_free=5000)
JOB = Job(
    seq=1,
    id="p",
    kind=Kind.PATCH,
    state=State.QUEUED,
    lane="MAIN",
    repo="/r",
    branch="b",
    digest="d",
    body=b"",
    origin=Origin(door="drop"),
    priority=1,
    phase=None,
    session=None,
    title="",
    depends_on=(),
    options={},
    received_at=int(NOW) - 901,
    attempts=0,
    not_before=0.0,
    fence=0,
    started_at=None,
    finished_at=None,
    statement=b"",
    result=None,
    summary="",
)


def found(snapshot, *, after=0.0):
    """The fingerprints after the snapshot has been seen twice, `after` seconds apart."""
    first = lasting(Lasting(), snapshot, 50.0)
    verdict = examine(snapshot, SETTINGS, lasting(first, snapshot, 50.0 + after))
    return [finding.fingerprint for finding in verdict.findings]


def with_service(**changes):
    return replace(FINE, services=(WELL, Service(**{"name": "web", "state": "RUNNING", "ready": True, **changes})))


def test_nothing_amiss_gives_nothing():
    assert found(FINE, after=1000.0) == []


SERVICES = [
    ({"state": "FATAL"}, 0.0, True),
    ({"state": "EXITED", "exit": 1}, 0.0, True),
    ({"state": "EXITED", "exit": 0}, 1000.0, False),
    ({"state": "EXITED", "exit": 0, "name": "gateway"}, 0.0, True),
    ({"state": "STOPPED", "ready": False}, 1000.0, False),
    ({"state": "BACKOFF", "ready": False}, 4.0, False),
    ({"state": "BACKOFF", "ready": False}, 6.0, True),
    ({"state": "STARTING", "ready": False}, 29.0, False),
    ({"state": "STARTING", "ready": False}, 31.0, True),
    ({"state": "STOPPING", "ready": False}, 31.0, True),
    ({"state": "RUNNING", "ready": False}, 29.0, False),
    ({"state": "RUNNING", "ready": False}, 31.0, True),
    ({"healthy": False}, 31.0, True),
    ({"healthy": True}, 1000.0, False),
]


@pytest.mark.parametrize(("changes", "after", "expected"), SERVICES)
def test_a_service_that_does_not_come_back_is_found(changes, after, expected):
    name = changes.get("name", "web")
    assert found(with_service(**changes), after=after) == ([f"service:{name}"] if expected else [])


def test_a_service_that_was_well_in_between_begins_anew():
    bad = with_service(state="BACKOFF", ready=False)
    history = lasting(lasting(lasting(Lasting(), bad, 0.0), FINE, 4.0), bad, 8.0)
    assert examine(bad, SETTINGS, history).findings == ()


EXECUTORS = [
    ({"state": "RUNNING", "ready": True}, 3, []),
    ({"state": "STOPPED", "ready": False}, 0, []),
    ({"state": "STOPPED", "ready": False}, 3, ["executor:MAIN"]),
    ({"state": "BACKOFF", "ready": False}, 3, ["service:executor-MAIN", "executor:MAIN"]),
]


@pytest.mark.parametrize(("state", "waiting", "expected"), EXECUTORS)
def test_a_lane_whose_patches_nobody_takes_is_found(state, waiting, expected):
    snapshot = replace(FINE, services=(Service(name="executor-MAIN", **state),), waiting={"MAIN": waiting})
    assert found(snapshot, after=6.0) == expected
    assert "executor:MAIN" not in found(snapshot, after=4.0)


def test_a_lane_without_any_executor_is_found():
    assert found(replace(FINE, services=(), waiting={"MAIN": 1}), after=6.0) == ["executor:MAIN"]


STALE = [
    ({}, True),
    ({"received_at": int(NOW) - 899}, False),
    ({"state": State.RUNNING}, True),
    ({"state": State.HELD}, True),
    ({"started_at": NOW - 10}, False),
    ({"not_before": NOW + 10}, False),
]


@pytest.mark.parametrize(("changes", "expected"), STALE)
def test_a_patch_to_which_nothing_happens_is_stale(changes, expected):
    assert found(replace(FINE, oldest=(replace(JOB, **changes),))) == (["patch-stale:p"] if expected else [])


def test_a_stale_patch_of_a_paused_lane_says_so():
    verdict = examine(replace(FINE, oldest=(JOB,), paused=frozenset({"MAIN"})), SETTINGS, Lasting())
    assert verdict.findings[0].title == "patch p is queued for too long in lane MAIN; its lane is paused"


def test_titles_and_data_stay_the_same_while_the_cause_stays():
    """A text that changes would rewrite the alert at each look."""
    bad = replace(with_service(state="FATAL"), oldest=(JOB,), disk_free=10, folderless=frozenset({"MAIN"}))
    later = replace(bad, wall=NOW + 60, disk_free=9)
    early, late = (
        examine(one, SETTINGS, Lasting(since=lasting(Lasting(), bad, 0.0).since, now=t))
        for one, t in ((bad, 10.0), (later, 70.0))
    )
    assert early.findings == late.findings
    assert len(early.findings) == 4


def test_a_full_disk_and_a_missing_folder_are_found():
    assert found(replace(FINE, disk_free=999)) == ["disk:workspace"]
    assert found(replace(FINE, folderless=frozenset({"MAIN"})), after=6.0) == ["drop-folder:MAIN"]
    assert found(replace(FINE, folderless=frozenset({"MAIN"})), after=4.0) == []


def test_without_an_answer_of_the_supervisor_its_alerts_stay_as_they_are():
    """What could not be examined is not resolved."""
    silent = replace(FINE, services=None, waiting={"MAIN": 2})
    verdict = examine(silent, SETTINGS, Lasting(since={"supervisor": 0.0}, now=6.0))
    assert [finding.fingerprint for finding in verdict.findings] == ["supervisor:ghostd"]
    assert verdict.rules == set(RULES) - {"service", "executor"}


def test_own_services_matter_most():
    severity = {
        name: examine(with_service(name=name, state="BACKOFF"), SETTINGS, Lasting(since={f"service:{name}": 0}, now=9))
        for name in ("web", "bridge")
    }
    assert severity["web"].findings[0].severity is Severity.WARNING
    assert severity["bridge"].findings[0].severity is Severity.CRITICAL


OPERATIONAL = Gateway(bound=True, responsive=True, webhook="operational")
HEALTH = [
    ({}, OPERATIONAL, True, "healthy"),
    ({}, OPERATIONAL, False, "degraded"),
    ({}, Gateway(bound=True, responsive=True, webhook="no-secret"), True, "degraded"),
    ({}, Gateway(bound=False, responsive=False, webhook="down"), True, "degraded"),
    ({"services": ()}, OPERATIONAL, True, "degraded"),
    ({"services": None}, OPERATIONAL, True, "unknown"),
    ({"waiting": {"MAIN": 0, "CYOPS": 0}}, OPERATIONAL, True, "degraded"),
]


@pytest.mark.parametrize(("changes", "gateway", "writable", "expected"), HEALTH)
def test_overall_status(changes, gateway, writable, expected):
    document = health(replace(FINE, **changes), gateway, writable=writable, metrics={}, version="1")
    assert document["overall_status"] == expected


def test_the_components_bear_the_original_names():
    document = health(FINE, OPERATIONAL, writable=True, metrics={"cpu": 1}, version="1")
    assert document["components"] == {
        "flask_responsive": True,
        "fs_writable": True,
        "ghost_runner": "up",
        "port_5555_bound": True,
        "webhook_endpoint": "operational",
    }
    assert set(document) == {"components", "overall_status", "system_metrics", "timestamp", "version"}


JOURNAL = [
    ([], Copied(), []),
    ([(1, 10.0), (2, 11.0)], Copied(), [1, 2]),
    ([(2, 11.0), (1, 10.0)], Copied(number=1, time=10.0), [2]),
    ([(1, 10.0)], Copied(number=1, time=10.0), []),
    # The journal was lost and begun anew.
    ([(1, 20.0), (2, 21.0)], Copied(number=7, time=15.0), [1, 2]),
    # Its end was lost in a power cut.
    ([(5, 14.0), (6, 15.0)], Copied(number=7, time=16.0), []),
]


@pytest.mark.parametrize(("entries", "copied", "expected"), JOURNAL)
def test_which_entries_of_the_journal_are_new(entries, copied, expected):
    rows = [{"seq": seq, "time": time} for seq, time in entries]
    assert [row["seq"] for row in to_copy(rows, copied)] == expected
