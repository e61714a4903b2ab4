"""`/v1/escalations`: the desk for programs. People use the console, which does the same."""

import re
import secrets
from collections.abc import Mapping
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from inwit.api.body import body_schema, read_body
from inwit.api.escalation_wire import (
    CaseList,
    ClaimBody,
    ClaimedOut,
    EditBody,
    EditOut,
    FileOut,
    FirstVerdictBody,
    HeldBody,
    LeaseOut,
    NextBody,
    ReleaseBody,
    RulingBody,
    RulingOut,
    UndoBody,
    case_out,
    claimed_out,
    file_out,
    ruling_out,
)
from inwit.api.problems import described
from inwit.bootstrap import Gateway
from inwit.cases import CaseState, Reviewer, Role
from inwit.errors import FieldError, InvalidField
from inwit.escalation.desk import Desk
from inwit.ledger.case_files import Wanted
from inwit.ledger.escalations import no_such_case
from inwit.ledger.rulings import Said
from inwit.types import KeyRole, Severity

M = TypeVar("M", bound=BaseModel)

_ID = re.compile(r"esc_[0-9a-f]{32}")
_NUMBER = re.compile(r"[0-9]{1,3}")
_MOST = 200

_PROBLEMS = described(
    {
        400: "Not JSON, or not UTF-8.",
        401: "No API key, or one that is unknown or revoked.",
        403: "The key lacks the role `review`, or the case is not for it.",
        404: "There is no such case for this key.",
        409: "Your lease is over, or the case is not as you saw it: the detail says what changed.",
        422: "Fields are missing, wrong or unknown.",
        503: "The queue, the ledger or the model server is away: see Retry-After.",
    }
)
_FILTERS = ("state", "policy", "severity", "language")
_PARAMETERS: list[dict[str, Any]] = [
    {"name": name, "in": "query", "description": "Only these.", "schema": {"type": "string"}}
    for name in (*_FILTERS, "after", "limit")
]
_BODIES: tuple[type[BaseModel], ...] = (
    *(NextBody, ClaimBody, HeldBody, ReleaseBody, EditBody, FirstVerdictBody, RulingBody),
    UndoBody,
)


def body_models() -> tuple[type[BaseModel], ...]:
    """The bodies that the routes read by themselves, for the API's description."""
    return _BODIES


def router(gateway: Gateway) -> APIRouter:
    """The routes, bound to an open gateway."""
    routes = APIRouter(prefix="/v1/escalations", tags=["escalations"], responses=_PROBLEMS)
    _reading(routes, gateway)
    _claiming(routes, gateway)
    _holding(routes, gateway)
    _weighing(routes, gateway)
    _ruling(routes, gateway)
    return routes


def _reading(routes: APIRouter, gateway: Gateway) -> None:
    security: dict[str, Any] = {"security": [{"api_key": []}]}

    @routes.get(
        "",
        summary="The cases, the oldest first",
        response_model=CaseList,
        openapi_extra={**security, "parameters": _PARAMETERS},
    )
    async def listed(request: Request) -> Response:
        """Without what was written, and open ones unless `state` says otherwise."""
        reviewer = await _reviewer(gateway, request)
        limit = _limit(request.query_params.get("limit", "50"))
        after = _after(request.query_params.get("after"))
        wanted = _wanted(reviewer, request.query_params)
        cases = await _desk(gateway).listing(wanted, after, limit + 1)
        more = len(cases) > limit
        shown = [case_out(case) for case in cases[:limit]]
        return _json(CaseList(cases=shown, next=shown[-1].id if more else None))

    @routes.get(
        "/{case_id}",
        summary="A case with its content",
        response_model=FileOut,
        openapi_extra=security,
    )
    async def read(request: Request, case_id: str) -> Response:
        """Read a case without claiming it; that is recorded."""
        reviewer = await _reviewer(gateway, request)
        file = await _desk(gateway).look(reviewer, _known(case_id))
        return _json(file_out(file, blind=_desk(gateway).rules.blind(reviewer, file.case)))


