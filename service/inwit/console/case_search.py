"""Finds cases for the list.

A golden case is told to nobody but the reviewer whose copy it is, and to them as any other case.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from inwit.cases import Case, CaseState, Reviewer, Ruling, RulingKind
from inwit.console.filters import has_category
from inwit.ledger.escalations import cases_of
from inwit.ledger.outcomes import ruling_of
from inwit.ledger.settling import conclusion
from inwit.ledger.tables import ESCALATIONS, RULINGS, SLOTS

_MOST_LOOKS = 20
_COLUMNS = ESCALATIONS.c


@dataclass(frozen=True, slots=True)
class State:
    """A choice of states: the words for it, and what it stands for."""

    words: str
    among: tuple[CaseState, ...]
    stuck: bool = False

    @property
    def closed(self) -> bool:
        """Whether these cases are over."""
        return not any(each.open for each in self.among)


_OPEN = (CaseState.PENDING, CaseState.CLAIMED)
STATES: Mapping[str, State] = {
    "open": State("Open", _OPEN),
    "pending": State("Waiting", (CaseState.PENDING,)),
    "claimed": State("Claimed", (CaseState.CLAIMED,)),
    "stuck": State("Stuck", _OPEN, stuck=True),
    "closed": State("Closed", (CaseState.RESOLVED, CaseState.EXPIRED)),
    "resolved": State("Ruled on", (CaseState.RESOLVED,)),
    "expired": State("Nobody ruled", (CaseState.EXPIRED,)),
}


@dataclass(frozen=True, slots=True)
class Search:
    """Which cases, for whom. What is empty or 0 is all; `state` is a key of STATES.

    `mine`: those on which the reader works or ruled. `closed_since` bounds closed ones.
    """

    reader: Reviewer
    tenants: frozenset[str]
    policies: frozenset[str]
    state: str
    severity: str
    language: str
    category: str
    tier: int
    mine: bool
    closed_since: datetime


def search(connection: sa.Connection, wanted: Search, after: str, most: int) -> list[Case]:
    """At most so many, after the one with the id `after`: open ones the oldest first, closed ones
    the latest first. Nothing that is opened or claimed meanwhile moves the others.
    """
    state = STATES[wanted.state]
    query = sa.select(ESCALATIONS).where(*_conditions(wanted, state))
    clock = _COLUMNS.closed if state.closed else _COLUMNS.opened
    if after:
        start = sa.select(clock).where(_COLUMNS.id == after).scalar_subquery()
        here, place = sa.tuple_(clock, _COLUMNS.id), sa.tuple_(start, sa.literal(after))
        query = query.where(here < place if state.closed else here > place)
    order = (clock.desc(), _COLUMNS.id.desc()) if state.closed else (clock, _COLUMNS.id)
    return cases_of(connection, connection.execute(query.order_by(*order).limit(most)).all())


def page(
    connection: sa.Connection,
    wanted: Search,
    after: str,
    most: int,
    blind: Callable[[Case], bool],
) -> tuple[list[Case], str | None]:
    """At most so many cases, and the id after which to go on, where more may follow.

    Cases that the reader is to see `blind` are left out where the search is by what judges said.
    One look passes over so many of them, and no more.
    """
    told_apart = bool(wanted.severity or wanted.category)
    shown: list[Case] = []
    for _ in range(_MOST_LOOKS):
        found = search(connection, wanted, after, most + 1)
        for case in found[:most]:
            after = case.id
            if not (told_apart and blind(case)):
                shown.append(case)
            if len(shown) == most:
                return shown, after if case is not found[-1] else None
        if len(found) <= most:
            return shown, None
    return shown, after


def decided(connection: sa.Connection, cases: Sequence[Case]) -> dict[str, Ruling]:
    """The rulings by which cases ended, by case; none of golden copies that were escalated.

    Any other case would be a senior's then, and never end so.
    """
    ids = [case.id for case in cases if case.state is CaseState.RESOLVED]
    every: dict[str, list[Ruling]] = {name: [] for name in ids}
    query = sa.select(RULINGS).where(RULINGS.c.escalation_id.in_(ids), RULINGS.c.counts == 1)
    for row in connection.execute(query.order_by(RULINGS.c.time, RULINGS.c.slot)):
        every[row.escalation_id].append(ruling_of(row))
    ends = {case.id: conclusion(case, every.get(case.id, [])) for case in cases}
    return {
        name: end
        for name, end in ends.items()
        if isinstance(end, Ruling) and end.kind is not RulingKind.ESCALATE
    }


def case_seen(connection: sa.Connection, reader: Reviewer, case_id: str) -> Case | None:
    """The case with this id, unless it is golden and not the reader's own."""
    query = sa.select(ESCALATIONS).where(_COLUMNS.id == case_id, _told(reader))
    return next(iter(cases_of(connection, connection.execute(query).all())), None)


def _conditions(wanted: Search, state: State) -> list[sa.ColumnElement[bool]]:
    found = [_COLUMNS.state.in_([each.value for each in state.among]), _told(wanted.reader)]
    for column, values in ((_COLUMNS.tenant, wanted.tenants), (_COLUMNS.policy, wanted.policies)):
        if values:
            found.append(column.in_(sorted(values)))
    for column, value in (
        (_COLUMNS.severity, wanted.severity),
        (_COLUMNS.language, wanted.language),
        (_COLUMNS.tier, wanted.tier),
    ):
        if value:
            found.append(column == value)
    if state.stuck:
        found.append(_COLUMNS.stuck.is_(True))
    if state.closed:
        found.append(_COLUMNS.closed >= wanted.closed_since)
    if wanted.category:
        found.append(has_category(wanted.category))
    if wanted.mine:
        found.append(_has(wanted.reader))
    return found


def _told(reader: Reviewer) -> sa.ColumnElement[bool]:
    copy = sa.and_(_COLUMNS.state != CaseState.GOLDEN.value, _has(reader))
    return sa.or_(_COLUMNS.expected.is_(None), copy)


def _has(reader: Reviewer) -> sa.ColumnElement[bool]:
    """Whether a slot is, or was, the reader's."""
    slots = sa.select(SLOTS.c.number).where(
        SLOTS.c.escalation_id == _COLUMNS.id, SLOTS.c.reviewer == reader.id
    )
    return slots.exists()
