"""The tree by two hands: the writer's and the verifier's agree with a third, and with the RFC."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from inwit.ledger import merkle, verify

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("tree_vectors.json").read_text())
SMALL: list[dict[str, Any]] = VECTORS["small"]
LARGE: list[dict[str, Any]] = VECTORS["large"]
LEAVES = [verify.leaf_hash(b"entry %d" % each) for each in range(LARGE[-1]["size"])]

# The leaves, roots and proofs that the reference code of Certificate Transparency is tested by.
CT_LEAVES = [
    verify.leaf_hash(bytes.fromhex(each))
    for each in (
        *("", "00", "10", "2021", "3031", "40414243", "5051525354555657"),
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}
CT_CONSISTENCY = {
    (1, 8): (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (6, 8): (
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
}


def hashes_of(leaves: Sequence[bytes]) -> merkle.Hashes:
    """As the database gives them: every level, full tiles only."""
    levels = [list(leaves)]
    while len(levels[-1]) >= merkle.WIDTH:
        below = levels[-1]
        tiles = [below[at : at + merkle.WIDTH] for at in range(0, len(below), merkle.WIDTH)]
        levels.append([_root(tile) for tile in tiles if len(tile) == merkle.WIDTH])
    return lambda level, start, end: levels[level][start:end]


def _root(leaves: Sequence[bytes]) -> bytes:
    """By the definition: RFC 9162, 2.1.1."""
    if not leaves:
        return verify.EMPTY
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return verify.node_hash(_root(leaves[:split]), _root(leaves[split:]))


HASHES = hashes_of(LEAVES)


def written(size: int) -> bytes:
    """The root as the gateway makes it."""
    tree = merkle.Tree()
    for leaf in LEAVES[:size]:
        tree.append(leaf)
    return tree.root()


def read(size: int) -> bytes:
    """The root as the verifier makes it."""
    peaks: list[bytes] = []
    for count, leaf in enumerate(LEAVES[:size]):
        verify.grown(peaks, count, leaf)
    return verify.folded(peaks[:-1], peaks[-1]) if peaks else verify.EMPTY


@pytest.mark.parametrize("root_of", [written, read])
def test_roots_are_those_of_another_implementation(root_of: Callable[[int], bytes]) -> None:
    for each in [*SMALL, *LARGE]:
        assert root_of(each["size"]).hex() == each["root"], each["size"]


def test_inclusion_proofs_are_those_of_another_implementation_and_verify() -> None:
    for each in SMALL:
        size, found = each["size"], hashlib.sha256()
        for index in range(size):
            proof = merkle.inclusion(index, size, HASHES)
            found.update(bytes([len(proof)]) + b"".join(proof))
            root = bytes.fromhex(each["root"])
            assert verify.included(LEAVES[index], index, size, proof, root)
        assert found.hexdigest() == each["inclusion"], size


def test_inclusion_proofs_of_larger_trees_are_the_same() -> None:
    for each in LARGE:
        for index, proof in each["inclusion"].items():
            made = merkle.inclusion(int(index), each["size"], HASHES)
            assert [digest.hex() for digest in made] == proof
            root = bytes.fromhex(each["root"])
            assert verify.included(LEAVES[int(index)], int(index), each["size"], made, root)


def test_consistency_proofs_hold_between_the_roots_of_another_implementation() -> None:
    roots = {each["size"]: bytes.fromhex(each["root"]) for each in [*SMALL, *LARGE]}
    pairs = [(old, new) for old in range(71) for new in range(old, 71)]
    pairs += [(old, new) for old in (*range(0, 70, 9), *roots) for new in roots if new > 70]
    for old, new in pairs:
        if old <= new:
            proof = merkle.consistency(old, new, HASHES)
            assert verify.consistent(old, new, proof, roots[old], roots[new]), (old, new)


def test_no_proof_holds_for_anything_else() -> None:
    roots = {each["size"]: bytes.fromhex(each["root"]) for each in SMALL}
    for size in range(1, 20):
        for index in range(size):
            proof = merkle.inclusion(index, size, HASHES)
            leaf, root = LEAVES[index], roots[size]
            assert not verify.included(LEAVES[index + 1], index, size, proof, root)
            assert not verify.included(leaf, index, size, proof, roots[size + 1])
            assert not verify.included(leaf, index, size, [*proof, leaf], root)
            assert not verify.included(leaf, size, size, proof, root)
            assert not proof or not verify.included(leaf, index, size, proof[:-1], root)
        for old in range(1, size):
            proof = merkle.consistency(old, size, HASHES)
            assert not verify.consistent(old, size, proof, roots[old + 1], roots[size])
            assert not verify.consistent(old, size, proof, roots[old], roots[size + 1])
            assert not verify.consistent(old, size, [*proof, LEAVES[0]], roots[old], roots[size])
            assert not verify.consistent(old, size, proof[:-1], roots[old], roots[size])
            assert not verify.consistent(size, old, proof, roots[size], roots[old])


def test_the_vectors_of_certificate_transparency() -> None:
    hashes = hashes_of(CT_LEAVES)
    for size, root in CT_ROOTS.items():
        assert _root(CT_LEAVES[:size]).hex() == root
    for (old, new), wanted in CT_CONSISTENCY.items():
        proof = merkle.consistency(old, new, hashes)
        assert tuple(each.hex() for each in proof) == wanted
        roots = bytes.fromhex(CT_ROOTS[old]), bytes.fromhex(CT_ROOTS[new])
        assert verify.consistent(old, new, proof, *roots)


def test_a_receipts_proof_is_small() -> None:
    assert len(merkle.inclusion(0, len(LEAVES), HASHES)) <= 17
