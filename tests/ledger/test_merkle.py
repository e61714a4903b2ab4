"""The tree in tiles against RFC 9162's own definitions, written out."""

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inwit.ledger.merkle import EMPTY, WIDTH, Tree, consistency, inclusion

SIZES = [
    *range(40),
    WIDTH - 1,
    WIDTH,
    WIDTH + 1,
    3 * WIDTH,
    3 * WIDTH + 7,
    WIDTH**2,
    WIDTH**2 + 258,
]


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _split(leaves: Sequence[bytes]) -> int:
    return 1 << (len(leaves) - 1).bit_length() - 1


def tree_hash(leaves: Sequence[bytes]) -> bytes:
    """MTH of section 2.1.1, over leaf hashes."""
    if len(leaves) < 2:
        return leaves[0] if leaves else EMPTY
    at = _split(leaves)
    return _node(tree_hash(leaves[:at]), tree_hash(leaves[at:]))


def path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH of section 2.1.3.1."""
    if len(leaves) == 1:
        return []
    at = _split(leaves)
    if index < at:
        return [*path(index, leaves[:at]), tree_hash(leaves[at:])]
    return [*path(index - at, leaves[at:]), tree_hash(leaves[:at])]


def subproof(old: int, leaves: Sequence[bytes], *, known: bool) -> list[bytes]:
    """SUBPROOF of section 2.1.4.1."""
    if old == len(leaves):
        return [] if known else [tree_hash(leaves)]
    at = _split(leaves)
    if old <= at:
        return [*subproof(old, leaves[:at], known=known), tree_hash(leaves[at:])]
    return [*subproof(old - at, leaves[at:], known=False), tree_hash(leaves[:at])]


class Grown:
    """A tree of so many leaves, with the tiles it filled."""

    def __init__(self, size: int) -> None:
        self.leaves = [hashlib.sha256(b"%d" % place).digest() for place in range(size)]
        self.tree = Tree()
        self._nodes: dict[tuple[int, int], bytes] = {}
        for leaf in self.leaves:
            for node in self.tree.append(leaf):
                self._nodes[node.level, node.place] = node.hash

    def hashes(self, level: int, start: int, end: int) -> list[bytes]:
        if level == 0:
            return self.leaves[start:end]
        return [self._nodes[level, place] for place in range(start, end)]


@pytest.mark.parametrize("size", SIZES)
def test_roots_and_proofs_are_those_of_the_rfc(size: int) -> None:
    grown = Grown(size)

    assert grown.tree.root() == tree_hash(grown.leaves)
    assert Tree.of(size, grown.hashes) == grown.tree
    for index in sorted({0, 1, size // 3, size // 2, size - 2, size - 1} & set(range(size))):
        assert inclusion(index, size, grown.hashes) == path(index, grown.leaves)
        if index:
            proof = consistency(index, size, grown.hashes)
            assert proof == subproof(index, grown.leaves, known=True)


@given(st.integers(1, 1200), st.data())
def test_a_tree_read_back_grows_as_one_that_was_kept(size: int, data: st.DataObject) -> None:
    grown = Grown(size)
    at = data.draw(st.integers(0, size))
    again = Tree.of(at, grown.hashes)
    for leaf in grown.leaves[at:]:
        again.append(leaf)

    assert again == grown.tree


def test_there_is_no_proof_of_what_is_not_there() -> None:
    grown = Grown(3)

    for index in (-1, 3):
        with pytest.raises(ValueError, match="no leaf"):
            inclusion(index, 3, grown.hashes)
    with pytest.raises(ValueError, match="no beginning"):
        consistency(4, 3, grown.hashes)
    assert consistency(0, 3, grown.hashes) == consistency(3, 3, grown.hashes) == []
