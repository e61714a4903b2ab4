"""What is done on the page of a case: held, drafted, an edit judged, ruled on, given back."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import JSONResponse

from inwit.cases import Output, Ruling, RulingKind, WhySkipped
from inwit.console.case_page import Claims, Rules, Token
from inwit.console.case_problem import FIELDS, in_place
from inwit.console.case_sheet import seen
from inwit.console.case_view import KINDS, words
from inwit.console.pages import HOME
from inwit.console.parts import ConsoleParts
from inwit.console.permissions import Permission, Visitor, require
from inwit.console.visible import typed
from inwit.console.work import Work, own_day
from inwit.errors import FieldError, InvalidField, InwitError
from inwit.ledger.rulings import Said
from inwit.types import Category

_LONGEST_REASON = 4_000
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{16,64}")

# A page asks by itself to hold on: that does not keep a session from ending.
_Stays = Annotated[Visitor, Depends(require(Permission.CLAIM, used=False))]
_Digest = Annotated[str, Form(max_length=64)]


@dataclass(frozen=True, slots=True)
class _Form:
    """The ruling as the browser sends it."""

    token: Token = ""
    request_id: _Digest = ""
    kind: Annotated[str, Form(max_length=32)] = ""
    policy_digest: _Digest = ""
    digest_approve: _Digest = ""
    digest_approve_rewrite: _Digest = ""
    digest_edit: _Digest = ""
    text: Annotated[str, Form()] = ""
    clause: Annotated[str, Form(max_length=64)] = ""
    reason: Annotated[str, Form()] = ""
    despite_flags: Annotated[str, Form(max_length=8)] = ""

    @property
    def written(self) -> str:
        """The edited text, with the line ends that it has in the page."""
        return typed(self.text)

    @property
    def unjudged(self) -> bool:
        """Whether it is an edit that the judges have not seen as it now stands."""
        edit = self.kind == RulingKind.EDIT
        return edit and Output(self.written, "stop").digest != self.digest_edit

    def said(self, case_id: str, reviewer: str, undo_s: float) -> Said:
        """The ruling.

        Raises:
            InvalidField: something is missing or wrong in it.
        """
        kind, clause = RulingKind(self.kind), Category(self.clause) if self.clause else None
        digests = {
            RulingKind.APPROVE_REWRITE: self.digest_approve_rewrite,
            RulingKind.EDIT: self.digest_edit,
        }
        # Made the reviewer's and the case's own: it must never be equal to anybody else's.
        own = hashlib.sha256(f"{reviewer}/{case_id}/{self.request_id}".encode()).hexdigest()
        return Said(
            case_id=case_id,
            reviewer=reviewer,
            token=self.token,
            kind=kind,
            digest=digests.get(kind, self.digest_approve),
            policy_digest=self.policy_digest,
            request_id=own,
            clause=clause,
            reason=self.reason.strip(),
            despite_flags=self.despite_flags == "yes",
            undo_s=undo_s,
        )

    def check(self) -> None:
        """Look at what can be seen to be wrong without the case.

        Raises:
            InvalidField: naming the fields.
        """
        found: list[FieldError] = []
        if self.kind not in list(RulingKind):
            found.append(FieldError("ruling", "choose a ruling"))
        if self.clause and self.clause not in list(Category):
            found.append(FieldError("clause", "choose one from the list"))
        if len(self.reason) > _LONGEST_REASON:
            found.append(FieldError("reason", f"at most {_LONGEST_REASON} characters"))
        if not _REQUEST_ID.fullmatch(self.request_id):
            found.append(FieldError("ruling", "load the page again: its form is not complete"))
        if found:
            raise InvalidField("The ruling is not complete.", tuple(found))


def router(parts: ConsoleParts, work: Work) -> APIRouter:
    """The routes of what is done with a case."""
    routes = APIRouter()
    _add_keeping(routes, parts, work)

    @routes.post("/cases/{case_id}/rule")
    async def rule(
        request: Request, visitor: Rules, case_id: str, form: Annotated[_Form, Depends()]
    ) -> Response:
        await seen(parts, visitor, case_id)
        try:
            form.check()
            if form.unjudged:
                return await _judged(request, parts, work, visitor, case_id, form)
            return await _ruled(request, parts, work, visitor, case_id, form)
        except InwitError as error:
            return await in_place(request, parts, visitor, case_id, form.token, error)

    return routes


def _add_keeping(routes: APIRouter, parts: ConsoleParts, work: Work) -> None:
    desk = work.desk

    @routes.post("/cases/{case_id}/renew")
    async def renew(visitor: _Stays, case_id: str, token: Token = "") -> Response:
        await seen(parts, visitor, case_id)
        lease = await desk.renew(visitor.account.reviewer, case_id, token)
        left_s = (lease.until - datetime.now(UTC)).total_seconds()
        return JSONResponse({"left_s": round(left_s, 3)})

    @routes.post("/cases/{case_id}/draft")
    async def draft(visitor: Claims, case_id: str, text: Annotated[str, Form()] = "") -> Response:
        await seen(parts, visitor, case_id)
        await desk.save_draft(visitor.account.reviewer, case_id, typed(text))
        return Response(status_code=204)

    @routes.post("/cases/{case_id}/release")
    async def release(
        request: Request,
        visitor: Claims,
        case_id: str,
        token: Token = "",
        why: Annotated[str, Form(max_length=32)] = "",
    ) -> Response:
        await seen(parts, visitor, case_id)
        try:
            await desk.release(visitor.account.reviewer, case_id, token, _why(why))
        except InwitError as error:
            return await in_place(request, parts, visitor, case_id, token, error)
        return Response(status_code=204, headers={"hx-redirect": HOME})


async def _judged(
    request: Request,
    parts: ConsoleParts,
    work: Work,
    visitor: Visitor,
    case_id: str,
    form: _Form,
) -> Response:
    """What the judges make of an edit: shown beside it, and the ruling is one more press."""
    reviewer = visitor.account.reviewer
    review: Mapping[str, Any] = await work.desk.check_edit(
        reviewer, case_id, form.token, form.written
    )
    headers = {"hx-retarget": "#edit-check", "hx-reswap": "innerHTML"}
    return parts.pages.render(
        request, "case_check.html", headers=headers, review=review, words=words, fields=FIELDS
    )


async def _ruled(
    request: Request,
    parts: ConsoleParts,
    work: Work,
    visitor: Visitor,
    case_id: str,
    form: _Form,
) -> Response:
    reviewer, undo_s = visitor.account.reviewer, work.desk.rules.undo_s
    ruling, case = await work.desk.rule(reviewer, form.said(case_id, reviewer.id, undo_s))
    headers = {"hx-retarget": "#case", "hx-reswap": "outerHTML"}
    return parts.pages.render(
        request,
        "case_ruled.html",
        headers=headers,
        case=case,
        ruling=ruling,
        said=KINDS[ruling.kind],
        undo_s=_undo_s(ruling),
        day=await own_day(parts.database, reviewer),
    )


def _undo_s(ruling: Ruling) -> float:
    """Seconds in which the ruling can still be taken back."""
    left = (ruling.takes_effect - datetime.now(UTC)).total_seconds()
    return max(0.0, left) if ruling.counts else 0.0


def _why(given: str) -> WhySkipped | None:
    if not given:
        return None
    if given not in list(WhySkipped):
        raise InvalidField("Choose a reason from the list.")
    return WhySkipped(given)
