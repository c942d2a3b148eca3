"""The quick way to canonical JSON gives the bytes of RFC 8785, whatever a stranger's text holds."""

from __future__ import annotations

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from ghostd.pipeline import proof

SAFE = 2**53 - 1
#: No lone surrogates: what becomes of them is the next test's.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
LEAVES = st.none() | st.booleans() | st.integers(-SAFE, SAFE) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4))


@given(VALUES)
def test_any_value_is_written_as_the_rfc_says(value):
    assert proof.canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        # UTF-16 puts a pair of surrogates before U+FB33; by code points it would come after.
        ({"\ufb33": 1, "\U0001f600": 2}, '{"\U0001f600":2,"\ufb33":1}'),
        ({"a": {"\ufb33": 1, "\U0001f600": 2}}, '{"a":{"\U0001f600":2,"\ufb33":1}}'),
        ([1e21, 1.0, -0.0], "[1e+21,1,0]"),
        ({"n": 2**53}, '{"n":"9007199254740992"}'),
        ("\ud800\x7f\u2028", '"\\\\ud800\x7f\u2028"'),
    ],
)
def test_what_the_quick_way_would_write_otherwise_goes_the_long_one(value, written):
    assert proof.canonical(value) == written.encode()
