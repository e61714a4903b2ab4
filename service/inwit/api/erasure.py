"""`POST /v1/ledger/erasures`: a person is forgotten, by a key with the role for it."""

import re
from typing import Annotated, Literal, Self

from fastapi import APIRouter, Request, Response
from pydantic import Field, model_validator

from inwit.api.body import body_schema, read_body
from inwit.api.problems import described
from inwit.api.schemas import Wire
from inwit.bootstrap import Gateway
from inwit.errors import Forbidden, NotFound
from inwit.ledger.erasure import Wanted, erase, would_erase
from inwit.ledger.legal_holds import LONGEST_REASON
from inwit.types import KeyRole, Principal

_ID = re.compile(r"resp_[0-9a-f]{32}")
_PROBLEMS = described(
    {
        400: "Not JSON, or not UTF-8.",
        401: "No API key, or one that is unknown or revoked.",
        403: "The key lacks the role: `admin`, or for a dry run `audit`.",
        404: "Your tenant has nothing of this end user, or no such response.",
        409: "A legal hold covers it: the detail names it.",
        422: "Fields are missing, wrong or unknown.",
        503: "The ledger is away, or its content keys are not here. Nothing was erased.",
    }
)


class ErasureBody(Wire):
    """What is to be erased of your tenant's: one end user's content, or one response's."""

    end_user: Annotated[str, Field(min_length=1, max_length=256)] | None = Field(
        None, description="An end user, exactly as requests name them.", examples=["user-4711"]
    )
    response: Annotated[str, Field(min_length=1, max_length=40)] | None = Field(
        None, description="Or the id of a response.", examples=[None]
    )
    reason: Annotated[str, Field(max_length=LONGEST_REASON)] = Field(
        "",
        description="A reference, such as a ticket's number. It stands in the ledger for ever: "
        "no names.",
        examples=["DPO-12"],
    )
    dry_run: bool = Field(False, description="Only count what would go.", examples=[False])

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.end_user is None) == (self.response is None):
            raise ValueError("name `end_user` or `response`, one of them")
        return self


class ErasureOut(Wire):
    """What went, or would go."""

    status: Literal["erased", "dry_run"] = Field(
        description="Whether it is gone.", examples=["erased"]
    )
    responses: int = Field(description="Responses.", examples=[3])
    pieces: int = Field(description="Pieces of content.", examples=[9])
    texts: int = Field(description="Texts of reviewers.", examples=[0])
    cases: int = Field(description="Open cases that ended by it.", examples=[0])
    deliveries: int = Field(description="Webhooks, sent ones too.", examples=[0])
    scrubbed: bool | None = Field(
        description="Whether nothing of it is left in the files of SQLite. `false`: somebody was "
        "reading, so that its write-ahead file may hold copies and their keys for a while; the "
        "gateway empties it as soon as it can. `null`: nobody looked, since it was a dry run or "
        "is the work of VACUUM on PostgreSQL.",
        examples=[True],
    )


def router(gateway: Gateway) -> APIRouter:
    """The route, bound to an open gateway."""
    routes = APIRouter(tags=["ledger"], responses=_PROBLEMS)

    @routes.post(
        "/v1/ledger/erasures",
        summary="Erase content on request",
        response_model=ErasureOut,
        openapi_extra=body_schema(ErasureBody),
    )
    async def erasure(request: Request) -> Response:
        """Delete keys, content and texts for good. Entries stay, and the proofs over them."""
        caller = await gateway.keys.identify(request.headers.get("authorization"))
        _may(caller, KeyRole.AUDIT, KeyRole.ADMIN)
        body = await read_body(request, ErasureBody, gateway.settings.max_body_bytes)
        if body.response is not None and not _ID.fullmatch(body.response):
            raise NotFound("Your tenant has no such response.")
        wanted = Wanted(
            caller.tenant, body.end_user, body.response, f"key_{caller.key_id}", body.reason
        )
        if body.dry_run:
            done = await would_erase(gateway.database, wanted)
        else:
            _may(caller, KeyRole.ADMIN)
            done = await erase(gateway.database, gateway.ledger.write, wanted)
        found = done.found
        answer = ErasureOut(
            status="dry_run" if body.dry_run else "erased",
            responses=found.responses,
            pieces=found.pieces,
            texts=found.texts,
            cases=found.cases,
            deliveries=found.deliveries,
            scrubbed=done.scrubbed,
        )
        return Response(answer.model_dump_json(), media_type="application/json")

    return routes


def _may(caller: Principal, *roles: KeyRole) -> None:
    if not caller.roles & set(roles):
        named = " or ".join(repr(each.value) for each in roles)
        raise Forbidden(f"This API key lacks the role {named}.")
