"""Entries read by their place, a page at a time, and what became of those that were changed."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, cast

import sqlalchemy as sa

from inwit.cases import ActKind
from inwit.ledger.chain import leaf_hash
from inwit.ledger.tables import ENTRIES

PAGE = 1000

_ENTRY = ENTRIES.c


class Standing(StrEnum):
    """What is left of an entry at its place."""

    INTACT = "intact"
    PRUNED = "pruned"  # its body was removed on purpose; its hash stays
    CHANGED = "changed"  # its bytes are not those that its hash was taken over
    MISSING = "missing"  # there is no row at its place


@dataclass(frozen=True, slots=True)
class Leaf:
    """One place of the log.

    `body` is the exact bytes that `hash` (hexadecimal) was taken over, and empty where it is not
    intact; `facts` are what it says. `decided` are the facts of the decision that an outcome
    settles, where it is intact itself.
    """

    sequence: int
    hash: str
    standing: Standing
    body: bytes = b""
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    decided: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def index(self) -> int:
        """Its place in the tree, from 0."""
        return self.sequence - 1


@dataclass(frozen=True, slots=True)
class Selection:
    """Which entries: from `since` (included) until `until` (excluded). No tenants are all."""

    since: datetime | None = None
    until: datetime | None = None
    tenants: frozenset[str] = frozenset()

    @property
    def whole(self) -> bool:
        """Whether it leaves nothing out."""
        return self == Selection()

    @property
    def ranged(self) -> bool:
        """Whether it ends, and is not gone on with."""
        return self.since is not None or self.until is not None

    def as_json(self) -> dict[str, Any]:
        """By which a later run knows that it means the same."""
        return {
            "since": self.since.isoformat() if self.since else None,
            "until": self.until.isoformat() if self.until else None,
            "tenants": sorted(self.tenants),
        }


def last_sequence(connection: sa.Connection) -> int:
    """The place of the newest committed entry, or 0. No place before it is open."""
    return connection.execute(sa.select(sa.func.max(_ENTRY.sequence))).scalar() or 0


def hash_at(connection: sa.Connection, sequence: int) -> str | None:
    """The hash of the entry at a place: by it one log is told from another."""
    found = connection.execute(sa.select(_ENTRY.hash).where(_ENTRY.sequence == sequence)).scalar()
    return None if found is None else _bytes(found).hex()


def full_at(
    connection: sa.Connection, selection: Selection, first: int, last: int, rows: int
) -> int:
    """Where, from `first` on, so many selected entries are reached; `last` where they are fewer."""
    if selection.whole:
        return min(first + rows - 1, last)
    query = sa.select(_ENTRY.sequence).where(*_wanted(selection, first, last))
    found = connection.execute(query.order_by(_ENTRY.sequence).offset(rows - 1).limit(1)).scalar()
    return last if found is None else found


def page(connection: sa.Connection, selection: Selection, first: int, last: int) -> list[Leaf]:
    """The first selected leaves of the places `first` to `last`, both included, in order.

    Fewer than `PAGE` places end it. Where the selection is whole, places without a row are told.
    """
    if selection.whole:
        last = min(last, first + PAGE - 1)
    query = sa.select(_ENTRY.sequence, _ENTRY.response_id, _ENTRY.body, _ENTRY.hash)
    query = query.where(*_wanted(selection, first, last)).order_by(_ENTRY.sequence).limit(PAGE)
    rows = connection.execute(query).all()
    decided = _decided(connection, rows)
    leaves = [_leaf(row, decided) for row in rows]
    return list(_with_missing(leaves, first, last)) if selection.whole else leaves


def _wanted(selection: Selection, first: int, last: int) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = [_ENTRY.sequence.between(first, last)]
    if selection.since is not None:
        conditions.append(_ENTRY.time >= selection.since.astimezone(UTC))
    if selection.until is not None:
        conditions.append(_ENTRY.time < selection.until.astimezone(UTC))
    if selection.tenants:
        conditions.append(_ENTRY.tenant.in_(sorted(selection.tenants)))
    return conditions


def _with_missing(leaves: Sequence[Leaf], first: int, last: int) -> Iterator[Leaf]:
    expected = first
    for leaf in leaves:
        for sequence in range(expected, leaf.sequence):
            yield Leaf(sequence, "", Standing.MISSING)
        yield leaf
        expected = leaf.sequence + 1
    for sequence in range(expected, last + 1):
        yield Leaf(sequence, "", Standing.MISSING)


def _leaf(row: Any, decided: Mapping[str, Mapping[str, Any]]) -> Leaf:
    body, digest = _bytes(row.body), _bytes(row.hash)
    if not body:
        return Leaf(row.sequence, digest.hex(), Standing.PRUNED)
    facts = _facts(body, digest)
    if facts is None:
        return Leaf(row.sequence, digest.hex(), Standing.CHANGED)
    of_decision: Mapping[str, Any] = {}
    if facts.get("type") == ActKind.OUTCOME.value:
        of_decision = decided.get(row.response_id, {})
    return Leaf(row.sequence, digest.hex(), Standing.INTACT, body, facts, of_decision)


def _decided(connection: sa.Connection, rows: Sequence[Any]) -> dict[str, Mapping[str, Any]]:
    """The decisions that outcomes among the rows settle, by response."""
    wanted = {row.response_id for row in rows if row.response_id and _settles(_bytes(row.body))}
    if not wanted:
        return {}
    query = sa.select(_ENTRY.response_id, _ENTRY.body, _ENTRY.hash)
    query = query.where(_ENTRY.response_id.in_(sorted(wanted)), _ENTRY.type == "decision")
    found: dict[str, Mapping[str, Any]] = {}
    for row in connection.execute(query):
        facts = _facts(_bytes(row.body), _bytes(row.hash))
        if facts is not None:
            found[row.response_id] = facts
    return found


def _settles(body: bytes) -> bool:
    return f'"type":"{ActKind.OUTCOME.value}"'.encode() in body


def _facts(body: bytes, digest: bytes) -> dict[str, Any] | None:
    """What an entry says; None where it is not what was written, or no entry at all.

    Whoever can write into the database may have put anything there, with a hash that fits it.
    """
    if leaf_hash(body) != digest or b"\n" in body:
        return None
    try:
        facts = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", facts) if isinstance(facts, dict) else None


def _bytes(value: Any) -> bytes:
    """SQLite lets anything stand in any column."""
    return value if isinstance(value, bytes) else str(value).encode()
