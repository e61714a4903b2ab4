"""Rotation of content keys while gateways run: in batches, each of which leaves all readable.

Stopped in between, it goes on by itself where it is started again. What it costs a gateway is to
wait for one batch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from inwit.ledger.content_keys import sealed, unsealed
from inwit.ledger.database import Database
from inwit.ledger.drafts import TEXTS, edit_place, ruling_place
from inwit.ledger.opened import named
from inwit.ledger.sealing import names_of, seal_for_case
from inwit.ledger.tables import CONTENTS, DATA_KEYS, EDITS, ENTRIES, RULINGS, SUBJECTS
from inwit.ledger.transaction import Transaction
from inwit.ledger.vault import (
    NO_KEY,
    SALT_BYTES,
    Owner,
    Piece,
    Vault,
    is_index,
    rewrapped,
    sealed_text,
)

_BATCH = 200

# A step works on what comes after a place, and says how many it changed and where to go on.
Step = Callable[[Transaction, Any], tuple[int, Any]]


@dataclass(frozen=True, slots=True)
class Rotated:
    """Keys of subjects that the active master key now wraps; content and texts sealed that were
    plain; and how many keys were wrapped by another master key again meanwhile.
    """

    subjects: int
    contents: int
    texts: int
    left: int


async def rotate_master(database: Database, vault: Vault) -> Rotated:
    """Wrap every subject's key by the active master key, and seal what is plain.

    Once `left` is 0 no other master key is needed any more.

    Raises:
        KeyMissing: a master key is not here that some keys are wrapped by.
        LedgerError: the database failed; what was done until then stays.
    """
    subjects = await _all(database, lambda each, place: _rewrap(each, vault, place), "")
    contents = await _all(database, lambda each, place: _seal_contents(each, vault, place), 0)
    texts = await _all(database, _seal_rulings, "")
    texts += await _all(database, _seal_edits, ("", ""))
    left = await database.read(lambda each: _count_left(each, vault.holder.active))
    return Rotated(subjects, contents, texts, left)


async def rotate_subjects(database: Database, vault: Vault, only: str | None = None) -> int:
    """Give every subject, or `only` this one, a new key, which wraps its data keys from now on.

    Raises:
        KeyMissing: a master key is not here that some keys are wrapped by.
        LedgerError: the database failed; what was done until then stays.
    """
    return await _all(database, lambda each, place: _renew(each, vault, place, only), "")


async def _all(database: Database, step: Step, start: Any) -> int:
    total, place = 0, start
    while place is not None:
        after = place

        def work(connection: sa.Connection, after: Any = after) -> tuple[int, Any]:
            transaction = Transaction(connection)
            found = step(transaction, after)
            transaction.flush()
            return found

        count, place = await database.write(work)
        total += count
    return total


def _rewrap(transaction: Transaction, vault: Vault, after: str) -> tuple[int, Any]:
    connection = transaction.connection
    query = (
        sa.select(SUBJECTS)
        .where(SUBJECTS.c.id > after, SUBJECTS.c.master != vault.holder.active)
        .order_by(SUBJECTS.c.id)
        .limit(_BATCH)
    )
    rows = connection.execute(query).all()
    for row in rows:
        change = sa.update(SUBJECTS).where(SUBJECTS.c.id == row.id)
        connection.execute(change.values(**rewrapped(vault.holder, row)))
    return len(rows), rows[-1].id if len(rows) == _BATCH else None


def _count_left(connection: sa.Connection, active: str) -> int:
    query = sa.select(sa.func.count()).where(SUBJECTS.c.master != active)
    return connection.execute(query).scalar_one()


def _renew(transaction: Transaction, vault: Vault, after: str, only: str | None) -> tuple[int, Any]:
    """One subject at a time: its data keys must change with it."""
    connection = transaction.connection
    query = sa.select(SUBJECTS).where(SUBJECTS.c.id > after).order_by(SUBJECTS.c.id).limit(1)
    if only is not None:
        query = query.where(SUBJECTS.c.id == only)
    row = connection.execute(query).first()
    if row is None:
        return 0, None
    if is_index(row.id):
        return 0, row.id
    old, raw = vault.subject_key(row), AESGCM.generate_key(256)
    master, wrapped = vault.holder.wrap(raw, row.id.encode())
    keys = sa.select(DATA_KEYS).where(DATA_KEYS.c.subject == row.id, DATA_KEYS.c.wrapped != NO_KEY)
    changes = [
        {"name": each.response_id, "again": _again(old, AESGCM(raw), each)}
        for each in connection.execute(keys).all()
    ]
    if changes:
        change = sa.update(DATA_KEYS).where(DATA_KEYS.c.response_id == sa.bindparam("name"))
        connection.execute(change.values(wrapped=sa.bindparam("again")), changes)
    change = sa.update(SUBJECTS).where(SUBJECTS.c.id == row.id)
    connection.execute(change.values(wrapped=wrapped, master=master))
    return 1, row.id


def _again(old: AESGCM, new: AESGCM, row: Any) -> bytes:
    place = row.response_id.encode()
    return sealed(new, unsealed(old, row.wrapped, place), place)


def _seal_contents(transaction: Transaction, vault: Vault, after: int) -> tuple[int, Any]:
    """Seal rows as older versions wrote them. One that was damaged stays as it is, to be seen."""
    connection = transaction.connection
    query = (
        sa.select(CONTENTS, ENTRIES.c.tenant, ENTRIES.c.body)
        .join(ENTRIES, ENTRIES.c.sequence == CONTENTS.c.sequence)
        .where(CONTENTS.c.nonce.is_(None), CONTENTS.c.sequence > after)
        .order_by(CONTENTS.c.sequence)
        .limit(_BATCH)
    )
    rows = connection.execute(query).all()
    # Not a part of an entry's content: its other rows come first in the next batch.
    last = rows[-1].sequence if len(rows) == _BATCH else None
    whole = [row for row in rows if row.sequence != last] or rows
    facts = {row.sequence: facts for row in whole if (facts := named(row.body)) is not None}
    names = names_of(connection, facts)
    pieces = [
        Piece(
            Owner(names[row.sequence], row.tenant, sure=False),
            row.sequence,
            row.kind,
            row.salt,
            row.content,
        )
        for row in whole
        if row.sequence in names and len(row.salt) == SALT_BYTES
    ]
    column = CONTENTS.c
    for sealed_row in vault.seal(connection, pieces, transaction.now):
        same = (column.sequence == sealed_row["sequence"], column.kind == sealed_row["kind"])
        connection.execute(sa.update(CONTENTS).where(*same).values(**sealed_row))
    return len(pieces), whole[-1].sequence if last is not None else None


def _seal_rulings(transaction: Transaction, after: str) -> tuple[int, Any]:
    connection, column = transaction.connection, RULINGS.c
    query = (
        sa.select(column.id, column.escalation_id, column.text)
        .where(column.id > after, column.text.is_not(None))
        .order_by(column.id)
        .limit(_BATCH)
    )
    rows, count = connection.execute(query).all(), 0
    for row in rows:
        if sealed_text(row.text) is None:
            place, now = ruling_place(row.id), transaction.now
            text = seal_for_case(connection, row.escalation_id, row.text, place, now)
            connection.execute(sa.update(RULINGS).where(column.id == row.id).values(text=text))
            count += 1
    return count, rows[-1].id if len(rows) == _BATCH else None


def _seal_edits(transaction: Transaction, after: tuple[str, str]) -> tuple[int, Any]:
    connection, column = transaction.connection, EDITS.c
    keys = (column.escalation_id, column.reviewer)
    query = sa.select(EDITS).where(sa.tuple_(*keys) > sa.tuple_(*map(sa.literal, after)))
    rows, count = connection.execute(query.order_by(*keys).limit(_BATCH)).all(), 0
    for row in rows:
        values = {
            each: seal_for_case(
                connection, row.escalation_id, text, edit_place(row, each), transaction.now
            )
            for each in TEXTS
            if (text := getattr(row, each)) is not None and sealed_text(text) is None
        }
        if values:
            same = (keys[0] == row.escalation_id, keys[1] == row.reviewer)
            connection.execute(sa.update(EDITS).where(*same).values(**values))
            count += len(values)
    last = (rows[-1].escalation_id, rows[-1].reviewer) if len(rows) == _BATCH else None
    return count, last
