"""Keeps the exact text of every policy that was in force, by the digest that entries name."""

import hashlib
import hmac
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from inwit.errors import InwitError, LedgerError
from inwit.ledger.database import Database
from inwit.ledger.in_force import note_in_force, standing
from inwit.ledger.tables import POLICIES
from inwit.types import PolicyRef


@dataclass(frozen=True, slots=True)
class KeptPolicy:
    """A policy's file as it stood, and when a gateway first brought it into force."""

    ref: PolicyRef
    text: bytes
    first_in_force: datetime


async def keep(
    database: Database,
    policies: Iterable[tuple[PolicyRef, bytes]],
    *,
    fresh: Collection[PolicyRef] = (),
    gone: Collection[str] = (),
) -> None:
    """Make the texts durable, all in one transaction; what is kept already stays as it is.

    `fresh` are about to come into force on a gateway, and the policies named in `gone` are in
    force there no more: an entry says so, unless another gateway was first.

    Raises:
        InwitError: a text is not the one that its digest names.
        LedgerError: it is not known that they are durable.
    """
    now = datetime.now(UTC)
    rows = {ref.digest: _row(ref, text, now) for ref, text in policies}
    known = await standing(database, {*(ref.name for ref in fresh), *gone})

    def work(connection: sa.Connection) -> None:
        _insert_new(connection, rows)
        note_in_force(connection, known, fresh, gone)

    if rows or gone:
        await database.write(work)


async def read(database: Database, digest: str) -> KeptPolicy | None:
    """The policy with that digest (64 hexadecimal digits), if it was ever in force.

    Raises:
        LedgerError: the text was changed after it was kept, or the database failed.
    """
    query = sa.select(POLICIES).where(POLICIES.c.digest == digest.lower())
    row = await database.read(lambda connection: connection.execute(query).first())
    if row is None:
        return None
    if not _is_digest_of(row.digest, row.text):
        raise LedgerError(f"The text kept under {digest} is not the one with that digest.")
    ref = PolicyRef(row.name, row.version, row.digest)
    return KeptPolicy(ref, bytes(row.text), row.first_in_force)


def _row(ref: PolicyRef, text: bytes, now: datetime) -> dict[str, object]:
    if not _is_digest_of(ref.digest, text):
        raise InwitError(f"The text of the policy {ref.name!r} is not the one with its digest.")
    return {
        "digest": ref.digest,
        "name": ref.name,
        "version": ref.version,
        "text": text,
        "first_in_force": now,
    }


def _insert_new(connection: sa.Connection, rows: dict[str, dict[str, object]]) -> None:
    # No race with another gateway between the two: `Database.write` lets one writer in at a time,
    # on SQLite by BEGIN IMMEDIATE and on PostgreSQL by an advisory lock.
    digests = sa.select(POLICIES.c.digest).where(POLICIES.c.digest.in_(rows))
    kept = set(connection.execute(digests).scalars())
    if new := [row for digest, row in rows.items() if digest not in kept]:
        connection.execute(sa.insert(POLICIES), new)


def _is_digest_of(digest: str, text: object) -> bool:
    """Whether it is so. SQLite lets anything stand in any column; whoever edits one may do so."""
    return isinstance(text, bytes) and hmac.compare_digest(hashlib.sha256(text).hexdigest(), digest)
