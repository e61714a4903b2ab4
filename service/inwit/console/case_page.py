"""The page of a case: claimed, taken up again, read; a first verdict, and what is revealed."""

import asyncio
import secrets
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request, Response

from inwit.cases import Case, RulingKind
from inwit.console import case_sheet
from inwit.console.case_problem import in_place
from inwit.console.case_sheet import Sheet, seen, sheet_of, works_on
from inwit.console.case_view import ending, heading
from inwit.console.pages import asked_by_htmx
from inwit.console.parts import ConsoleParts
from inwit.console.permissions import Permission, Visitor, require
from inwit.console.refusals import noted
from inwit.console.similar import Earlier, earlier_rulings
from inwit.console.wishes import wishes_of
from inwit.console.work import Work
from inwit.errors import Conflict, Forbidden, InvalidField, InwitError
from inwit.escalation.desk_rules import Opened
from inwit.ledger.case_files import case_file
from inwit.ledger.outcomes import rulings_of

Sees = Annotated[Visitor, Depends(require(Permission.SEE_CASE))]
Claims = Annotated[Visitor, Depends(require(Permission.CLAIM))]
Rules = Annotated[Visitor, Depends(require(Permission.RULE))]
Token = Annotated[str, Form(max_length=64)]

_FIRST = (RulingKind.APPROVE, RulingKind.EDIT, RulingKind.BLOCK)


def router(parts: ConsoleParts, work: Work) -> APIRouter:
    """The routes of the page."""
    routes = APIRouter()
    _add_claiming(routes, parts, work)
    _add_showing(routes, parts, work)
    return routes


def new_token() -> str:
    """The secret of one tab's lease: 256 random bits."""
    return secrets.token_urlsafe(32)


def _add_claiming(routes: APIRouter, parts: ConsoleParts, work: Work) -> None:
    desk = work.desk

    @routes.post("/cases/{case_id}/claim")
    async def claim(
        request: Request, visitor: Claims, case_id: str, take_over: Annotated[str, Form()] = ""
    ) -> Response:
        case, over = await seen(parts, visitor, case_id), take_over == "yes"
        asked = desk.claim(
            visitor.account.reviewer,
            case_id,
            new_token(),
            take_over=over,
            covers=wishes_of(visitor.account).covers,
            resumed=asked_by_htmx(request),  # by the page that shows what was revealed before
        )
        return await _opened(request, parts, work, visitor, case, asked)

    @routes.post("/cases/{case_id}/again")
    async def again(request: Request, visitor: Claims, case_id: str, token: Token = "") -> Response:
        case = await seen(parts, visitor, case_id)
        who, covers = visitor.account.reviewer, wishes_of(visitor.account).covers
        asked = desk.again(who, case_id, token, covers=covers)
        return await _opened(request, parts, work, visitor, case, asked)

    @routes.post("/cases/{case_id}/first-verdict")
    async def first_verdict(
        request: Request, visitor: Rules, case_id: str, token: Token = "", kind: str = Form("")
    ) -> Response:
        case = await seen(parts, visitor, case_id)
        if kind not in _FIRST:
            raise InvalidField("Choose one of the three verdicts.")
        who, covers = visitor.account.reviewer, wishes_of(visitor.account).covers
        asked = desk.first_verdict(who, case_id, token, RulingKind(kind), covers=covers)
        return await _opened(request, parts, work, visitor, case, asked)

    @routes.post("/cases/{case_id}/undo")
    async def undo(
        request: Request, visitor: Rules, case_id: str, ruling: Annotated[str, Form()] = ""
    ) -> Response:
        case = await seen(parts, visitor, case_id)
        who, covers = visitor.account.reviewer, wishes_of(visitor.account).covers
        asked = desk.undo(who, case_id, ruling, new_token(), covers=covers)
        return await _opened(request, parts, work, visitor, case, asked)


