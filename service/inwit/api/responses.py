"""`GET /v1/responses/{id}` and its events: what became of a response, told from the ledger."""

import re
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

from inwit.api.caller import unless_gone
from inwit.api.problems import described, problem_json, request_id
from inwit.api.respond_answer import RespondResponse, to_wire
from inwit.api.schemas import Wire
from inwit.api.sse import EventStream, event
from inwit.api.stored_answer import LAST_EVENT_ID, place_of
from inwit.api.told import Told, no_such_response
from inwit.bootstrap import Gateway
from inwit.errors import FieldError, InvalidField
from inwit.types import KeyRole, Principal

_LONGEST_WAIT_S = 60
_ID = re.compile(r"resp_[0-9a-f]{32}")
_SECONDS = re.compile(r"[0-9]{1,2}(\.[0-9]{1,3})?")

_PROBLEMS = described(
    {
        401: "No API key, or one that is unknown or revoked.",
        403: "The key lacks the role.",
        404: "Your tenant has no such response.",
        410: "Its stream was cut short before a decision, or its content is no longer kept.",
        422: "`wait` or Last-Event-ID is wrong.",
        503: "As many requests wait as this gateway takes, or the ledger is away.",
    }
)
_KEY: dict[str, Any] = {"security": [{"api_key": []}]}
_WAIT = {
    "name": "wait",
    "in": "query",
    "description": "Seconds to wait while it is in progress or held.",
    "schema": {"type": "number", "minimum": 0, "maximum": _LONGEST_WAIT_S, "default": 0},
}
_LAST = {
    "name": LAST_EVENT_ID,
    "in": "header",
    "description": "The id of the last event that came; the whole stream when missing.",
    "schema": {"type": "string"},
}


class InProgress(Wire):
    """A response that is being written, and of which text has left."""

    id: str = Field(description="Id of the response.", examples=["resp_5f0c"])
    status: Literal["in_progress"] = Field(
        description="Always in_progress.", examples=["in_progress"]
    )


def router(gateway: Gateway, told: Told) -> APIRouter:
    """The routes, bound to an open gateway."""
    routes = APIRouter(tags=["respond"])

    @routes.get(
        "/v1/responses/{response_id}",
        summary="What became of a response",
        response_model=RespondResponse | InProgress,
        responses=_PROBLEMS,
        openapi_extra={**_KEY, "parameters": [_WAIT]},
    )
    async def response(request: Request, response_id: str) -> Response:
        """Get the answer of a response again, or wait for that of a held one."""
        principal = await _principal(gateway, request)
        wait_s = _wait(request)
        with ExitStack() as held:
            if wait_s:
                held.enter_context(told.waiting())
            settled = told.settled(principal.tenant, _known(response_id), wait_s)
            response = await unless_gone(request, settled)
        if response is None:
            answer = InProgress(id=response_id, status="in_progress")
        else:
            answer = to_wire(response)
        return Response(answer.model_dump_json(), media_type="application/json")

    @routes.get(
        "/v1/responses/{response_id}/events",
        summary="The rest of a stream that broke",
        response_class=Response,
        responses=_PROBLEMS,
        openapi_extra={**_KEY, "parameters": [_LAST]},
    )
    async def events(request: Request, response_id: str) -> Response:
        """Get what came after an event, as server-sent events; 204 where that was the last."""
        principal = await _principal(gateway, request)
        place = place_of(request.headers.get(LAST_EVENT_ID), _known(response_id))
        if place.at_the_end:
            await told.about(principal.tenant, response_id)
            return Response(status_code=204)
        with ExitStack() as held:
            held.enter_context(told.waiting())
            rest = told.rest(principal.tenant, response_id, place, request_id(request))
            return _stream(gateway, rest, held.pop_all(), response_id, request_id(request))

    return routes


def _stream(
    gateway: Gateway,
    chunks: AsyncGenerator[bytes],
    held: ExitStack,
    response_id: str,
    request: str,
) -> EventStream:
    return EventStream(
        chunks,
        held,
        headers=lambda: {"x-inwit-response": response_id},
        on_error=lambda error: event("error", problem_json(error, request), f"{response_id}/error"),
        heartbeat_s=gateway.settings.heartbeat_ms / 1000,
        send_s=gateway.settings.send_ms / 1000,
    )


async def _principal(gateway: Gateway, request: Request) -> Principal:
    return await gateway.keys.authenticate(request.headers.get("authorization"), KeyRole.RESPOND)


def _known(response_id: str) -> str:
    """The id, where it can be one at all."""
    if not _ID.fullmatch(response_id):
        raise no_such_response()
    return response_id


def _wait(request: Request) -> float:
    given = request.query_params.get("wait", "0")
    if not _SECONDS.fullmatch(given) or float(given) > _LONGEST_WAIT_S:
        errors = (FieldError("wait", f"a number of seconds from 0 to {_LONGEST_WAIT_S}"),)
        raise InvalidField("Mend the parameter `wait`.", errors)
    return float(given)
