"""The small decisions of the API: rates, subscriptions, queues, health, HTML, and the table itself."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostd.api import hub, pages, stream, views
from ghostd.api.front import Listener
from ghostd.api.hub import Client, Frame, Subscription
from ghostd.api.rate import REMEMBERED, Limiter
from ghostd.api.routes import ROUTES, routes_of
from ghostd.base.errors import Cannot


def test_a_burst_passes_and_the_rest_waits_for_its_turn():
    """Three at once, then one each twenty seconds."""
    limiter = Limiter(3, 60.0)
    assert [limiter.wait("a", 0.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert limiter.wait("a", 0.0) == pytest.approx(20.0)
    assert limiter.wait("a", 20.0) == 0.0
    assert limiter.wait("a", 20.0) == pytest.approx(20.0)


def test_one_client_does_not_use_up_anothers_turns():
    """A bucket each."""
    limiter = Limiter(1, 60.0)
    assert (limiter.wait("a", 0.0), limiter.wait("b", 0.0)) == (0.0, 0.0)


def test_a_crowd_of_clients_costs_bounded_memory():
    """The quietest is forgotten."""
    limiter = Limiter(1, 60.0)
    for number in range(REMEMBERED + 10):
        limiter.wait(str(number), 0.0)
    assert len(limiter._empty_at) == REMEMBERED


@pytest.mark.parametrize(
    ("topics", "type", "wanted"),
    [
        ((), "ghost.patch.applied", True),
        (("ghost.patch",), "ghost.patch.applied", True),
        (("ghost.patch.applied",), "ghost.patch.applied", True),
        (("ghost.pat",), "ghost.patch.applied", False),
        (("ghost.phase", "ghost.alert"), "ghost.patch.applied", False),
    ],
)
def test_topics(topics, type, wanted):
    """Whole words only."""
    assert Subscription(topics=topics).wants(type) is wanted


@pytest.mark.parametrize("topics", [["*"], ["ghost.patch", ""], [], None])
def test_a_star_means_everything(topics):
    """So does nothing."""
    assert stream.parse(json.dumps({"op": "subscribe", "topics": topics})) == Subscription()


@given(st.text() | st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_whatever_a_client_says_is_understood_or_refused(text):
    """Never anything else."""
    with suppress(Cannot):
        assert stream.parse(text) in {None, Subscription()}


def frames(first: int, last: int) -> list[Frame]:
    return [Frame(seq=n, type="ghost.patch.queued", text=str(n)) for n in range(first, last + 1)]


def test_what_a_client_has_already_is_not_offered_again():
    """The seam between replay and live."""
    client = Client(subscription=Subscription(), seq=5)
    for new in frames(4, 7):
        client.offer(new)
    assert [new.seq for new in client.waiting] == [6, 7]


def test_a_full_queue_is_thrown_away_and_told():
    """At most QUEUE frames wait, whatever comes; each overflow counts."""
    client = Client(subscription=Subscription(), seq=0)
    for new in frames(1, 3 * hub.QUEUE):
        client.offer(new)
        assert len(client.waiting) <= hub.QUEUE
    assert (client.missed, client.overflows) == (True, 2)


HEALTHY = {"writable": True, "executors": {"MAIN": True}, "bound": True, "webhook": "operational"}


@pytest.mark.parametrize(
    ("changed", "overall", "runner"),
    [
        ({}, "healthy", "up"),
        ({"executors": {"MAIN": False}}, "degraded", "down"),
        ({"executors": {"MAIN": True, "CYOPS": False}}, "degraded", "up"),
        ({"executors": {}}, "degraded", "down"),
        ({"executors": None}, "unknown", "down"),
        ({"executors": None, "writable": False}, "degraded", "down"),
        ({"writable": False}, "degraded", "up"),
        ({"bound": False, "webhook": "down"}, "degraded", "up"),
        ({"webhook": "no-secret"}, "degraded", "up"),
        ({"bound": False, "webhook": "off"}, "healthy", "up"),
    ],
)
def test_overall_health(changed, overall, runner):
    """Healthy when nothing is amiss, unknown when nobody can be asked, else degraded."""
    told = views.health(**(HEALTHY | changed), metrics={}, now=0.0)
    assert (told["overall_status"], told["components"]["ghost_runner"]) == (overall, runner)


@given(st.text())
def test_json_holds_no_character_that_could_harm_a_terminal_or_a_page(text):
    """And it is still the same text."""
    encoded = views.as_json({"title": text})
    assert all(0x20 <= byte < 0x7F for byte in encoded)
    assert b"<" not in encoded
    assert json.loads(encoded)["title"] == text


@given(st.text())
def test_html_holds_a_strangers_text_as_text(text):
    """Nothing in it opens a tag, an attribute or an entity of its own."""
    written = pages.text(text)
    assert not set("<>\"'") & set(written)
    assert pages.sign(text).count("<") == 4


def test_every_state_is_shown_by_a_shape_and_a_word():
    """Colour alone tells nobody anything who does not see it."""
    for state in ("RUNNING", "FATAL", "queued", "never heard of"):
        shown = pages.sign(state)
        assert state.lower() in shown
        assert 'aria-hidden="true">' in shown


def test_the_table_has_no_row_twice_and_hides_no_route():
    """A fixed path stands before the pattern that would swallow it."""
    for listener in Listener:
        rows = routes_of(listener)
        assert len({(row.method, row.path) for row in rows}) == len(rows)
        paths = [row.path for row in rows]
        if listener is Listener.STATUS:
            assert paths.index("/api/patches/status") < paths.index("/api/patches/{id}")


def test_only_the_harmless_is_open_to_everybody():
    """A new row without a scope has to be argued here."""
    opened = {f"{row.method} {row.path}" for row in ROUTES if row.scope is None}
    assert opened == {
        "GET /livez", "GET /readyz", "GET /healthz", "POST /webhook",
        "GET /page.js", "GET /style.css", "GET /favicon.svg",
    }  # fmt: skip


def test_whatever_changes_something_needs_more_than_reading():
    """By method."""
    assert all(row.scope != "read" for row in ROUTES if row.method == "POST")
