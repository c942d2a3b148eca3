"""Routes and retries of alerts."""

from __future__ import annotations

import pytest

from ghostd.alerts.rules import channels_for, next_try, targets
from ghostd.model.alert import Severity
from ghostd.model.settings import AlertSettings, RouteSettings


def routed(*routes):
    made = {f"r{n}": RouteSettings(name=f"r{n}", severity=least, channels=to) for n, (least, to) in enumerate(routes)}
    return AlertSettings(routes=made)


ROUTES = [
    ((), Severity.INFO, ("log",)),
    ((("critical", ("pager",)), ("info", ("chat",))), Severity.CRITICAL, ("pager",)),
    ((("critical", ("pager",)), ("info", ("chat",))), Severity.WARNING, ("chat",)),
    # The first one that fits takes it, even where a later one fits better.
    ((("info", ("chat",)), ("critical", ("pager",))), Severity.CRITICAL, ("chat",)),
    ((("critical", ("pager",)),), Severity.WARNING, ()),
    ((("info", ()),), Severity.INFO, ()),
    ((("info", ("a", "b", "a")),), Severity.INFO, ("a", "b")),
]


@pytest.mark.parametrize(("routes", "severity", "expected"), ROUTES)
def test_the_first_route_that_fits_takes_an_alert(routes, severity, expected):
    assert channels_for(severity, routed(*routes)) == expected


def test_each_severity_has_its_targets():
    assert targets(routed(("warning", ("a",)))) == {"info": (), "warning": ("a",), "critical": ("a",)}


def test_pauses_double_up_to_five_minutes():
    pauses = [next_try(n, now=100.0, most=99, chance=0.5) - 100.0 for n in (1, 2, 3, 9, 10, 60)]
    assert pauses == [1.0, 2.0, 4.0, 256.0, 300.0, 300.0]


def test_chance_spreads_a_pause_by_a_fifth():
    assert [next_try(1, now=0.0, most=9, chance=chance) for chance in (0.0, 0.5, 1.0)] == [0.8, 1.0, 1.2]


@pytest.mark.parametrize(("attempts", "ends"), [(9, False), (10, True), (11, True)])
def test_the_last_attempt_is_the_last(attempts, ends):
    assert (next_try(attempts, now=0.0, most=10, chance=0.5) is None) is ends