def _claiming(routes: APIRouter, gateway: Gateway) -> None:
    @routes.post(
        "/next",
        summary="Claim the case that comes first for you",
        response_model=ClaimedOut,
        responses={204: {"description": "There is none for you now."}},
        openapi_extra=body_schema(NextBody),
    )
    async def following(request: Request) -> Response:
        """Get the first case for this key, with a lease on it."""
        reviewer = await _reviewer(gateway, request)
        body = await _body(gateway, request, NextBody)
        token = body.token or secrets.token_urlsafe(32)
        name = body.request_id or secrets.token_hex(16)
        opened = await _desk(gateway).next(reviewer, token, f"{reviewer.id}/{name}")
        return Response(status_code=204) if opened is None else _json(claimed_out(opened))

    @routes.post(
        "/{case_id}/claim",
        summary="Claim one case",
        response_model=ClaimedOut,
        openapi_extra=body_schema(ClaimBody),
    )
    async def claim(request: Request, case_id: str) -> Response:
        """Get a lease on this case."""
        reviewer = await _reviewer(gateway, request)
        body = await _body(gateway, request, ClaimBody)
        token = body.token or secrets.token_urlsafe(32)
        opened = await _desk(gateway).claim(
            reviewer, _known(case_id), token, take_over=body.take_over
        )
        return _json(claimed_out(opened))


def _holding(routes: APIRouter, gateway: Gateway) -> None:
    @routes.post(
        "/{case_id}/renew",
        summary="Hold on to a case",
        response_model=LeaseOut,
        openapi_extra=body_schema(HeldBody),
    )
    async def renew(request: Request, case_id: str) -> Response:
        """Make the lease last as long again."""
        reviewer = await _reviewer(gateway, request)
        body = await _body(gateway, request, HeldBody)
        lease = await _desk(gateway).renew(reviewer, _known(case_id), body.token)
        return _json(LeaseOut(token=lease.token, until=lease.until.isoformat()))

    @routes.post(
        "/{case_id}/release",
        summary="Give a case back",
        status_code=204,
        openapi_extra=body_schema(ReleaseBody),
    )
    async def release(request: Request, case_id: str) -> Response:
        """End the lease; with `why`, this key does not get the case again."""
        reviewer = await _reviewer(gateway, request)
        body = await _body(gateway, request, ReleaseBody)
        await _desk(gateway).release(reviewer, _known(case_id), body.token, body.why)
        return Response(status_code=204)


def _weighing(routes: APIRouter, gateway: Gateway) -> None:
    @routes.post(
        "/{case_id}/edit",
        summary="Have your own text judged",
        response_model=EditOut,
        openapi_extra=body_schema(EditBody),
    )
    async def edit(request: Request, case_id: str) -> Response:
        """The judges look at your text; the ruling `edit` then names it by its digest."""
        reviewer = await _reviewer(gateway, request)
        body = await _body(gateway, request, EditBody)
        review = await _desk(gateway).check_edit(reviewer, _known(case_id), body.token, body.text)
        return _json(EditOut.model_validate(review))

    @routes.post(
        "/{case_id}/first-verdict",
        summary="Say what you think first",
        response_model=FileOut,
        openapi_extra=body_schema(FirstVerdictBody),
    )
    async def first_verdict(request: Request, case_id: str) -> Response:
        """Where a case is `blind`: then the scores and the rewrite are shown."""
        reviewer = await _reviewer(gateway, request)
        body = await _body(gateway, request, FirstVerdictBody)
        opened = await _desk(gateway).first_verdict(
            reviewer, _known(case_id), body.token, body.kind
        )
        return _json(file_out(opened.file, blind=opened.blind))


