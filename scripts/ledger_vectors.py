"""Test vectors for the ledger's tree, by an implementation that is not ours: pymerkle.

pymerkle is under the GPL: it is used in an environment of its own, never a dependency.

    python3 -m venv /tmp/vectors && /tmp/vectors/bin/pip install pymerkle==7.0.0
    /tmp/vectors/bin/python scripts/ledger_vectors.py > tests/ledger/tree_vectors.json

The leaf of index N is over the bytes `entry N`. Of small trees there is every inclusion proof, as
one digest for each size (SHA-256 over the proofs' hashes, one after another, each proof after its
own length in one byte); of a few larger ones some proofs stand in full. Its consistency proofs have
another shape than RFC 9162's: those are held against its roots.
"""

import hashlib
import importlib
import json
import sys
from collections.abc import Iterable
from typing import Any

SMALL = 70
LARGE = (255, 256, 257, 1_000, 65_535, 65_537, 70_000)


def main() -> None:
    """Write them to the standard output."""
    tree: Any = importlib.import_module("pymerkle").InmemoryTree(algorithm="sha256")
    tree.append_entries([b"entry %d" % each for each in range(max(LARGE))])
    vectors = {
        "made_by": "scripts/ledger_vectors.py with pymerkle 7.0.0",
        "leaves": "the bytes `entry N` for the index N",
        "inclusion": "SHA-256 over all proofs: the number of hashes in one byte, then the hashes",
        "small": [_small(tree, size) for size in range(SMALL + 1)],
        "large": [_large(tree, size) for size in LARGE],
    }
    json.dump(vectors, sys.stdout, indent=1)
    sys.stdout.write("\n")


def _small(tree: Any, size: int) -> dict[str, Any]:
    root = tree.get_root(size).hex() if size else hashlib.sha256(b"").hexdigest()
    return {
        "size": size,
        "root": root,
        "inclusion": _digest(_inclusion(tree, index, size) for index in range(size)),
    }


def _large(tree: Any, size: int) -> dict[str, Any]:
    indices = sorted({0, 1, size // 2, size - 2, size - 1})
    return {
        "size": size,
        "root": tree.get_root(size).hex(),
        "inclusion": {each: _hex(_inclusion(tree, each, size)) for each in indices},
    }


def _inclusion(tree: Any, index: int, size: int) -> list[bytes]:
    """Its paths begin with the leaf itself, which a proof of RFC 9162 leaves out."""
    path = tree.prove_inclusion(index + 1, size).path
    return list(path[1:])


def _digest(proofs: Iterable[list[bytes]]) -> str:
    found = hashlib.sha256()
    for proof in proofs:
        found.update(bytes([len(proof)]) + b"".join(proof))
    return found.hexdigest()


def _hex(hashes: list[bytes]) -> list[str]:
    return [each.hex() for each in hashes]


if __name__ == "__main__":
    main()
