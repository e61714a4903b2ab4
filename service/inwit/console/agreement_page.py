"""How far people agree, with one another and with the judges: numbers that a child process makes.

The page comes at once and says that the numbers are being made; htmx then fetches them.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from inwit.agreement.report import (
    Agreement,
    Dimension,
    Estimate,
    Group,
    PeopleReport,
    Report,
    Share,
    WhyNot,
)
from inwit.agreement.reports import Reports
from inwit.agreement.rows import Filters as Period
from inwit.agreement.rows import JudgeState, Outcome
from inwit.cases import Reviewer
from inwit.console.filters import (
    CATEGORIES,
    Language,
    Value,
    address,
    choices,
    chosen,
    in_scope,
)
from inwit.console.pages import ROOT
from inwit.console.parts import ConsoleParts
from inwit.console.people import shows
from inwit.console.permissions import Permission, Visitor, require
from inwit.errors import Overloaded
from inwit.types import Category

AGREEMENT = f"{ROOT}/agreement"
REPORT = f"{AGREEMENT}/report"
PEOPLE = f"{AGREEMENT}/people"

_DAYS = (7, 30, 90, 365)
_Sees = Annotated[Visitor, Depends(require(Permission.SEE_AGREEMENT))]
_Leads = Annotated[Visitor, Depends(require(Permission.MANAGE_GOLDEN))]  # seniors

_COEFFICIENTS = ("percent", "cohen", "fleiss", "alpha")
_DIMENSIONS = {
    Dimension.OVERALL: "All cases",
    Dimension.POLICY: "Policy",
    Dimension.LANGUAGE: "Language",
    Dimension.CATEGORY: "Category",
    Dimension.SECOND_RULING: "Second ruling",
}
_STATES = {
    JudgeState.PASSED: "passed it",
    JudgeState.DOUBT: "was in doubt",
    JudgeState.FLAGGED: "flagged it",
    JudgeState.NOT_JUDGED: "could not judge it",
    JudgeState.NOT_ASKED: "was not asked",
    JudgeState.UNKNOWN: "not known",
}
_OUTCOMES = {
    Outcome.AS_WRITTEN: "released as written",
    Outcome.CHANGED: "released changed",
    Outcome.BLOCKED: "blocked",
}
_NAMED = {"drawn": "drawn at random", "required": "required by the policy"}


@dataclass(frozen=True, slots=True)
class Filters:
    """As they stand in the address; empty ones are all."""

    days: Annotated[int, Query(ge=1, le=3660)] = 30
    policy: Value = ""
    tenant: Value = ""
    language: Language = ""
    category: Value = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table of coefficients: each a number in words, or the note that says why not."""

    name: str
    found: Agreement
    cells: tuple[tuple[str, WhyNot | None], ...]


_Filters = Annotated[Filters, Depends()]


def router(parts: ConsoleParts) -> APIRouter:
    """The page, and the two fragments that it fetches."""
    routes, reports = APIRouter(), Reports(parts.database)

    @routes.get("/agreement")
    async def agreement(request: Request, visitor: _Sees, filters: _Filters) -> Response:
        reviewer = visitor.account.reviewer
        _period(reviewer, filters)
        return parts.pages.render(
            request,
            "agreement.html",
            filters=filters,
            days=[(each, f"{each} days") for each in _DAYS],
            categories=CATEGORIES,
            choices=await choices(parts.database, reviewer),
            report=_address(REPORT, filters),
            people=_address(PEOPLE, filters),
        )

    @routes.get("/agreement/report")
    async def report(request: Request, visitor: _Sees, filters: _Filters) -> Response:
        period = _period(visitor.account.reviewer, filters)
        try:
            found = await reports.report(period)
        except Overloaded as error:
            return _later(request, parts, error, _address(REPORT, filters))
        return parts.pages.render(request, "agreement_report.html", **_told(found))

    @routes.get("/agreement/people")
    async def people(request: Request, visitor: _Leads, filters: _Filters) -> Response:
        viewer = visitor.account.reviewer
        try:
            found = await reports.people(_period(viewer, filters))
        except Overloaded as error:
            return _later(request, parts, error, _address(PEOPLE, filters))
        accounts = await parts.accounts.list()
        names = {each.id: each.name for each in accounts if shows(viewer, each.reviewer)}
        return parts.pages.render(
            request,
            "agreement_people.html",
            names=names,
            in_words=in_words,
            **_people(found),
        )

    return routes


def in_words(share: Share) -> str:
    """A share with its interval, or that there is none."""
    if share.rate is None or share.low is None or share.high is None:
        return "none"
    return f"{share.count} of {share.of}: {share.rate:.0%} ({share.low:.0%} to {share.high:.0%})"


def estimate_in_words(estimate: Estimate, *, percent: bool) -> str:
    """A number with its interval as far as there is one."""
    if estimate.value is None:
        return "none"
    form = ".0%" if percent else ".2f"
    value = format(estimate.value, form)
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} ({format(estimate.low, form)} to {format(estimate.high, form)})"


def _period(reviewer: Reviewer, filters: Filters) -> Period:
    """Until the minute that comes, so that all who ask in one minute get the same report."""
    category = chosen("category", filters.category, Category)
    ends = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    return Period(
        since=ends - timedelta(days=filters.days),
        until=ends,
        tenants=in_scope(reviewer.tenants, filters.tenant),
        policies=in_scope(reviewer.policies, filters.policy),
        languages=frozenset({filters.language.lower()} if filters.language else ()),
        category=Category(category) if category else None,
    )


def _address(path: str, filters: Filters) -> str:
    return address(path, **{name: str(getattr(filters, name)) for name in Filters.__slots__})


def _later(request: Request, parts: ConsoleParts, error: Overloaded, again: str) -> Response:
    """Says that it takes longer, and asks again by itself."""
    return parts.pages.render(
        request,
        "agreement_later.html",
        status=202,
        again=again,
        detail=error.detail,
        delay_s=error.retry_after or 10,
    )


def _told(report: Report) -> dict[str, Any]:
    tables = (
        ("By ruling", [_line(group, group.by_ruling) for group in report.groups]),
        ("By released or blocked", [_line(group, group.by_side) for group in report.groups]),
    )
    return {
        "report": report,
        "tables": tables,
        "notes": _notes([line for _, lines in tables for line in lines]),
        "states": _STATES,
        "outcomes": _OUTCOMES,
        "in_words": in_words,
    }


def _people(report: PeopleReport) -> dict[str, Any]:
    pairs = [
        (pair.reviewers, pair.by_ruling, _cells(pair.by_ruling, ("percent", "cohen")))
        for pair in report.pairs
    ]
    whys = {why for _, _, cells in pairs for _, why in cells if why is not None}
    return {"report": report, "pairs": pairs, "notes": sorted(whys)}


def _line(group: Group, found: Agreement) -> Line:
    if group.dimension is Dimension.CATEGORY:
        name = dict(CATEGORIES).get(group.name, group.name)
    else:
        name = _NAMED.get(group.name, group.name)
    words = _DIMENSIONS[group.dimension]
    return Line(f"{words}: {name}" if name else words, found, _cells(found, _COEFFICIENTS))


def _cells(found: Agreement, names: tuple[str, ...]) -> tuple[tuple[str, WhyNot | None], ...]:
    estimates = {name: getattr(found, name) for name in names}
    return tuple(
        (estimate_in_words(each, percent=name == "percent"), each.why)
        for name, each in estimates.items()
    )


def _notes(lines: list[Line]) -> list[WhyNot]:
    """Each reason that a table points to, once."""
    return sorted({why for line in lines for _, why in line.cells if why is not None})
