"""The hash tree: the same roots as RFC 6962 defines, whichever way they are reached."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostd.pipeline import merkle


def by_definition(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 §2.1, word for word: split at the largest power of two that is smaller than the number."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    halves = by_definition(leaves[:split]) + by_definition(leaves[split:])
    return hashlib.sha256(b"\1" + halves).digest()


#: The inputs and roots with which Certificate Transparency's own programs are tested.
CT_LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
CT_ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


@pytest.mark.parametrize("size", CT_ROOTS)
def test_the_roots_are_those_of_certificate_transparency(size):
    leaves = [merkle.leaf(bytes.fromhex(each)) for each in CT_LEAVES[:size]]
    assert merkle.Edge().extended(leaves).root.hex() == CT_ROOTS[size]


@given(st.lists(st.binary(max_size=3), max_size=40))
def test_the_edge_gives_the_root_of_the_definition_at_every_size(leaves):
    edge = merkle.Edge()
    for size, each in enumerate(leaves):
        assert (edge.size, edge.whole, edge.root) == (size, True, by_definition(leaves[:size]))
        edge = edge.appended(merkle.leaf(each))
    assert edge.root == by_definition(leaves)


@given(st.lists(st.binary(min_size=1, max_size=2), min_size=2, max_size=20, unique=True), st.data())
def test_leaves_in_another_order_or_one_less_have_another_root(leaves, data):
    hashes = [merkle.leaf(each) for each in leaves]
    root = merkle.Edge().extended(hashes).root
    first, second = data.draw(st.lists(st.integers(0, len(leaves) - 1), min_size=2, max_size=2, unique=True))
    swapped = list(hashes)
    swapped[first], swapped[second] = hashes[second], hashes[first]
    assert merkle.Edge().extended(swapped).root != root
    assert merkle.Edge().extended(hashes[:first] + hashes[first + 1 :]).root != root


def test_a_node_can_not_be_passed_off_as_a_leaf():
    left, right = merkle.leaf(b"a"), merkle.leaf(b"b")
    assert merkle.leaf(left + right) != merkle.node(left, right)
