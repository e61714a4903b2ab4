"""The list of cases, open or closed, without what was written in them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from inwit.cases import Case, Reviewer, Ruling, RulingKind
from inwit.console.case_search import STATES, Search, case_seen, decided, page
from inwit.console.case_view import why_first
from inwit.console.filters import (
    CATEGORIES,
    Language,
    Name,
    Value,
    address,
    choices,
    chosen,
    in_scope,
)
from inwit.console.pages import ROOT
from inwit.console.parts import ConsoleParts
from inwit.console.permissions import Permission, Visitor, require
from inwit.escalation.desk_rules import DeskRules
from inwit.types import Category, Severity

LIST = f"{ROOT}/list"
AT_ONCE = 50

_DAYS = (7, 30, 90, 365)
_Visitor = Annotated[Visitor, Depends(require(Permission.SEE_QUEUE))]


@dataclass(frozen=True, slots=True)
class Line:
    """A case in the list. `holders` hold it now; `free` says that this person can claim it.

    `blind`: what the judges said of it is not told before this person's first verdict. `ruling` is
    the one by which it ended.
    """

    case: Case
    blind: bool
    ruling: RulingKind | None
    reasons: tuple[str, ...]
    holders: tuple[str, ...]
    mine: bool
    free: bool


@dataclass(frozen=True, slots=True)
class Filters:
    """As they stand in the address; empty ones are all."""

    state: Value = "open"
    severity: Value = ""
    policy: Value = ""
    tenant: Value = ""
    language: Language = ""
    category: Value = ""
    tier: Annotated[str, Query(max_length=1)] = ""
    mine: Annotated[str, Query(max_length=3)] = ""
    days: Annotated[int, Query(ge=1, le=3660)] = _DAYS[0]


def router(parts: ConsoleParts) -> APIRouter:
    """The route of the list."""
    routes = APIRouter()

    @routes.get("/list")
    async def listing(
        request: Request,
        visitor: _Visitor,
        filters: Annotated[Filters, Depends()],
        after: Name = "",
    ) -> Response:
        reviewer, now = visitor.account.reviewer, datetime.now(UTC)
        wanted = _search(reviewer, filters, now)
        if after:
            visitor.seen(await parts.database.read(lambda each: case_seen(each, reviewer, after)))
        blind = partial(_blind, parts, reviewer)
        shown, more = await parts.database.read(
            lambda each: page(each, wanted, after, AT_ONCE, blind)
        )
        ends = await parts.database.read(lambda each: decided(each, shown))
        own = {name: str(getattr(filters, name)) for name in Filters.__slots__}
        return parts.pages.render(
            request,
            "list.html",
            lines=[
                _line(visitor, case, ends.get(case.id), now, blind=blind(case)) for case in shown
            ],
            filters=filters,
            closed=STATES[wanted.state].closed,
            states=[(name, state.words) for name, state in STATES.items()],
            severities=[(each.value, each.value) for each in Severity],
            categories=CATEGORIES,
            titles=dict(CATEGORIES),
            days=[(each, f"{each} days") for each in _DAYS],
            choices=await choices(parts.database, reviewer),
            start=address(LIST, **own) if after else None,
            next=address(LIST, **own, after=more) if more else None,
        )

    return routes


def _search(reviewer: Reviewer, filters: Filters, now: datetime) -> Search:
    category = chosen("category", filters.category, Category)
    return Search(
        reader=reviewer,
        tenants=in_scope(reviewer.tenants, filters.tenant),
        policies=in_scope(reviewer.policies, filters.policy),
        state=chosen("state", filters.state, STATES) or "open",
        severity=chosen("severity", filters.severity, Severity),
        language=filters.language.lower(),
        category=category,
        tier=int(chosen("tier", filters.tier, ("1", "2")) or 0),
        mine=bool(filters.mine),
        closed_since=now - timedelta(days=filters.days),
    )


def _blind(parts: ConsoleParts, reviewer: Reviewer, case: Case) -> bool:
    rules = DeskRules(blind_share=parts.settings.blind_share)
    return case.state.open and rules.blind(reviewer, case)


def _line(visitor: Visitor, case: Case, end: Ruling | None, now: datetime, *, blind: bool) -> Line:
    reviewer = visitor.account.reviewer
    holders = tuple(slot.reviewer or "" for slot in case.slots if slot.leased(now))
    own = [slot for slot in case.slots if slot.reviewer == reviewer.id]
    free = case.state.open and any(
        reviewer.may_rule(case, slot.tier) and not slot.leased(now) for slot in case.open_slots
    )
    return Line(
        case=case,
        blind=blind,
        ruling=end.kind if end is not None and visitor.may(Permission.SEE_CASE) else None,
        reasons=why_first(case, now, blind=blind) if case.state.open else (),
        holders=holders,
        mine=reviewer.id in holders,
        free=free
        and visitor.may(Permission.CLAIM)
        and reviewer.id not in case.excluded
        and not any(slot.ruled or slot.leased(now) for slot in own),
    )
