"""The tree over the entries' hashes. Pure: no I/O.

A Merkle tree as in RFC 9162 section 2.1, over leaf hashes in the order of the entries; node hash
`SHA-256(0x01 || left || right)`. It is kept in tiles of height 8 (C2SP tlog-tiles): at level L the
hash at place N is that of the perfect subtree over the 256**L leaves from N * 256**L on. Level 0
are the leaves. A proof is a list of 32-byte hashes, from the leaf's side up.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

HEIGHT = 8
WIDTH = 1 << HEIGHT

EMPTY = hashlib.sha256(b"").digest()

# Hashes of one level, from a place (included) to a place (excluded); all of them are there.
Hashes = Callable[[int, int, int], Sequence[bytes]]


@dataclass(frozen=True, slots=True)
class Node:
    """The hash of a full tile of the level below."""

    level: int
    place: int
    hash: bytes


@dataclass(slots=True)
class Tree:
    """The right edge of a tree: what is needed to let it grow and to name its root.

    `edge` holds, by level, the hashes of the last tile that is not full yet.
    """

    size: int = 0
    edge: list[list[bytes]] = field(default_factory=list)

    @classmethod
    def of(cls, size: int, hashes: Hashes) -> "Tree":
        """The right edge of a tree of `size` leaves."""
        edge: list[list[bytes]] = []
        level, count = 0, size
        while count:
            edge.append(list(hashes(level, count // WIDTH * WIDTH, count)))
            level, count = level + 1, count // WIDTH
        return cls(size, edge)

    def copy(self) -> "Tree":
        """One that grows by itself."""
        return Tree(self.size, [list(hashes) for hashes in self.edge])

    def append(self, leaf: bytes) -> list[Node]:
        """Let it grow by one leaf hash; the tiles that this fills, the lowest first."""
        filled: list[Node] = []
        level, digest, place = 0, leaf, self.size
        self.size += 1
        while True:
            if level == len(self.edge):
                self.edge.append([])
            self.edge[level].append(digest)
            if len(self.edge[level]) < WIDTH:
                return filled
            digest, place = _merge(self.edge[level]), place // WIDTH
            self.edge[level] = []
            level += 1
            filled.append(Node(level, place, digest))

    def root(self) -> bytes:
        """The root hash, 32 bytes."""
        above: list[bytes] = []
        for hashes in self.edge:
            above = [_merge([*hashes, *above])] if hashes or above else []
        return above[0] if above else EMPTY


def inclusion(index: int, size: int, hashes: Hashes) -> list[bytes]:
    """The proof that the leaf `index` is in the tree of `size` leaves (RFC 9162, 2.1.3.1).

    Raises:
        ValueError: there is no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    proof: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(_range(middle, end, hashes))
            end = middle
        else:
            proof.append(_range(start, middle, hashes))
            start = middle
    return proof[::-1]


def consistency(old: int, size: int, hashes: Hashes) -> list[bytes]:
    """The proof that the tree of `old` leaves is a beginning of that of `size` (RFC 9162, 2.1.4.1).

    Empty where they are the same, or where the old one is empty.

    Raises:
        ValueError: the old one is larger.
    """
    if not 0 <= old <= size:
        raise ValueError(f"a tree of {old} leaves is no beginning of one of {size}")
    if old in (0, size):
        return []
    proof: list[bytes] = []
    start, end, whole = 0, size, True
    while end > old:
        middle = start + _split(end - start)
        if old <= middle:
            proof.append(_range(middle, end, hashes))
            end = middle
        else:
            proof.append(_range(start, middle, hashes))
            start, whole = middle, False
    if not whole:
        proof.append(_range(start, end, hashes))
    return proof[::-1]


def _split(count: int) -> int:
    """The largest power of two that is smaller than `count`."""
    return 1 << (count - 1).bit_length() - 1


def _range(start: int, end: int, hashes: Hashes) -> bytes:
    """The hash over the leaves from `start` to `end`, as a node of the tree holds them."""
    level, above = 0, list[bytes]()
    while end > start:
        low, high = start, end // WIDTH * WIDTH
        if high <= low or low % WIDTH:  # inside one tile
            return _merge([*hashes(level, start, end), *above])
        tail = hashes(level, high, end) if end > high else ()
        above = [_merge([*tail, *above])] if tail or above else []
        level, start, end = level + 1, start // WIDTH, end // WIDTH
    return above[0]


def _merge(hashes: Sequence[bytes]) -> bytes:
    """The hash over hashes that stand side by side; all but the last are of one size."""
    row = list(hashes)
    while len(row) > 1:
        pairs = [
            hashlib.sha256(b"\x01" + row[at] + row[at + 1]).digest()
            for at in range(0, len(row) - 1, 2)
        ]
        row = pairs + ([row[-1]] if len(row) % 2 else [])
    return row[0]
