"""Rulings: one's own with what became of them, and for seniors and auditors those of everybody."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Query, Request, Response

from inwit.cases import CaseState, RulingKind
from inwit.console.filters import (
    CATEGORIES,
    Name,
    Value,
    address,
    cases_in_scope,
    choices,
    chosen,
    in_scope,
)
from inwit.console.pages import ROOT
from inwit.console.parts import ConsoleParts
from inwit.console.people import choices_of
from inwit.console.permissions import OutOfSight, Permission, Visitor, require
from inwit.ledger.escalations import aware, maybe
from inwit.ledger.tables import ESCALATIONS, RULINGS

OWN = f"{ROOT}/rulings"
ALL = f"{OWN}/all"
AT_ONCE = 50

_DAYS = (7, 30, 90, 365)
_Own = Annotated[Visitor, Depends(require(Permission.SEE_OWN_RULINGS))]
_All = Annotated[Visitor, Depends(require(Permission.SEE_RULINGS))]
_Condition = sa.ColumnElement[bool]


class Standing(StrEnum):
    """What became of a ruling; the values are what people read."""

    UNDOABLE = "can be taken back"
    WAITS = "in effect, and the case waits for another ruling"
    SETTLED = "settled"
    LATE = "too late: for learning only"
    UNDONE = "taken back"


@dataclass(frozen=True, slots=True)
class Line:
    """A ruling in the table."""

    id: str
    case_id: str
    reviewer: str
    kind: RulingKind
    clause: str | None
    policy: str
    tenant: str
    severity: str
    time: datetime
    takes_effect: datetime
    standing: Standing


@dataclass(frozen=True, slots=True)
class Filters:
    """As they stand in the address; empty ones are all."""

    person: Name = ""
    ruling: Value = ""
    policy: Value = ""
    tenant: Value = ""
    days: Annotated[int, Query(ge=1, le=3660)] = _DAYS[1]


def router(parts: ConsoleParts) -> APIRouter:
    """The two routes of rulings."""
    routes = APIRouter()

    @routes.get("/rulings")
    async def own(request: Request, visitor: _Own, after: Name = "") -> Response:
        found = await _read(parts, [RULINGS.c.reviewer == visitor.account.id], after)
        return _page(request, parts, found, OWN, after, everybody=False)

    @routes.get("/rulings/all")
    async def everybody(
        request: Request, visitor: _All, filters: Annotated[Filters, Depends()], after: Name = ""
    ) -> Response:
        found = await _read(parts, _conditions(visitor, filters), after)
        own = {name: str(getattr(filters, name)) for name in Filters.__slots__}
        return _page(
            request,
            parts,
            found,
            address(ALL, **own),
            after,
            everybody=True,
            filters=filters,
            kinds=[(each.value, each.value.replace("_", " ")) for each in RulingKind],
            days=[(each, f"{each} days") for each in _DAYS],
            choices=await choices(parts.database, visitor.account.reviewer),
            people=await choices_of(parts, visitor, filters.person),
        )

    return routes


def _page(
    request: Request,
    parts: ConsoleParts,
    found: list[Line],
    path: str,
    after: str,
    **values: Any,
) -> Response:
    shown = found[:AT_ONCE]
    joint = "&" if "?" in path else "?"
    more = f"{path}{joint}after={shown[-1].id}" if len(found) > AT_ONCE else None
    start = path if after else None
    return parts.pages.render(
        request,
        "rulings.html",
        lines=shown,
        start=start,
        next=more,
        titles=dict(CATEGORIES),
        **values,
    )


def _conditions(visitor: Visitor, filters: Filters) -> list[_Condition]:
    reviewer, columns = visitor.account.reviewer, ESCALATIONS.c
    found = [*cases_in_scope(reviewer), columns.expected.is_(None)]
    found.append(RULINGS.c.time >= datetime.now(UTC) - timedelta(days=filters.days))
    if visitor.may(Permission.RULE):
        # Who may still rule on an open case is not told what another said of it.
        closed = (CaseState.RESOLVED.value, CaseState.EXPIRED.value)
        found.append(columns.state.in_(closed))
    for column, wanted in (
        (RULINGS.c.reviewer, filters.person),
        (RULINGS.c.kind, chosen("ruling", filters.ruling, RulingKind)),
    ):
        if wanted:
            found.append(column == wanted)
    for column, own, wanted in (
        (columns.policy, reviewer.policies, filters.policy),
        (columns.tenant, reviewer.tenants, filters.tenant),
    ):
        if values := in_scope(own, wanted):
            found.append(column.in_(sorted(values)))
    return found


async def _read(parts: ConsoleParts, conditions: list[_Condition], after: str) -> list[Line]:
    """The latest first, one more than are shown."""
    joined = sa.join(RULINGS, ESCALATIONS, RULINGS.c.escalation_id == ESCALATIONS.c.id)
    of_case = [ESCALATIONS.c[each] for each in ("policy", "tenant", "severity", "state", "closed")]
    query = sa.select(RULINGS, *of_case).select_from(joined).where(*conditions)
    here = sa.tuple_(RULINGS.c.time, RULINGS.c.id)

    def read(connection: sa.Connection) -> list[Line]:
        wanted = query
        if after:
            known = query.where(RULINGS.c.id == after).with_only_columns(RULINGS.c.time)
            start = connection.execute(known).scalar()
            if start is None:
                raise OutOfSight
            place = (sa.literal(start, RULINGS.c.time.type), sa.literal(after))
            wanted = query.where(here < sa.tuple_(*place))
        wanted = wanted.order_by(RULINGS.c.time.desc(), RULINGS.c.id.desc()).limit(AT_ONCE + 1)
        return [_line(row) for row in connection.execute(wanted)]

    return await parts.database.read(read)


def _line(row: sa.Row[Any]) -> Line:
    return Line(
        id=row.id,
        case_id=row.escalation_id,
        reviewer=row.reviewer,
        kind=RulingKind(row.kind),
        clause=row.clause,
        policy=row.policy,
        tenant=row.tenant,
        severity=row.severity,
        time=aware(row.time),
        takes_effect=aware(row.takes_effect),
        standing=_standing(row),
    )


def _standing(row: sa.Row[Any]) -> Standing:
    closed = maybe(row.closed)
    if row.counts is None:
        late = closed is not None and aware(row.time) >= closed
        return Standing.LATE if late else Standing.UNDONE
    if not CaseState(row.state).open:
        return Standing.SETTLED
    waits = datetime.now(UTC) < aware(row.takes_effect)
    return Standing.UNDOABLE if waits else Standing.WAITS
