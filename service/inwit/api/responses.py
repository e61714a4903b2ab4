"""`GET /v1/responses/{id}` and its events: what became of a response, told from the ledger."""

import asyncio
import re
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

from inwit.api.caller import unless_gone
from inwit.api.problems import MEDIA_TYPE, problem_json, request_id
from inwit.api.respond_answer import RespondResponse
from inwit.api.schemas import Wire
from inwit.api.sse import EventStream, event
from inwit.api.stored_answer import (
    LAST_EVENT_ID,
    Place,
    delta,
    events_after,
    no_such_event,
    place_of,
    stored_answer,
)
from inwit.bootstrap import Gateway
from inwit.decisions import CutReason
from inwit.errors import CutShort, FieldError, InvalidField, NotFound, Overloaded
from inwit.ledger.stored import Stored
from inwit.types import KeyRole, Principal

_LONGEST_WAIT_S = 60
_FOLLOW_S = 0.25  # between two looks at a stream in progress
_PAUSES_S = (0.25, 1.0)  # between two looks at a response that is waited for, growing
_ID = re.compile(r"resp_[0-9a-f]{32}")
_SECONDS = re.compile(r"[0-9]{1,2}(\.[0-9]{1,3})?")

_ENDED = {
    CutReason.CALLER_GONE: "its caller hung up",
    CutReason.UPSTREAM: "the model server failed",
    CutReason.LEDGER: "the ledger did not answer",
    CutReason.INTERNAL: "something failed inside Inwit",
}
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": words,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for status, words in {
        401: "No API key, or one that is unknown or revoked.",
        403: "The key lacks the role.",
        404: "Your tenant has no such response.",
        410: "Its stream was cut short before a decision, or its content is no longer kept.",
        422: "`wait` or Last-Event-ID is wrong.",
        503: "As many requests wait as this gateway takes, or the ledger is away.",
    }.items()
}
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


def router(gateway: Gateway) -> APIRouter:
    """The routes, bound to an open gateway."""
    routes, told = APIRouter(tags=["respond"]), _Told(gateway)

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
            state = told.state(principal.tenant, _known(response_id), wait_s)
            answer = await unless_gone(request, state)
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


class _Told:
    """Responses told to those who ask, from the ledger alone: any gateway can."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._waiting = 0

    @contextmanager
    def waiting(self) -> Generator[None]:
        """One of the places for requests that wait: as many as may be in flight, beside those.

        Raises:
            Overloaded: all are taken.
        """
        if self._waiting >= self._gateway.settings.max_in_flight:
            raise Overloaded(
                f"{self._waiting} requests wait for responses, as many as this gateway takes.",
                retry_after=5,
            )
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def about(self, tenant: str, response_id: str) -> Stored:
        """What the ledger has.

        Raises:
            NotFound: nothing, for this tenant.
            Gone: nothing that can be told any more.
        """
        stored = await self._gateway.responses.about(tenant, response_id)
        if stored is None or (stored.response and stored.response.record.checked):
            raise _unknown()
        return stored

    async def state(
        self, tenant: str, response_id: str, wait_s: float
    ) -> RespondResponse | InProgress:
        """The answer, or that there is none yet; wait while that may change.

        Raises:
            NotFound: this tenant has no such response.
            CutShort: there will be no answer.
            Gone: it cannot be told any more.
        """
        ends = _clock() + wait_s
        pause_s, longest_pause_s = _PAUSES_S
        while True:
            stored = await self.about(tenant, response_id)
            answer = self._answer(stored)
            left_s = ends - _clock()
            settled = answer.status in ("released", "blocked")
            if settled or left_s <= 0 or self._gateway.health.draining:
                return answer
            await asyncio.sleep(min(pause_s, left_s))
            pause_s = min(pause_s * 1.5, longest_pause_s)

    async def rest(
        self, tenant: str, response_id: str, place: Place, request: str
    ) -> AsyncGenerator[bytes]:
        """The events after `place`; those of a stream in progress as the ledger gets to know them.

        Raises:
            NotFound: this tenant has no such response.
            InvalidField: its stream has no such place.
            Gone: it cannot be told any more.
        """
        sent = place.sent
        while not self._gateway.health.draining:
            stored = await self.about(tenant, response_id)
            if stored.response is not None:
                for each in events_after(stored.response, Place(sent, place.step), _now()):
                    yield each
                return
            if place.step is not None:
                raise no_such_event("this response is not decided")
            if fresh := stored.left[sent:]:
                sent += len(fresh)
                yield delta(response_id, fresh, sent)
            if error := self._ended(stored):
                yield event("error", problem_json(error, request), f"{response_id}/error")
                return
            await asyncio.sleep(_FOLLOW_S)

    def _answer(self, stored: Stored) -> RespondResponse | InProgress:
        if stored.response is not None:
            return stored_answer(stored.response, _now())
        if error := self._ended(stored):
            raise error
        return InProgress(id=stored.id, status="in_progress")

    def _ended(self, stored: Stored) -> CutShort | None:
        """Why a response that is not decided never will be, if so."""
        why = _ENDED[stored.cut] if stored.cut else None
        if why is None and _now() - stored.begun > timedelta(seconds=self._gateway.longest_s):
            why = "the gateway that worked on it stopped"
        return CutShort(f"This response ended before its decision: {why}.") if why else None


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
        raise _unknown()
    return response_id


def _unknown() -> NotFound:
    return NotFound("Your tenant has no response with this id.")


def _wait(request: Request) -> float:
    given = request.query_params.get("wait", "0")
    if not _SECONDS.fullmatch(given) or float(given) > _LONGEST_WAIT_S:
        errors = (FieldError("wait", f"a number of seconds from 0 to {_LONGEST_WAIT_S}"),)
        raise InvalidField("Mend the parameter `wait`.", errors)
    return float(given)


def _clock() -> float:
    return asyncio.get_running_loop().time()


def _now() -> datetime:
    return datetime.now(UTC)
