"""Who signed the newest checkpoint, as far as that can be told by the keys that somebody has.

The database cannot answer this by itself: who rewrites a log names keys of their own in it.
"""

import base64
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from inwit.ledger import proofs
from inwit.ledger.merkle import inclusion
from inwit.ledger.opened import Changed, facts_of
from inwit.ledger.proofs import Signed
from inwit.ledger.tables import CHECKPOINTS, ENTRIES
from inwit.ledger.verify import (
    Key,
    Malformed,
    Named,
    Note,
    Trust,
    included,
    key_of,
    list_of,
    note_of,
    object_of,
    signers,
)

_MOST = 1_000  # entries about keys; a rotation makes two


class Trusted(StrEnum):
    """What is known of whoever signed."""

    GIVEN = "given"
    HANDED_OVER = "handed over"
    UNCHECKED = "not checked"  # no key was given: the log itself names this one
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signed a checkpoint; `key` is None where that is not known."""

    key: Key | None
    trusted: Trusted

    @property
    def vkey(self) -> str | None:
        """The key as verifiers are given it."""
        if self.key is None:
            return None
        public = base64.b64encode(b"\x01" + self.key.public).decode()
        return f"{self.key.name}+{self.key.id}+{public}"


def who_signed(connection: sa.Connection, newest: Signed, given: Sequence[Key]) -> Signature:
    """By the keys that were given and those they handed over to; by the log's own without any."""
    note, changes = _note(newest.note), list(_changes(connection, newest.size))
    if note is None:
        return Signature(None, Trusted.UNKNOWN)
    named = [key for change, _ in changes for key in change.keys]
    by = signers(note, {*given, *named})
    if not given:
        last = changes[-1][0].keys if changes else ()
        return _signature(by, last, Trusted.UNCHECKED)
    trusted = _trusted(connection, newest.size, given, changes)
    if found := by.intersection(trusted, given):
        return _signature(found, given, Trusted.GIVEN)
    return _signature(by & trusted, named, Trusted.HANDED_OVER)


def _signature(by: frozenset[Key], keys: Sequence[Key], trusted: Trusted) -> Signature:
    """That of the newest of these keys that signed."""
    key = next((each for each in reversed(keys) if each in by), None)
    return Signature(key, trusted if key else Trusted.UNKNOWN)


def _trusted(
    connection: sa.Connection,
    size: int,
    given: Sequence[Key],
    changes: Sequence[tuple[Named, bytes]],
) -> set[Key]:
    """The keys that may sign the newest checkpoint, by the rules of the verifier.

    A change of keys counts where a checkpoint that a trusted key signed has it in its tree: not
    everything that stands in the database was ever signed.
    """
    known = {*given, *(key for change, _ in changes for key in change.keys)}
    trusted, waiting, covered = set(given), deque(changes), list[Named]()
    for note in _turns(connection, size, changes):
        by = signers(note, known)
        if trusted.isdisjoint(by):
            continue
        while waiting and waiting[0][0].sequence <= note.size:
            change, leaf = waiting.popleft()
            if _covers(connection, note, change.sequence, leaf):
                covered.append(change)
        trust = Trust(trusted, covered)
        trust.holds(note.size, by)
        trusted = trust.trusted
    return trusted


def _changes(connection: sa.Connection, size: int) -> Iterator[tuple[Named, bytes]]:
    """The entries up to there that say which keys sign from then on, with their hashes."""
    query = proofs.keys_entries(size).order_by(ENTRIES.c.sequence).limit(_MOST)
    for row in connection.execute(query).all():
        try:
            said = object_of(facts_of(row).get("facts"))
            keys = (*_keys(said.get("added")), *_keys(said.get("vkeys")))
            removed = _keys(said.get("removed"))
        except (Changed, Malformed):
            continue
        yield Named(row.sequence, tuple(dict.fromkeys(keys)), removed), row.hash


def _keys(said: object) -> tuple[Key, ...]:
    return tuple(key_of(str(each)) for each in list_of(said)[:64])


def _turns(
    connection: sa.Connection, size: int, changes: Sequence[tuple[Named, bytes]]
) -> Iterator[Note]:
    """The last checkpoint before each change of keys, and the first one after it, in order.

    In between signers do not change; a log may have millions of checkpoints.
    """
    place = CHECKPOINTS.c.size
    signed = sa.select(CHECKPOINTS).where(CHECKPOINTS.c.note.is_not(None), place <= size).limit(1)
    found: dict[int, Any] = {}
    for change, _ in changes:
        before = signed.where(place < change.sequence).order_by(place.desc())
        after = signed.where(place >= change.sequence).order_by(place)
        for query in (before, after):
            if row := connection.execute(query).first():
                found[row.size] = row.note
    for _, text in sorted(found.items()):
        if note := _note(text):
            yield note


def _covers(connection: sa.Connection, note: Note, sequence: int, leaf: bytes) -> bool:
    """Whether the tree that was signed has the entry at its place."""
    try:
        hashes = proofs.by_tile(connection, note.size)
        proof = inclusion(sequence - 1, note.size, hashes)
    except LookupError:
        return False
    return included(leaf, sequence - 1, note.size, proof, note.root)


def _note(text: object) -> Note | None:
    try:
        return note_of(str(text))
    except Malformed:
        return None
