"""Entries whose time is over: their bytes go, their hashes stay, so that every proof holds on.

Only what a signed checkpoint covers: until then an entry's bytes are what the tree is proved by.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from inwit.cases import ActKind, ActRecord
from inwit.ledger import legal_holds
from inwit.ledger.forgetting import forget
from inwit.ledger.sealing import Fate
from inwit.ledger.tables import CHECKPOINTS, CONTENTS, DATA_KEYS, ENTRIES, ESCALATIONS
from inwit.ledger.transaction import Transaction
from inwit.ledger.vault import NO_KEY

PRUNED = ActKind.PRUNED.value
# What a verifier needs to believe the rest.
KEPT = frozenset({PRUNED, ActKind.ERASED.value, ActKind.SIGNING_KEYS.value})

# Entries by which a response stands: its content is not kept without them.
RESPONSE_TYPES = frozenset({"accepted", "window", "decision", "check", "cut", "failed"})

_BATCH = 500
_STRETCH = 5_000
_ENTRY = ENTRIES.c


@dataclass(frozen=True, slots=True)
class EntryRule:
    """Entries of these types, or of all but these, are pruned that are older than `before`."""

    words: str
    types: frozenset[str]
    others: bool
    before: datetime

    @property
    def fits(self) -> sa.ColumnElement[bool]:
        """Which entries it means."""
        if self.others:
            return _ENTRY.type.not_in(self.types | KEPT)
        return _ENTRY.type.in_(self.types - KEPT)


def covered(connection: sa.Connection) -> int:
    """The last entry that a signed checkpoint covers."""
    query = sa.select(sa.func.max(CHECKPOINTS.c.size)).where(CHECKPOINTS.c.note.is_not(None))
    return connection.execute(query).scalar() or 0


def due(connection: sa.Connection, rule: EntryRule, after: int) -> tuple[list[int], int | None]:
    """The places of entries that may go, past a place; and where to look on."""
    end = min(covered(connection), after + _STRETCH)
    here = (_ENTRY.sequence > after, _ENTRY.sequence <= end, rule.fits, _ENTRY.body != b"")
    columns = (_ENTRY.sequence, _ENTRY.tenant, _ENTRY.response_id)
    query = sa.select(*columns).where(*here, _ENTRY.time < rule.before)
    rows = connection.execute(query.order_by(_ENTRY.sequence).limit(_BATCH)).all()
    places = _free(connection, rows)
    if len(rows) == _BATCH:
        return places, rows[-1].sequence
    young = sa.select(_ENTRY.sequence).where(*here, _ENTRY.time >= rule.before).limit(1)
    more = end == after + _STRETCH and connection.execute(young).first() is None
    return places, end if more else None


def prune(transaction: Transaction, rule: EntryRule, places: Sequence[int]) -> int:
    """Prune entries, and say so in an entry. Those that may not go after all are left alone."""
    connection = transaction.connection
    columns = (_ENTRY.sequence, _ENTRY.tenant, _ENTRY.response_id, _ENTRY.type)
    query = sa.select(*columns).where(
        _ENTRY.sequence.in_(places), _ENTRY.sequence <= covered(connection), _ENTRY.body != b""
    )
    rows = connection.execute(query).all()
    gone = sorted(_free(connection, rows))
    if not gone:
        return 0
    going = [row for row in rows if row.sequence in set(gone)]
    _forget_content(transaction, going)
    connection.execute(
        sa.update(ENTRIES)
        .where(_ENTRY.sequence.in_(gone))
        .values(type=PRUNED, tenant="", response_id="", body=b"")
    )
    _forget_names(connection, {row.response_id for row in going} - {""})
    facts = {"rule": rule.words, "count": len(gone), "first": gone[0], "last": gone[-1]}
    transaction.add(ActRecord(ActKind.PRUNED, transaction.now, "", None, facts, {}))
    return len(gone)


def open_responses(connection: sa.Connection, names: Collection[str]) -> set[str]:
    """Those of the responses that an open case shows, be it a golden copy."""
    case = ESCALATIONS.c
    query = (
        sa.select(_ENTRY.response_id)
        .join(ESCALATIONS, case.sequence == _ENTRY.sequence)
        .where(_ENTRY.response_id.in_(names), case.closed.is_(None))
    )
    return set(connection.execute(query).scalars())


def _forget_content(transaction: Transaction, rows: Sequence[Any]) -> None:
    """What is left of content at these entries; all of a response's, where its own entry goes."""
    connection, column = transaction.connection, CONTENTS.c.sequence
    query = sa.select(column).where(column.in_([row.sequence for row in rows])).distinct()
    left = set(connection.execute(query).scalars())
    if not left:
        return
    own = {row.response_id for row in rows if row.sequence in left and row.type in RESPONSE_TYPES}
    forget(transaction, sorted(own), Fate.EXPIRED)
    connection.execute(sa.delete(CONTENTS).where(column.in_(left)))


def _forget_names(connection: sa.Connection, names: set[str]) -> None:
    """The rows of data keys of responses of which no entry is left: nobody asks for them."""
    query = sa.select(_ENTRY.response_id).where(_ENTRY.response_id.in_(names)).distinct()
    gone = names - set(connection.execute(query).scalars())
    column = DATA_KEYS.c
    those = (column.response_id.in_(gone), column.wrapped == NO_KEY)
    connection.execute(sa.delete(DATA_KEYS).where(*those))


def _free(connection: sa.Connection, rows: Sequence[Any]) -> list[int]:
    """The places of those that neither an open case nor a legal hold keeps."""
    names = {row.response_id for row in rows if row.response_id}
    kept, holds = open_responses(connection, names), legal_holds.standing(connection)
    query = sa.select(DATA_KEYS.c.response_id, DATA_KEYS.c.subject)
    found = connection.execute(query.where(DATA_KEYS.c.response_id.in_(names)))
    subjects = {row.response_id: row.subject for row in found}
    return [
        row.sequence
        for row in rows
        if row.response_id not in kept
        and not holds.over(
            tenant=row.tenant,
            response=row.response_id,
            subject=subjects.get(row.response_id, ""),
        )
    ]
