"""The first page: the next case, what waits, one's own cases and day; and how one likes to work."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response

from inwit.cases import Case
from inwit.console import case_sheet
from inwit.console.account_rows import Actor, Through
from inwit.console.case_page import Claims, new_token
from inwit.console.case_view import heading, why_first
from inwit.console.pages import ROOT, SAVED
from inwit.console.parts import ConsoleParts
from inwit.console.permissions import Permission, Visitor, require
from inwit.console.sign_in import redirect
from inwit.console.wishes import COMMANDS, NEVER, checked_cover, checked_keys, wishes_of
from inwit.console.work import Work, first_ones, lanes, own_cases, own_day
from inwit.errors import InvalidField, InwitError, QueueDown
from inwit.types import Severity

WISHES = f"{ROOT}/reviewing"

_Sees = Annotated[Visitor, Depends(require(Permission.SEE_QUEUE))]


def router(parts: ConsoleParts, work: Work) -> APIRouter:
    """The routes of the first page."""
    routes = APIRouter()

    @routes.get("/")
    async def home(request: Request, visitor: _Sees) -> Response:
        return await _home(request, parts, work, visitor)

    @routes.post("/next")
    async def next_case(
        request: Request, visitor: Claims, another: Annotated[str, Form(max_length=8)] = ""
    ) -> Response:
        reviewer, covers = visitor.account.reviewer, wishes_of(visitor.account).covers
        own = await own_cases(parts.database, reviewer)
        if own and another != "yes":
            return parts.pages.render(request, "next_open.html", own=_told(own))
        try:
            opened = await work.desk.next(reviewer, new_token(), uuid.uuid4().hex, covers=covers)
        except QueueDown as error:
            return await _home(request, parts, work, visitor, problem=error)
        if opened is None:
            day = await own_day(parts.database, reviewer)
            return parts.pages.render(request, "next_none.html", day=day)
        return await case_sheet.page(request, parts, work, visitor, opened)

    @routes.get("/reviewing")
    async def wishes_page(request: Request, visitor: Claims) -> Response:
        return _wishes(request, parts, visitor)

    @routes.post("/reviewing")
    async def wish(
        request: Request,
        visitor: Claims,
        keys_on: Annotated[str, Form(max_length=8)] = "",
        cover_from: Annotated[str, Form(max_length=16)] = "",
    ) -> Response:
        form = await request.form()
        try:
            wanted = {
                "keys_on": keys_on == "yes",
                "keys": checked_keys({each: form.get(f"key_{each}", "") for each in COMMANDS}),
                "cover_from": checked_cover(cover_from),
            }
        except InvalidField as error:
            return _wishes(request, parts, visitor, problem=error)
        account = visitor.account.id
        await parts.accounts.prefer(account, wanted, Actor(account, Through.CONSOLE))
        return redirect(f"{WISHES}?{SAVED}")

    return routes


async def _home(
    request: Request,
    parts: ConsoleParts,
    work: Work,
    visitor: Visitor,
    *,
    problem: InwitError | None = None,
) -> Response:
    reviewer, database = visitor.account.reviewer, parts.database
    now = datetime.now(UTC)
    first: Sequence[Case] = ()
    if visitor.may(Permission.CLAIM):
        first = await first_ones(database, reviewer)
    blind = work.desk.rules.blind
    own = await own_cases(database, reviewer)
    day = await own_day(database, reviewer)
    budget = work.desk.rules.budget or {}
    return parts.pages.render(
        request,
        "home.html",
        status=problem.status if problem else 200,
        problem=problem,
        lanes=await lanes(database, work.sweeper, reviewer),
        first=[(case, why_first(case, now, blind=blind(reviewer, case))) for case in first],
        own=_told(own),
        day=day,
        seen=[(each.value, day.shown.get(each, 0), budget.get(each)) for each in Severity],
    )


def _told(own: Sequence[Case]) -> list[tuple[Case, tuple[str, ...]]]:
    """One's own open cases, with what may be said of each before it is shown again."""
    now = datetime.now(UTC)
    return [(case, heading(case, now, blind=True)) for case in own]


def _wishes(
    request: Request, parts: ConsoleParts, visitor: Visitor, *, problem: InvalidField | None = None
) -> Response:
    wishes = wishes_of(visitor.account)
    problems = {each.field: each.problem for each in problem.errors} if problem else {}
    return parts.pages.render(
        request,
        "reviewing.html",
        status=problem.status if problem else 200,
        wishes=wishes,
        commands=[(name, words, wishes.keys[name]) for name, words in COMMANDS.items()],
        severities=[each.value for each in Severity],
        never=NEVER,
        problem=problem,
        problems=problems,
    )