def _add_showing(routes: APIRouter, parts: ConsoleParts, work: Work) -> None:
    desk = work.desk

    @routes.get("/cases/{case_id}")
    async def door(request: Request, visitor: Sees, case_id: str) -> Response:
        case = await seen(parts, visitor, case_id)
        if works_on(visitor, case):
            return await _door(request, parts, visitor, case)
        covers = wishes_of(visitor.account).covers
        file = await desk.look(visitor.account.reviewer, case_id, covers=covers)
        return await case_sheet.reading(request, parts, work, visitor, file)

    @routes.post("/cases/{case_id}/reveal/{part}")
    async def reveal(
        request: Request, visitor: Sees, case_id: str, part: str, token: Token = ""
    ) -> Response:
        case = await seen(parts, visitor, case_id)
        try:
            sheet = await _sheet(parts, work, visitor, case, token)
        except Conflict as error:
            return await in_place(request, parts, visitor, case_id, token, error)
        values: dict[str, Any] = {"case": case, "sheet": sheet, "editor": case_sheet.editor(sheet)}
        shown = await asyncio.to_thread(sheet.part, part)
        await desk.reveal(visitor.account.reviewer, case_id, part, token)
        return parts.pages.render(request, "case_revealed.html", part=shown, **values)

    @routes.post("/cases/{case_id}/similar")
    async def similar(request: Request, visitor: Sees, case_id: str, token: Token = "") -> Response:
        case, found = await seen(parts, visitor, case_id), list[Earlier]()
        sheet = await _sheet(parts, work, visitor, case, token)
        if not sheet.blind:
            reviewer, text = visitor.account.reviewer, sheet.file.candidate["text"]
            place = sheet.file.terms.sequence
            found = await earlier_rulings(parts.database, reviewer, case, place, text)
        return parts.pages.render(request, "case_similar.html", found=found, blind=sheet.blind)


async def _sheet(
    parts: ConsoleParts, work: Work, visitor: Visitor, case: Case, token: str
) -> Sheet:
    """The case as this person sees it now: under their lease, or to read.

    Raises:
        Conflict: it is to be claimed, and the token does not hold it.
    """
    reviewer = visitor.account.reviewer
    if works_on(visitor, case):
        opened = await work.desk.held(reviewer, case.id, token)
        return await sheet_of(parts, visitor, opened, opened.file)
    file = await parts.database.read(lambda each: case_file(each, case.id, reviewer.id))
    return await sheet_of(parts, visitor, None, file)


async def _opened(
    request: Request,
    parts: ConsoleParts,
    work: Work,
    visitor: Visitor,
    case: Case,
    asked: Awaitable[Opened],
) -> Response:
    """The page of the case that is asked for; or what stands against it.

    A page that is open already, with what was typed there, gets a new lease alone.
    """
    try:
        opened = await asked
    except (Conflict, Forbidden) as error:
        if asked_by_htmx(request):
            return await in_place(request, parts, visitor, case.id, "", error)
        problem = await noted(request, error)
        return await _door(request, parts, visitor, case, problem=problem)
    if not asked_by_htmx(request):
        return await case_sheet.page(request, parts, work, visitor, opened)
    return parts.pages.render(
        request,
        "case_lease.html",
        case=opened.file.case,
        token=opened.lease.token,
        left_s=(opened.lease.until - datetime.now(UTC)).total_seconds(),
        lease_s=work.desk.rules.lease_s,
        blind=opened.blind,
        anew=True,
    )


async def _door(
    request: Request,
    parts: ConsoleParts,
    visitor: Visitor,
    case: Case,
    *,
    problem: InwitError | None = None,
) -> Response:
    """What is told of a case before it is claimed: nothing that was written."""
    if problem is not None:
        case = await seen(parts, visitor, case.id)  # as it is now
    now, me = datetime.now(UTC), visitor.account.id
    status = problem.status if problem else 200
    rulings = await parts.database.read(lambda each: rulings_of(each, case.id))
    own = [each for each in rulings if each.reviewer == me and each.counts]
    return parts.pages.render(
        request,
        "case_door.html",
        status=status,
        case=case,
        problem=problem,
        ending=ending(case),
        reasons=heading(case, now, blind=True),
        held=any(
            each.reviewer == me and not each.ruled and each.leased(now) for each in case.slots
        ),
        ruled=bool(own),
        undo=next((each for each in own if each.takes_effect > now and case.state.open), None),
        now=now,
    )
