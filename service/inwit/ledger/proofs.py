"""Reads the tree, its checkpoints and its proofs from the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from typing import Any

import sqlalchemy as sa

from inwit.cases import ActKind
from inwit.ledger.escalations import aware
from inwit.ledger.merkle import WIDTH, Hashes, Tree, consistency, inclusion
from inwit.ledger.tables import CHECKPOINTS, ENTRIES, NODES


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint that was signed."""

    size: int
    note: str
    time: datetime


@dataclass(frozen=True, slots=True)
class Proof:
    """That one entry stands in the log: its exact bytes, its place from 0 on, and the way up."""

    index: int
    body: bytes
    hashes: tuple[bytes, ...]
    checkpoint: Signed


def newest(connection: sa.Connection) -> Signed | None:
    """The newest checkpoint."""
    query = sa.select(CHECKPOINTS).where(CHECKPOINTS.c.note.is_not(None))
    row = connection.execute(query.order_by(CHECKPOINTS.c.size.desc()).limit(1)).first()
    return Signed(row.size, row.note, aware(row.time)) if row else None


def keys_entry(connection: sa.Connection, size: int | None = None) -> sa.Row[Any] | None:
    """The newest entry that names the signing keys; among the first `size` entries, where given."""
    query = keys_entries(size).order_by(ENTRIES.c.sequence.desc()).limit(1)
    return connection.execute(query).first()


def keys_entries(size: int | None = None) -> sa.Select[Any]:
    """All that do, among the same."""
    query = sa.select(ENTRIES).where(
        # Entries without a response are few, and an index leads to them.
        ENTRIES.c.response_id == "",
        ENTRIES.c.type == ActKind.SIGNING_KEYS.value,
    )
    return query if size is None else query.where(ENTRIES.c.sequence <= size)


def tree_at(connection: sa.Connection, size: int) -> Tree:
    """The right edge of the tree over the first entries."""
    return Tree.of(size, partial(hashes, connection))


def leaves(connection: sa.Connection, start: int, end: int) -> Sequence[bytes]:
    """The hashes of the entries with an index from `start` to `end` (excluded), as many as are."""
    column = ENTRIES.c.sequence
    query = sa.select(ENTRIES.c.hash).where(column > start, column <= end).order_by(column)
    return connection.execute(query).scalars().all()


def hashes(connection: sa.Connection, level: int, start: int, end: int) -> Sequence[bytes]:
    """Hashes of one level of the tree by place, `end` excluded.

    Raises:
        LookupError: not all of them are there.
    """
    if start >= end:
        return []
    if level == 0:
        found = leaves(connection, start, end)
    else:
        place = NODES.c.place
        query = sa.select(NODES.c.hash).where(NODES.c.level == level, place >= start, place < end)
        found = connection.execute(query.order_by(place)).scalars().all()
    if len(found) != end - start:
        raise LookupError(f"the tree lacks hashes at level {level} from {start} to {end}")
    return found


def proof_of(connection: sa.Connection, entry: sa.Row[Any]) -> Proof | None:
    """The proof of a row with `sequence` and `body`; None while no checkpoint covers it."""
    signed = newest(connection)
    if signed is None or signed.size < entry.sequence:
        return None
    way = inclusion(entry.sequence - 1, signed.size, by_tile(connection, signed.size))
    return Proof(entry.sequence - 1, entry.body, tuple(way), signed)


def consistency_of(connection: sa.Connection, old: int, size: int) -> list[bytes]:
    """The proof that the first `old` entries are a beginning of the first `size`.

    Raises:
        LookupError: the tree is not that large.
        ValueError: the old size is the larger one.
    """
    return consistency(old, size, by_tile(connection, size))


def by_tile(connection: sa.Connection, size: int) -> Hashes:
    """Hashes of a tree of `size` entries; each tile is read once."""

    @cache
    def tile(level: int, first: int) -> Sequence[bytes]:
        return hashes(connection, level, first, min(first + WIDTH, size // WIDTH**level))

    def read(level: int, start: int, end: int) -> Sequence[bytes]:
        first = start // WIDTH * WIDTH
        return tile(level, first)[start - first : end - first]

    return read
