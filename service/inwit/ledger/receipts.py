"""The entries by which one response, or one entry, can be proven; and a tenant's own entries."""

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from inwit.ledger import proofs
from inwit.ledger.chain import commitment
from inwit.ledger.content_keys import KeyMissing
from inwit.ledger.opened import open_rows
from inwit.ledger.proofs import Proof
from inwit.ledger.tables import CONTENTS, ENTRIES

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


def released_of(connection: sa.Connection, entry: Row) -> tuple[bytes, bytes] | None:
    """The salt and the content that open an entry's commitment to what was released.

    None where it has none, where it is gone, or where it is not what was committed to.
    """
    query = sa.select(CONTENTS).filter_by(sequence=entry.sequence, kind="released")
    row = connection.execute(query).first()
    try:
        opened = open_rows(connection, [row])[0] if row is not None else None
    except KeyMissing:
        return None
    committed = json.loads(entry.body)["commitments"].get("released")
    return opened if opened is not None and commitment(*opened) == committed else None


def entries_after(connection: sa.Connection, tenant: str, after: int, most: int) -> Sequence[Row]:
    """A tenant's entries past a place, the oldest first."""
    place = ENTRIES.c.sequence
    query = sa.select(ENTRIES).filter_by(tenant=tenant)
    return connection.execute(query.where(place > after).order_by(place).limit(most)).all()
