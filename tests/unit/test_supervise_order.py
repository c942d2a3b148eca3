"""Who starts before whom, who waits for whom, who leaves first."""

from __future__ import annotations

import pytest

from ghostd.base.errors import Cannot
from ghostd.model.service import ServiceSpec
from ghostd.supervise.order import Hindrance, hindrance, start_order, stops_now
from ghostd.supervise.rules import State


def graph(**needs):
    return {
        name: ServiceSpec(name=name, command=(name,), requires=tuple(requires), after=tuple(after))
        for name, (requires, after) in needs.items()
    }


def test_requirements_come_first_else_it_is_as_configured():
    specs = graph(web=(["db", "cache"], []), db=([], []), log=([], ["web"]), cache=([], []), lone=([], []))
    assert start_order(specs) == ("db", "cache", "web", "log", "lone")


@pytest.mark.parametrize(
    ("needs", "circle"),
    [
        ({"a": (["b"], []), "b": (["c"], []), "c": (["a"], [])}, "a → b → c → a"),
        ({"a": ([], ["a"])}, "a → a"),
        ({"x": (["a"], []), "a": ([], ["b"]), "b": (["a"], [])}, "a → b → a"),
    ],
)
def test_a_circle_is_told_by_name(needs, circle):
    with pytest.raises(Cannot) as caught:
        start_order(graph(**needs))
    assert caught.value.kind == "bad-config"
    assert circle in str(caught.value)


def test_a_requirement_that_is_no_service_is_told_by_name():
    with pytest.raises(Cannot, match="cannot start web: it needs db, which is no service"):
        start_order(graph(web=(["db"], [])))


@pytest.mark.parametrize(
    ("db", "log", "expected"),
    [
        (State.RUNNING, State.RUNNING, Hindrance()),
        (State.STARTING, State.RUNNING, Hindrance(waits=("db",))),
        (State.BACKOFF, State.STARTING, Hindrance(waits=("db", "log"))),
        (State.STOPPING, State.STOPPED, Hindrance(waits=("db",))),
        (State.RUNNING, State.FATAL, Hindrance()),
        (State.FATAL, State.RUNNING, Hindrance(failed="requires db, which is FATAL")),
        (State.STOPPED, State.STARTING, Hindrance(failed="requires db, which is STOPPED")),
        (State.EXITED, State.RUNNING, Hindrance(failed="requires db, which is EXITED")),
    ],
)
def test_a_requirement_has_to_be_ready_and_an_after_only_past_its_start(db, log, expected):
    (web,) = graph(web=(["db"], ["log"])).values()
    assert hindrance(web, {"db": db, "log": log}) == expected


def test_nobody_leaves_before_those_that_come_after_it():
    specs = graph(db=([], []), web=(["db"], []), log=([], ["db"]))
    assert not stops_now("db", [specs["web"]])
    assert not stops_now("db", [specs["log"]])
    assert stops_now("web", [specs["db"], specs["log"]])
    assert stops_now("db", [])
