"""Checkpoints and proofs of the log, as a caller reads them. Pure: no I/O, no state.

A checkpoint is a signed note (C2SP signed-note and tlog-checkpoint): the log's origin, how many
entries it has, the root hash over them, then signatures. Proofs are those of RFC 9162; hashes have
32 bytes, and a node is `SHA-256(0x01 || left || right)`.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from inwit.client.errors import BadAnswer

LONGEST_NOTE = 16 * 2**10  # characters
EMPTY = hashlib.sha256(b"").digest()

_HASH = 32
_DASH = "\N{EM DASH}"
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a signed note says of the log. Its signatures were not checked: that takes the key."""

    origin: str
    size: int
    root: bytes = field(repr=False)
    note: str = field(repr=False, compare=False)


def read_header(header: str) -> Checkpoint:
    """The checkpoint in the header of an answer: a signed note in base64.

    Raises:
        BadAnswer: it holds something else.
    """
    try:
        note = _decoded(header).decode()
    except ValueError:
        raise _bad() from None
    return read_note(note)


def read_note(note: str) -> Checkpoint:
    """The checkpoint in a signed note.

    Raises:
        BadAnswer: it is none.
    """
    text, blank, signatures = note.rpartition("\n\n")
    origin, size, root, *more = [*text.split("\n"), "", "", ""]
    well_formed = (
        blank
        and len(note) <= LONGEST_NOTE
        and not _CONTROL.search(note)
        and origin
        and all(more[:-3])  # lines that a later version may add; none of them is empty
        and _SIZE.fullmatch(size)
        and signatures.endswith("\n")
        and all(map(_is_signature, signatures[:-1].split("\n")))
    )
    try:
        digest = _decoded(root)
    except ValueError:
        raise _bad() from None
    if not well_formed or len(digest) != _HASH or (size == "0" and digest != EMPTY):
        raise _bad()
    return Checkpoint(origin, int(size), digest, note)


def read_hashes(texts: Sequence[str]) -> tuple[bytes, ...]:
    """The hashes of a proof, which come in base64.

    Raises:
        BadAnswer: one of them is no hash.
    """
    try:
        hashes = tuple(map(_decoded, texts))
    except ValueError:
        raise _bad_proof() from None
    if any(len(each) != _HASH for each in hashes):
        raise _bad_proof()
    return hashes


def only_grew(old: Checkpoint, new: Checkpoint, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that `old`'s entries are the first of `new`'s: RFC 9162, 2.1.4.2."""
    if not 0 < old.size < new.size:
        return not proof and (old.size == 0 or (old.size, old.root) == (new.size, new.root))
    path = list(proof)
    if old.size & (old.size - 1) == 0:
        path.insert(0, old.root)
    if not path:
        return False
    before, last = old.size - 1, new.size - 1
    while before & 1:
        before, last = before >> 1, last >> 1
    old_root = new_root = path[0]
    for each in path[1:]:
        if last == 0:
            return False
        if before & 1 or before == last:
            old_root, new_root = _node(each, old_root), _node(each, new_root)
            while before and not before & 1:
                before, last = before >> 1, last >> 1
        else:
            new_root = _node(new_root, each)
        before, last = before >> 1, last >> 1
    return last == 0 and (old_root, new_root) == (old.root, new.root)


def is_entry(leaf: bytes, index: int, log: Checkpoint, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the entry of that hash stands at `index`: RFC 9162, 2.1.3.2."""
    if not 0 <= index < log.size:
        return False
    place, last, digest = index, log.size - 1, leaf
    for each in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            digest = _node(each, digest)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            digest = _node(digest, each)
        place, last = place >> 1, last >> 1
    return last == 0 and digest == log.root


def leaf_hash(entry: bytes) -> bytes:
    """The hash of an entry, over its exact bytes."""
    return hashlib.sha256(b"\x00" + entry).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _is_signature(line: str) -> bool:
    """Whether it is `— NAME BASE64`, with the key's id (4 bytes) and a signature in base64."""
    dash, name, signature, *more = [*line.split(" "), "", ""]
    try:
        signed = _decoded(signature)
    except ValueError:
        return False
    return dash == _DASH and bool(name) and "+" not in name and len(signed) > 4 and len(more) == 2


def _decoded(text: str) -> bytes:
    """Base64 in its one right form.

    Raises:
        ValueError: it is not that.
    """
    found = base64.b64decode(text, validate=True)
    if base64.b64encode(found).decode() != text:
        raise ValueError
    return found


def _bad() -> BadAnswer:
    return BadAnswer("The gateway's checkpoint is not a signed note; does a proxy change headers?")


def _bad_proof() -> BadAnswer:
    return BadAnswer("The gateway's proof holds what is no hash.")
