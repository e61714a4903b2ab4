"""Entries about what people did, the latest first: facts only, never content.

Entries are found by their place, in stretches of bounded length, since the person and the case
stand inside their bodies. An entry whose bytes are not those of its hash is told as such.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from inwit.cases import ActKind, Reviewer
from inwit.ledger.escalations import aware, cases_by_id
from inwit.ledger.opened import Changed, facts_of
from inwit.ledger.tables import ENTRIES, ESCALATIONS

LOOK = 50_000  # entries that one look goes through at most
_STRETCH = 2_000
_SLACK = 1_000  # entries that one commit, or two gateways' clocks, may put out of order

_COLUMNS = ENTRIES.c
_ACTS = [each.value for each in ActKind]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which acts, for whose eyes. What is empty is all; `until` is excluded."""

    reader: Reviewer
    kind: str = ""
    actor: str = ""
    case_id: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """One entry. `facts` is None where its bytes were changed after they were written."""

    sequence: int
    time: datetime
    kind: str
    tenant: str
    actor: str | None
    case_id: str
    facts: dict[str, Any] | None
    response: str = ""


@dataclass(frozen=True, slots=True)
class Acts:
    """Some of them. `before` goes on where there may be more; it reached back to that place."""

    found: tuple[Act, ...]
    before: int | None


def acts(
    connection: sa.Connection, asked: Asked, before: int | None, most: int, look: int = LOOK
) -> Acts:
    """At most so many acts before a place in the ledger, among the `look` entries before it."""
    found: list[Act] = []
    conditions, low = _conditions(connection, asked)
    high = before or _end(connection, asked)
    direct = asked.case_id and len(conditions) > 1  # an index leads to the entries of a response
    for start, end in [(low, high)] if direct else _stretches(max(low, high - look), high):
        for act in _stretch(connection, asked, conditions, start, end, most + 1 - len(found)):
            found.append(act)
            if len(found) > most:
                return Acts(tuple(found[:most]), found[most - 1].sequence)
        high = start
    return Acts(tuple(found), high if high > low else None)


def _stretches(low: int, high: int) -> Iterator[tuple[int, int]]:
    while high > low:
        start = max(low, high - _STRETCH)
        yield start, high
        high = start


def _stretch(
    connection: sa.Connection,
    asked: Asked,
    conditions: Sequence[sa.ColumnElement[bool]],
    start: int,
    end: int,
    most: int,
) -> Iterator[Act]:
    told = sa.or_(_COLUMNS.type != ActKind.PRUNED.value, _COLUMNS.body != b"")
    place = (_COLUMNS.sequence >= start, _COLUMNS.sequence < end, told)
    query = sa.select(ENTRIES).where(*place, *conditions).order_by(_COLUMNS.sequence.desc())
    fit = [act for row in connection.execute(query) if _fits(act := _act(row), asked)]
    if asked.reader.tenants or asked.reader.policies:
        cases = cases_by_id(connection, sorted({act.case_id for act in fit if act.case_id}))
        seen = {case.id for case in cases if asked.reader.may_see(case)}
        fit = [act for act in fit if act.case_id in seen]
    yield from fit[:most]


def _conditions(
    connection: sa.Connection, asked: Asked
) -> tuple[list[sa.ColumnElement[bool]], int]:
    """What SQL can decide, and the place before which nothing is wanted."""
    found: list[sa.ColumnElement[bool]] = [_COLUMNS.type.in_([asked.kind] if asked.kind else _ACTS)]
    if asked.case_id:
        query = sa.select(ESCALATIONS.c.response_id).where(ESCALATIONS.c.id == asked.case_id)
        if response := connection.execute(query).scalar():
            found.append(_COLUMNS.response_id == response)
    low = 1
    if asked.since is not None:
        earlier = _latest(connection, _COLUMNS.time < asked.since)
        low = max(1, earlier - _SLACK)
    return found, low


def _end(connection: sa.Connection, asked: Asked) -> int:
    """The place before which the look begins."""
    if asked.until is None:
        query = sa.select(sa.func.max(_COLUMNS.sequence))
        return (connection.execute(query).scalar() or 0) + 1
    return _latest(connection, _COLUMNS.time < asked.until) + _SLACK


def _latest(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> int:
    query = sa.select(_COLUMNS.sequence).where(condition).order_by(_COLUMNS.time.desc()).limit(1)
    return connection.execute(query).scalar() or 0


def _act(row: sa.Row[Any]) -> Act:
    try:
        facts = facts_of(row)
    except Changed:
        return Act(row.sequence, aware(row.time), row.type, row.tenant, None, "", None)
    return Act(
        sequence=row.sequence,
        time=datetime.fromisoformat(facts["time"]),
        kind=facts["type"],
        tenant=facts["tenant"],
        actor=facts.get("actor"),
        case_id=facts.get("case") or "",
        facts=facts.get("facts") or {},
        response=facts.get("response") or "",
    )


def _fits(act: Act, asked: Asked) -> bool:
    """A changed entry fits whenever it may have: it must not be overlooked."""
    if asked.since is not None and act.time < asked.since:
        return False
    if asked.until is not None and act.time >= asked.until:
        return False
    if act.facts is None:
        return True
    return asked.actor in ("", act.actor) and asked.case_id in ("", act.case_id)
