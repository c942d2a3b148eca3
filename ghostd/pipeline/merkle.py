"""The hash tree of a proof log, by its right edge alone: appending and the root cost the logarithm of the size.

Hashes as RFC 6962 §2.1 has them (https://www.rfc-editor.org/rfc/rfc6962#section-2.1): a leaf is SHA-256 of 0x00 and
its bytes, a node SHA-256 of 0x01 and its two children, so that no node can be passed off as a leaf. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

#: The root of a tree without leaves.
EMPTY = hashlib.sha256(b"").digest()


def leaf(data: bytes) -> bytes:
    """The hash of one entry."""
    return hashlib.sha256(b"\0" + data).digest()


def node(left: bytes, right: bytes) -> bytes:
    """The hash over two subtrees."""
    return hashlib.sha256(b"\1" + left + right).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A tree as the roots of its whole subtrees, the largest first: one for each bit that is set in `size`."""

    size: int = 0
    nodes: tuple[bytes, ...] = ()

    def appended(self, leaf: bytes) -> Edge:
        """The tree with one more leaf (its hash). Each set low bit of the size is a subtree that now has its twin."""
        nodes, bits = list(self.nodes), self.size
        while bits & 1:
            leaf = node(nodes.pop(), leaf)
            bits >>= 1
        return Edge(size=self.size + 1, nodes=(*nodes, leaf))

    def extended(self, leaves: Iterable[bytes]) -> Edge:
        """The tree with more leaves, in their order."""
        edge = self
        for each in leaves:
            edge = edge.appended(each)
        return edge

    @property
    def root(self) -> bytes:
        """The Merkle tree head: two trees have the same one only if they have the same leaves in the same order."""
        if not self.nodes:
            return EMPTY
        *larger, found = self.nodes
        for each in reversed(larger):
            found = node(each, found)
        return found

    @property
    def whole(self) -> bool:
        """Whether it can be an edge at all: as many subtrees as the size has bits."""
        return len(self.nodes) == self.size.bit_count()


#: The tree without leaves.
NOTHING = Edge()
