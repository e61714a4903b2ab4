"""`POST /v1/respond`."""

import asyncio
from collections.abc import Coroutine
from contextlib import ExitStack
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response
from opentelemetry.context import Context
from opentelemetry.propagate import extract

from inwit.api.body import body_schema, read_body
from inwit.api.problems import MEDIA_TYPE, problem_json, request_id
from inwit.api.respond_answer import RespondResponse, to_wire
from inwit.api.respond_request import RespondRequest
from inwit.api.respond_stream import respond_events
from inwit.api.sse import EventStream, event
from inwit.bootstrap import Gateway
from inwit.errors import ClientGone, FieldError, NotSupportedYet
from inwit.pipeline.streaming import Live
from inwit.telemetry import TRACER
from inwit.types import Call, KeyRole

T = TypeVar("T")

_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": words,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for status, words in {
        400: "Not JSON, or not UTF-8.",
        401: "No API key, or one that is unknown or revoked.",
        403: "The key lacks the role, or may not use that policy.",
        413: "The body, or the conversation, is too long.",
        422: "Fields are missing, wrong or unknown.",
        501: "A field that this version does not serve.",
        502: "The model server failed.",
        503: "Too busy, the model server is away, or the ledger is: see Retry-After.",
        504: "The model server did not answer in time.",
    }.items()
}


def router(gateway: Gateway) -> APIRouter:
    """The route, bound to an open gateway."""
    routes = APIRouter(tags=["respond"])

    @routes.post(
        "/v1/respond",
        summary="Generate, review, decide, record, release",
        response_model=RespondResponse,
        responses=_PROBLEMS,
        openapi_extra=body_schema(RespondRequest),
    )
    async def respond(request: Request) -> Response:
        """Get an answer that the model's own conscience has reviewed.

        Nothing the model wrote is in the answer unless the policy allowed exactly that text and
        the ledger holds the decision. If you hang up, generation stops.
        """
        principal = await gateway.keys.authenticate(
            request.headers.get("authorization"), KeyRole.RESPOND
        )
        with ExitStack() as held:
            held.enter_context(gateway.pipeline.slot())
            body = await read_body(request, RespondRequest, gateway.settings.max_body_bytes)
            later = body.not_supported()
            if later:
                errors = tuple(FieldError(name, "not served by this version") for name in later)
                raise NotSupportedYet("Leave out the fields named in `errors`.", errors)
            call = body.to_domain(principal, request_id(request))
            if body.stream:
                return _stream(gateway, request, call, held.pop_all())
            with TRACER.start_as_current_span("respond", context=_trace(request)):
                response = await _unless_gone(request, gateway.pipeline.respond(call))
        answer = to_wire(response)
        status = 202 if answer.status == "held" else 200
        return Response(answer.model_dump_json(), status, media_type="application/json")

    return routes


def _stream(gateway: Gateway, request: Request, call: Call, held: ExitStack) -> EventStream:
    live = Live()
    return EventStream(
        respond_events(gateway.pipeline, call, live, _trace(request)),
        held,
        headers=lambda: {"x-inwit-response": live.response_id},
        on_error=lambda error: event(
            "error", problem_json(error, call.request_id), f"{live.response_id}/error"
        ),
        heartbeat_s=gateway.settings.heartbeat_ms / 1000,
        send_s=gateway.settings.send_ms / 1000,
    )


def _trace(request: Request) -> Context | None:
    """The caller's trace, where it sent one."""
    carrier = {name: request.headers.get(name, "") for name in ("traceparent", "tracestate")}
    return extract(carrier) if carrier["traceparent"] else None


async def _unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Do the work, and cancel it (with its upstream calls) when the caller hangs up.

    Raises:
        ClientGone: the caller hung up first.
    """
    task = asyncio.create_task(work)
    watch = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
    finally:
        task.cancel()
        watch.cancel()
        await asyncio.wait({task, watch})
    raise ClientGone("The caller hung up; its work was cancelled.")


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
