"""The canonical bytes are those of RFC 8785 whichever way they are made."""

from __future__ import annotations

import json

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostd.patches import canonical

TEXT = st.text(max_size=6) | st.text(st.sampled_from('\x00\x1f\x7f\u2028\ue000\uffff\U0001f600a"\\/'), max_size=4)
LEAF = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-1e9, 1e9) | TEXT
VALUE = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4))


@settings(max_examples=500, deadline=None)
@given(VALUE)
def test_they_are_what_the_reference_writes(value):
    """Order of keys beyond the basic plane, numbers, controls: byte for byte."""
    assert canonical.dumps(value) == rfc8785.dumps(value)
    assert canonical.dumps(json.loads(canonical.dumps(value))) == canonical.dumps(value)


@pytest.mark.parametrize("value", [2**53, -(2**53), float("nan"), float("inf"), "\ud800", {"\udfff": 1}, [2**64]])
def test_what_has_no_canonical_form_is_an_error(value):
    with pytest.raises(ValueError):
        canonical.dumps(value)
