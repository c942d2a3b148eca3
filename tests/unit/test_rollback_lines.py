"""Lines that are followed through changes."""

from __future__ import annotations

import pytest

from ghostd.model.touch import Span
from ghostd.pipeline.lines import EVERYTHING, meet, moved, written

#: Lines 10-12 became four lines; three lines before 20 went; one line came before 30.
SPANS = (Span(10, 13, 10, 14), Span(17, 20, 18, 18), Span(30, 30, 28, 29))


@pytest.mark.parametrize(
    ("region", "meets"),
    [
        ((0, 9), False), ((0, 10), True), ((11, 12), True), ((13, 13), True), ((14, 16), False),
        ((15, 17), True), ((20, 20), True), ((21, 29), False), ((30, 30), True), ((31, 99), False), ((0, 99), True),
    ],
)  # fmt: skip
def test_changes_meet_where_no_unchanged_line_is_between_them(region, meets):
    assert meet((region,), SPANS) is meets
    assert meet(((0, 0), region, (200, 201)), SPANS) is meets


@pytest.mark.parametrize(
    ("region", "after"),
    [
        ((0, 9), (0, 9)), ((0, 10), (0, 14)), ((11, 12), (10, 14)), ((14, 16), (15, 17)), ((14, 17), (15, 18)),
        ((25, 26), (23, 24)), ((30, 31), (28, 30)), ((40, 41), (39, 40)),
    ],
)  # fmt: skip
def test_a_region_moves_with_what_came_before_it_and_grows_over_what_it_meets(region, after):
    assert moved((region,), SPANS) == (after,)


def test_what_has_no_lines_meets_everything_but_nothing():
    assert written(None) == EVERYTHING
    assert meet(EVERYTHING, SPANS)
    assert meet(((3, 4),), None)
    assert not meet((), None)
    assert moved((), None) == ()
    assert moved(((3, 4),), None) == EVERYTHING
    assert written(SPANS) == ((10, 14), (18, 18), (28, 29))
