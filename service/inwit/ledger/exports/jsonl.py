"""The canonical form: each line has an entry's exact bytes, so that anybody can hash them."""

import json
from typing import Any

from inwit.ledger.exports.leaves import Leaf, Standing

_BEFORE = b',"entry":'


def line_of(leaf: Leaf) -> bytes:
    """A line of JSON. What stands between `"entry":` and the last brace is the exact entry.

    SHA-256 over a zero byte and those bytes is `leaf_hash`.
    """
    told: dict[str, Any] = {"sequence": leaf.sequence, "leaf_index": leaf.index}
    if leaf.standing is not Standing.MISSING:
        told["leaf_hash"] = leaf.hash
    if leaf.standing is not Standing.INTACT:
        told[leaf.standing.value] = True
    head = json.dumps(told, separators=(",", ":")).encode()
    return head if leaf.standing is not Standing.INTACT else head[:-1] + _BEFORE + leaf.body + b"}"


def body_of(line: bytes) -> bytes | None:
    """The exact bytes of the entry in a line; None where it has none."""
    _, found, rest = line.rstrip(b"\n").partition(_BEFORE)
    return rest[:-1] if found else None
