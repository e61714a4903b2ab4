"""Erasure on request: of an end user of a tenant, or of one response.

What goes: the keys (so that old pages and backups open no more), the content itself, the texts of
reviewers, and addresses of callbacks. What stays: the entries, and one more that says `erased`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from inwit.cases import ActKind, ActRecord
from inwit.errors import NotFound, SetupError
from inwit.ledger import legal_holds
from inwit.ledger.database import Database
from inwit.ledger.forgetting import Forgotten, forget, would_forget
from inwit.ledger.sealing import Fate, fate_of
from inwit.ledger.tables import CONTENTS, DATA_KEYS, ENTRIES, SUBJECTS
from inwit.ledger.transaction import Transaction
from inwit.ledger.vault import end_user_in, vault_of

_PAGE = 500
_TRIES = 3
_PAUSE_S = 0.1

Writes = Callable[[Callable[[Transaction], Forgotten]], Awaitable[Forgotten]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be erased: all of an end user, or one response. Each is of one tenant.

    `by` is a pseudonym; `reason` a reference such as a ticket's number: both stand in the entry.
    """

    tenant: str
    end_user: str | None = None
    response: str | None = None
    by: str = "operator"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Erased:
    """What went, or would go.

    `scrubbed` says whether nothing of it is left in the files of SQLite, keys and all; None where
    nobody looked: on PostgreSQL, and where nothing was changed.
    """

    found: Forgotten
    scrubbed: bool | None = None


@dataclass(frozen=True, slots=True)
class _Target:
    subject: str | None
    responses: tuple[str, ...]


async def erase(database: Database, writes: Writes, wanted: Wanted) -> Erased:
    """Erase it; `writes` is `LedgerStore.write`.

    Raises:
        NotFound: there is nothing of this end user, or no such response of this tenant.
        Conflict: a legal hold covers it.
        LedgerError: the database failed; nothing was erased.
    """
    old = await _old_responses(database, wanted)
    found = await writes(lambda transaction: _erase(transaction, wanted, old))
    if database.vault is not None:
        database.vault.forget()
    return Erased(found, await _scrubbed(database))


async def _scrubbed(database: Database) -> bool | None:
    """Short readers pass; for long ones nobody is kept waiting, and a gateway tries on."""
    for _ in range(_TRIES):
        done = await database.scrub()
        if done is not False:
            return done
        await asyncio.sleep(_PAUSE_S)
    return False


async def would_erase(database: Database, wanted: Wanted) -> Erased:
    """The same, and nothing is changed.

    Raises:
        NotFound: there is nothing of this end user, or no such response of this tenant.
        Conflict: a legal hold covers it.
        LedgerError: the database failed.
    """
    old = await _old_responses(database, wanted)

    def work(connection: sa.Connection) -> Forgotten:
        target = _target(connection, wanted, old)
        return would_forget(connection, target.responses)

    return Erased(await database.read(work))


def _erase(transaction: Transaction, wanted: Wanted, old: frozenset[str]) -> Forgotten:
    connection = transaction.connection
    target = _target(connection, wanted, old)
    found = forget(transaction, target.responses, Fate.ERASED)
    if target.subject is not None:
        connection.execute(sa.delete(SUBJECTS).where(SUBJECTS.c.id == target.subject))
    facts: dict[str, Any] = {
        "scope": "end_user" if wanted.response is None else "response",
        "subject": target.subject,
        "responses": found.responses,
        "pieces": found.pieces,
        "reason": wanted.reason,
    }
    transaction.add(
        ActRecord(
            ActKind.ERASED,
            transaction.now,
            wanted.tenant,
            wanted.by,
            facts,
            {},
            response_id=wanted.response or "",
        )
    )
    return found


def _target(connection: sa.Connection, wanted: Wanted, old: frozenset[str]) -> _Target:
    """What is meant, once nothing stands in the way.

    Raises:
        NotFound: there is no such thing.
        Conflict: a legal hold covers it.
    """
    if wanted.response is not None:
        return _one(connection, wanted.tenant, wanted.response)
    subject = _subject(connection, wanted)
    sealed = sa.select(DATA_KEYS.c.response_id).where(DATA_KEYS.c.subject == subject)
    responses = tuple(sorted({*connection.execute(sealed).scalars(), *old}))
    known = sa.select(SUBJECTS.c.id).where(SUBJECTS.c.id == subject)
    if not responses and connection.execute(known).first() is None:
        raise NotFound(
            f"The ledger has nothing of this end user of the tenant {wanted.tenant!r}. An id must "
            "be written exactly as the requests had it."
        )
    legal_holds.refuse_held(connection, wanted.tenant, responses, (subject,))
    return _Target(subject, responses)


def _one(connection: sa.Connection, tenant: str, response: str) -> _Target:
    if legal_holds.tenant_of(connection, response) != tenant:
        raise NotFound(f"The ledger holds nothing about {response}.")
    if fate_of(connection, response) is Fate.ERASED:
        raise NotFound(f"The content of {response} is erased already.")
    owner = sa.select(DATA_KEYS.c.subject).where(DATA_KEYS.c.response_id == response)
    subjects = tuple(connection.execute(owner).scalars())
    legal_holds.refuse_held(connection, tenant, (response,), subjects)
    return _Target(None, (response,))


def _subject(connection: sa.Connection, wanted: Wanted) -> str:
    if not wanted.end_user:
        raise NotFound("Name an end user or a response.")
    return subject_of(connection, wanted.tenant, wanted.end_user)


def subject_of(connection: sa.Connection, tenant: str, end_user: str | None) -> str:
    """The id by which the ledger knows an end user, or a tenant itself.

    Raises:
        KeyMissing: the content keys are not here.
        SetupError: this ledger seals nothing, and knows nobody by an id.
    """
    vault = vault_of(connection)
    if vault is None:
        raise SetupError(
            "Set INWIT_CONTENT_KEY_FILE or INWIT_CONTENT_KEY first: by it the ledger knows whose "
            "content is whose (docs/forgetting.md)."
        )
    return vault.subject(connection, tenant, end_user)


async def _old_responses(database: Database, wanted: Wanted) -> frozenset[str]:
    """Responses of an end user that an older version wrote in the clear, and nobody sealed since.

    Read before the transaction, which would hold up every commit meanwhile; no new ones come.
    """
    if wanted.end_user is None:
        return frozenset()
    found: set[str] = set()
    place: int | None = 0
    while place is not None:
        after = place
        names, place = await database.read(lambda each, a=after: _old_page(each, wanted, a))
        found |= names
    return frozenset(found)


def _old_page(connection: sa.Connection, wanted: Wanted, after: int) -> tuple[set[str], int | None]:
    query = (
        sa.select(CONTENTS.c.sequence, CONTENTS.c.content, ENTRIES.c.response_id, ENTRIES.c.tenant)
        .join(ENTRIES, ENTRIES.c.sequence == CONTENTS.c.sequence)
        .where(
            CONTENTS.c.sequence > after,
            CONTENTS.c.kind == "request",
            CONTENTS.c.nonce.is_(None),
        )
        .order_by(CONTENTS.c.sequence)
        .limit(_PAGE)
    )
    rows = connection.execute(query).all()
    names = {
        row.response_id
        for row in rows
        if row.tenant == wanted.tenant and end_user_in(row.content) == wanted.end_user
    }
    return names, rows[-1].sequence if len(rows) == _PAGE else None
