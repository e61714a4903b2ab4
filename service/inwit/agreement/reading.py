"""Reads closed cases with their rulings, and what the judges had made of them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import sqlalchemy as sa

from inwit.agreement.judged import UNKNOWN, States, classifier_thresholds, states
from inwit.agreement.rows import CaseRow, Filters, Rows, RulingRow, Standing
from inwit.cases import CaseState, RulingKind
from inwit.ledger.database import Database
from inwit.ledger.escalations import aware
from inwit.ledger.opened import Changed, facts_of
from inwit.ledger.tables import ENTRIES, ESCALATIONS, POLICIES, RULINGS
from inwit.policy.policy import Thresholds
from inwit.types import Category

MOST_CASES = 10_000
_PAGE = 500  # cases; other work gets the reading thread in between

_CASE = ESCALATIONS.c
_RULING = [  # not what was written
    RULINGS.c[name]
    for name in ("escalation_id", "slot", "reviewer", "kind", "first_verdict", "counts", "time")
]
_FROM = sa.join(ESCALATIONS, ENTRIES, _CASE.sequence == ENTRIES.c.sequence)


@dataclass
class _Reading:
    """What is known while the pages are read. `thresholds` are those of classifiers, by policy."""

    filters: Filters
    cases: list[CaseRow] = field(default_factory=list[CaseRow])
    last: tuple[datetime, str] | None = None
    thresholds: dict[str, Thresholds | None] = field(default_factory=dict[str, Thresholds | None])


async def read_rows(
    database: Database, filters: Filters, most: int = MOST_CASES, page: int = _PAGE
) -> Rows:
    """The cases that the filters let through, the newest first, `most` of them, `page` at a time.

    Raises:
        LedgerError: the database failed.
    """
    conditions = _conditions(filters)
    query = sa.select(sa.func.count()).select_from(ESCALATIONS).where(*conditions)
    total = await database.read(lambda connection: connection.execute(query).scalar_one())
    reading = _Reading(filters)
    while (wanted := min(page, most - len(reading.cases))) > 0:
        if await database.read(partial(_page, reading=reading, wanted=wanted)) < wanted:
            break
    return Rows(tuple(reading.cases), max(0, total - len(reading.cases)))


def _page(connection: sa.Connection, reading: _Reading, wanted: int) -> int:
    """Read on; how many there were."""
    query = sa.select(ESCALATIONS, ENTRIES.c.body, ENTRIES.c.hash).select_from(_FROM)
    query = query.where(*_conditions(reading.filters))
    if reading.last is not None:
        query = query.where(sa.tuple_(_CASE.closed, _CASE.id) < sa.tuple_(*_bound(*reading.last)))
    newest_first = (_CASE.closed.desc(), _CASE.id.desc())
    rows = connection.execute(query.order_by(*newest_first).limit(wanted)).all()
    rulings = _rulings(connection, rows)
    for row in rows:
        drawn, judged = _decided(connection, row, reading)
        reading.cases.append(_case(row, rulings[row.id], drawn, judged))
        reading.last = (aware(row.closed), row.id)
    return len(rows)


def _bound(closed: datetime, case_id: str) -> tuple[sa.ColumnElement[Any], ...]:
    return sa.literal(closed, _CASE.closed.type), sa.literal(case_id, _CASE.id.type)


def _conditions(filters: Filters) -> list[sa.ColumnElement[bool]]:
    found = [
        _CASE.closed >= filters.since.astimezone(UTC),
        _CASE.closed < filters.until.astimezone(UTC),
        _CASE.state != CaseState.GOLDEN.value,  # nobody is shown a template, only its copies
    ]
    for column, allowed in (
        (_CASE.tenant, filters.tenants),
        (_CASE.policy, filters.policies),
        (_CASE.language, filters.languages),
    ):
        if allowed:
            found.append(column.in_(sorted(allowed)))
    if filters.category is not None:
        listed = sa.literal(",").concat(_CASE.categories).concat(",")
        found.append(listed.contains(f",{filters.category.value},", autoescape=True))
    return found


def _rulings(
    connection: sa.Connection, cases: Sequence[sa.Row[Any]]
) -> dict[str, list[sa.Row[Any]]]:
    """By case, oldest first."""
    found: dict[str, list[sa.Row[Any]]] = {row.id: [] for row in cases}
    query = sa.select(*_RULING).where(RULINGS.c.escalation_id.in_(found))
    query = query.order_by(RULINGS.c.time, RULINGS.c.id)
    for row in connection.execute(query):
        found[row.escalation_id].append(row)
    return found


def _decided(connection: sa.Connection, row: sa.Row[Any], reading: _Reading) -> tuple[bool, States]:
    """Whether the second ruling was drawn, and the judges' states."""
    try:
        facts = facts_of(row)
    except Changed:
        return False, UNKNOWN
    digest = row.policy_digest
    if digest not in reading.thresholds:
        reading.thresholds[digest] = _thresholds(connection, digest)
    hold: dict[str, Any] = facts.get("hold") or {}
    return bool(hold.get("drawn")), states(facts, reading.thresholds[digest])


def _thresholds(connection: sa.Connection, digest: str) -> Thresholds | None:
    """The classifier's, from the text that was in force; None where that was changed since."""
    query = sa.select(POLICIES.c.text).where(POLICIES.c.digest == digest)
    text = connection.execute(query).scalar()
    if not isinstance(text, bytes) or hashlib.sha256(text).hexdigest() != digest:
        return None
    return classifier_thresholds(text)


def _case(row: sa.Row[Any], rulings: Sequence[sa.Row[Any]], drawn: bool, judged: States) -> CaseRow:
    return CaseRow(
        policy=row.policy,
        language=row.language,
        categories=tuple(Category(each) for each in row.categories.split(",") if each),
        required=row.required,
        drawn=drawn,
        expired=row.state == CaseState.EXPIRED.value,
        expected=RulingKind(row.expected) if row.expected else None,
        conscience=judged[0],
        classifier=judged[1],
        rulings=tuple(_ruling(each, aware(row.closed)) for each in rulings),
    )


def _ruling(row: sa.Row[Any], closed: datetime) -> RulingRow:
    if row.counts is not None:
        standing = Standing.COUNTED
    else:
        # A ruling can be taken back while the case is open; a late one comes after its end.
        standing = Standing.LATE if aware(row.time) >= closed else Standing.UNDONE
    return RulingRow(
        slot=row.slot,
        reviewer=row.reviewer,
        kind=RulingKind(row.kind),
        first=RulingKind(row.first_verdict) if row.first_verdict else None,
        standing=standing,
    )
