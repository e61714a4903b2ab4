"""What it takes to forget responses: every place that has their content or leads to it.

Entries stay, with the commitments that nobody can open any more. All of it happens in one
transaction: it is gone everywhere, or nowhere.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from inwit.cases import CaseState
from inwit.ledger.outcomes import end_forgotten
from inwit.ledger.sealing import Fate
from inwit.ledger.tables import (
    CONTENTS,
    DATA_KEYS,
    DELIVERIES,
    EDITS,
    ENTRIES,
    ESCALATIONS,
    IDEMPOTENCY,
    RULINGS,
)
from inwit.ledger.transaction import Transaction
from inwit.ledger.vault import ERASED, NO_KEY

_AT_ONCE = 500
_CASE = ESCALATIONS.c
_OPEN = (CaseState.PENDING.value, CaseState.CLAIMED.value)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How much it is: pieces of content, texts of reviewers, cases that end by it, deliveries."""

    responses: int = 0
    pieces: int = 0
    texts: int = 0
    cases: int = 0
    deliveries: int = 0

    def __add__(self, other: "Forgotten") -> "Forgotten":
        return Forgotten(
            self.responses + other.responses,
            self.pieces + other.pieces,
            self.texts + other.texts,
            self.cases + other.cases,
            self.deliveries + other.deliveries,
        )


def forget(transaction: Transaction, responses: Sequence[str], fate: Fate) -> Forgotten:
    """Delete the content of responses, their keys, and all that was written for their cases.

    Cases that are open end as expired, with the policy's words for it and nothing else.
    """
    total = Forgotten()
    for start in range(0, len(responses), _AT_ONCE):
        total += _forget(transaction, responses[start : start + _AT_ONCE], fate)
    return total


def would_forget(connection: sa.Connection, responses: Sequence[str]) -> Forgotten:
    """How much there is of responses; nothing is changed."""
    total = Forgotten()
    for start in range(0, len(responses), _AT_ONCE):
        total += _counted(connection, responses[start : start + _AT_ONCE])
    return total


def _forget(transaction: Transaction, responses: Sequence[str], fate: Fate) -> Forgotten:
    connection = transaction.connection
    found = _counted(connection, responses)
    cases = _cases(connection, responses)
    for case in cases:
        if case.state in _OPEN:
            end_forgotten(transaction, case.id)
    transaction.flush()  # what their ends have written goes with the rest
    ids = [case.id for case in cases]
    for sequences in _sequences(connection, responses, cases):
        connection.execute(sa.delete(CONTENTS).where(CONTENTS.c.sequence.in_(sequences)))
    _forget_cases(connection, ids)
    connection.execute(sa.delete(DELIVERIES).where(DELIVERIES.c.response_id.in_(responses)))
    connection.execute(sa.delete(IDEMPOTENCY).where(IDEMPOTENCY.c.response_id.in_(responses)))
    _forget_keys(connection, responses, fate)
    return found


def _forget_cases(connection: sa.Connection, ids: Sequence[str]) -> None:
    connection.execute(sa.delete(EDITS).where(EDITS.c.escalation_id.in_(ids)))
    rulings = sa.update(RULINGS).where(RULINGS.c.escalation_id.in_(ids))
    connection.execute(rulings.values(text=None, digest=""))  # a digest confirms a guess
    cases = sa.update(ESCALATIONS).where(_CASE.id.in_(ids))
    connection.execute(cases.values(callback_url=None))
    connection.execute(
        cases.where(_CASE.state == CaseState.GOLDEN.value).values(state=CaseState.EXPIRED.value)
    )


def _forget_keys(connection: sa.Connection, responses: Sequence[str], fate: Fate) -> None:
    """Their rows stay without a key: nothing is sealed by a new one, and readers are told why."""
    values: dict[str, Any] = {"wrapped": NO_KEY}
    if fate is Fate.ERASED:
        values["subject"] = ERASED  # nor does it say any more whose they were
    column = DATA_KEYS.c.response_id
    connection.execute(sa.update(DATA_KEYS).where(column.in_(responses)).values(**values))
    query = sa.select(column).where(column.in_(responses))
    known = set(connection.execute(query).scalars())
    subject = ERASED if fate is Fate.ERASED else ""
    rows = [
        {"response_id": name, "subject": subject, "wrapped": NO_KEY}
        for name in responses
        if name not in known
    ]
    if rows:
        connection.execute(sa.insert(DATA_KEYS), rows)


def _counted(connection: sa.Connection, responses: Sequence[str]) -> Forgotten:
    cases = _cases(connection, responses)
    ids = [case.id for case in cases]
    pieces = sum(
        _count(connection, CONTENTS, CONTENTS.c.sequence.in_(sequences))
        for sequences in _sequences(connection, responses, cases)
    )
    texts = _count(connection, EDITS, EDITS.c.escalation_id.in_(ids))
    texts += _count(
        connection, RULINGS, RULINGS.c.escalation_id.in_(ids), RULINGS.c.text.is_not(None)
    )
    return Forgotten(
        responses=len(responses),
        pieces=pieces,
        texts=texts,
        cases=sum(case.state in _OPEN for case in cases),
        deliveries=_count(connection, DELIVERIES, DELIVERIES.c.response_id.in_(responses)),
    )


def _count(connection: sa.Connection, table: sa.Table, *conditions: sa.ColumnElement[bool]) -> int:
    query = sa.select(sa.func.count()).select_from(table).where(*conditions)
    return connection.execute(query).scalar_one()


def _cases(connection: sa.Connection, responses: Sequence[str]) -> list[Any]:
    """Their cases, and golden copies of them, which have no response of their own."""
    columns = (_CASE.id, _CASE.sequence, _CASE.state)
    own = connection.execute(sa.select(*columns).where(_CASE.response_id.in_(responses))).all()
    sequences = [row.sequence for row in own]
    if not sequences:
        return list(own)
    copies = sa.select(*columns).where(_CASE.response_id == "", _CASE.sequence.in_(sequences))
    return [*own, *connection.execute(copies)]


def _sequences(
    connection: sa.Connection, responses: Sequence[str], cases: Sequence[Any]
) -> Iterator[Sequence[int]]:
    """The places of entries that may have content, so many at once."""
    query = sa.select(ENTRIES.c.sequence).where(ENTRIES.c.response_id.in_(responses))
    places = list(connection.execute(query).scalars())
    if len(cases) > len({case.sequence for case in cases}):
        places += _of_copies(connection, {case.id for case in cases})
    for start in range(0, len(places), _AT_ONCE):
        yield places[start : start + _AT_ONCE]


def _of_copies(connection: sa.Connection, ids: set[str]) -> list[int]:
    """The places of acts on golden copies: only their bodies say on which."""
    query = sa.select(ENTRIES.c.sequence, ENTRIES.c.body).where(
        ENTRIES.c.response_id == "", ENTRIES.c.sequence.in_(sa.select(CONTENTS.c.sequence))
    )
    rows = connection.execute(query).all()
    return [row.sequence for row in rows if json.loads(row.body).get("case") in ids]
