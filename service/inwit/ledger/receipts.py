"""The entries by which one response, or one entry, can be proven; and a tenant's own entries."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from inwit.ledger import proofs
from inwit.ledger.proofs import Proof
from inwit.ledger.tables import ENTRIES

# Of a response's entries the one that settles it, the first of these that is there.
SETTLES = ("outcome", "decision", "check", "cut", "failed", "accepted")

Row = sa.Row[Any]


def entry_of(connection: sa.Connection, tenant: str, name: str) -> Row | None:
    """The entry with that id, or the one that settles the response with that id."""
    columns = sa.select(ENTRIES)
    if name.startswith("ent_"):
        return connection.execute(columns.filter_by(tenant=tenant, id=name)).first()
    query = columns.filter_by(tenant=tenant, response_id=name)
    rows = connection.execute(query.where(ENTRIES.c.type.in_(SETTLES))).all()
    return min(rows, key=lambda row: SETTLES.index(row.type), default=None)


def proof_for(connection: sa.Connection, tenant: str, name: str) -> tuple[Row | None, Proof | None]:
    """The entry that is asked for, and its proof as soon as a checkpoint covers it."""
    entry = entry_of(connection, tenant, name)
    return entry, proofs.proof_of(connection, entry) if entry is not None else None


def entries_after(connection: sa.Connection, tenant: str, after: int, most: int) -> Sequence[Row]:
    """A tenant's entries past a place, the oldest first."""
    place = ENTRIES.c.sequence
    query = sa.select(ENTRIES).filter_by(tenant=tenant)
    return connection.execute(query.where(place > after).order_by(place).limit(most)).all()