def _ruling(routes: APIRouter, gateway: Gateway) -> None:
    @routes.post(
        "/{case_id}/ruling",
        summary="Rule",
        response_model=RulingOut,
        openapi_extra=body_schema(RulingBody),
    )
    async def rule(request: Request, case_id: str) -> Response:
        """Rule on exactly what you saw. Where no caller waits in line it can be taken back."""
        reviewer = await _reviewer(gateway, request)
        body = await _body(gateway, request, RulingBody)
        said = Said(
            case_id=_known(case_id),
            reviewer=reviewer.id,
            token=body.token,
            kind=body.kind,
            digest=body.digest,
            policy_digest=body.policy_digest,
            request_id=f"{reviewer.id}/{body.request_id}",
            clause=body.clause,
            reason=body.reason,
            despite_flags=body.despite_flags,
            undo_s=_desk(gateway).rules.undo_s,
        )
        return _json(ruling_out(*await _desk(gateway).rule(reviewer, said)))

    @routes.post(
        "/{case_id}/undo",
        summary="Take a ruling back",
        response_model=ClaimedOut,
        openapi_extra=body_schema(UndoBody),
    )
    async def undo(request: Request, case_id: str) -> Response:
        """Before it takes effect; the case is yours again."""
        reviewer = await _reviewer(gateway, request)
        body = await _body(gateway, request, UndoBody)
        token = secrets.token_urlsafe(32)
        opened = await _desk(gateway).undo(reviewer, _known(case_id), body.ruling, token)
        return _json(claimed_out(opened))


async def _reviewer(gateway: Gateway, request: Request) -> Reviewer:
    """The API key as a reviewer: of its own tenant and policies; with the role admin, a senior."""
    header = request.headers.get("authorization")
    principal = await gateway.keys.authenticate(header, KeyRole.REVIEW)
    return Reviewer(
        id=f"key_{principal.key_id}",
        role=Role.SENIOR if KeyRole.ADMIN in principal.roles else Role.REVIEWER,
        tenants=frozenset({principal.tenant}),
        policies=frozenset(principal.policies),
    )


async def _body(gateway: Gateway, request: Request, model: type[M]) -> M:
    return await read_body(request, model, gateway.settings.max_body_bytes)


def _desk(gateway: Gateway) -> Desk:
    return gateway.escalation.desk


def _known(case_id: str) -> str:
    """The id, where it can be one at all."""
    if not _ID.fullmatch(case_id):
        raise no_such_case()
    return case_id


def _limit(given: str) -> int:
    if not _NUMBER.fullmatch(given) or not 1 <= int(given) <= _MOST:
        errors = (FieldError("limit", f"a number from 1 to {_MOST}"),)
        raise InvalidField("Mend the parameter `limit`.", errors)
    return int(given)


def _after(given: str | None) -> str | None:
    if given is not None and not _ID.fullmatch(given):
        errors = (FieldError("after", "the `next` of the page before"),)
        raise InvalidField("Mend the parameter `after`.", errors)
    return given


def _wanted(reviewer: Reviewer, given: Mapping[str, str]) -> Wanted:
    asked = {name: frozenset(filter(None, given.get(name, "").split(","))) for name in _FILTERS}
    known = {"state": {each.value for each in CaseState}, "severity": set(map(str, Severity))}
    for name, values in known.items():
        if asked[name] - values:
            errors = (FieldError(name, f"of: {', '.join(sorted(values))}"),)
            raise InvalidField(f"Mend the parameter `{name}`.", errors)
    for name in ("policy", "language"):
        if any("\0" in each for each in asked[name]):
            raise InvalidField(f"Mend the parameter `{name}`.", (FieldError(name, "no NUL"),))
    policies = asked["policy"] & reviewer.policies if asked["policy"] else reviewer.policies
    return Wanted(
        tenants=reviewer.tenants,
        policies=policies or frozenset({""}),
        states=asked["state"] or frozenset({CaseState.PENDING.value, CaseState.CLAIMED.value}),
        severities=asked["severity"],
        languages=asked["language"],
    )


def _json(answer: BaseModel) -> Response:
    return Response(answer.model_dump_json(), media_type="application/json")
