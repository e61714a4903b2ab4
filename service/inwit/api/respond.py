"""`POST /v1/respond`."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace

from fastapi import APIRouter, Request, Response

from inwit import decisions
from inwit.api.body import body_schema, read_body
from inwit.api.caller import enter, trace_of, unless_gone
from inwit.api.idempotency import REPLAYED, claim, release_unless_begun
from inwit.api.problems import described, problem_json, request_id
from inwit.api.respond_answer import RespondResponse, to_wire
from inwit.api.respond_request import RespondRequest
from inwit.api.respond_stream import respond_events
from inwit.api.sse import EventStream, event
from inwit.api.stored_answer import Place, events_after
from inwit.api.told import Told
from inwit.bootstrap import Gateway
from inwit.callbacks import check_callback
from inwit.pipeline.streaming import Live
from inwit.tracing import serving
from inwit.types import Call, Principal

_PROBLEMS = described(
    {
        400: "Not JSON, or not UTF-8.",
        401: "No API key, or one that is unknown or revoked.",
        403: "The key lacks the role, or may not use that policy.",
        409: "The first request with this Idempotency-Key is still being worked on.",
        410: "The answer to this Idempotency-Key is no longer kept.",
        413: "The body, or the conversation, is too long.",
        422: "Fields are missing, wrong or unknown.",
        429: "A rate limit of the key or its tenant is used up: see Retry-After.",
        502: "The model server failed.",
        503: "Too busy, the model server is away, or the ledger is: see Retry-After.",
        504: "The model server did not answer in time.",
    }
)


def router(gateway: Gateway, told: Told) -> APIRouter:
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
        principal = await enter(gateway, request, request.headers.get("authorization"))
        with ExitStack() as held:
            held.enter_context(gateway.pipeline.slot())
            body = await read_body(request, RespondRequest, gateway.settings.max_body_bytes)
            await _check_callback(gateway, principal, body)
            call = body.to_domain(principal, request_id(request))
            claimed = await claim(gateway, request, call, body)
            if isinstance(claimed, decisions.Response):
                if body.stream:
                    return _stream_again(gateway, call, claimed, held.pop_all())
                return _json(to_wire(claimed), REPLAYED)
            call = replace(call, claim=claimed)
            if body.stream:
                return _stream(gateway, request, call, told, held.pop_all())
            with serving("respond", trace_of(request)):
                response = await unless_gone(request, gateway.pipeline.respond(call))
        if response.held and call.waits_s:
            response = await unless_gone(request, told.in_line(response, call.waits_s))
        return _json(to_wire(response))

    return routes


async def _check_callback(gateway: Gateway, principal: Principal, body: RespondRequest) -> None:
    if body.callback_url is not None:
        rule = await gateway.keys.callback_rule(principal.key_id)
        check_callback(body.callback_url, rule)


def _json(answer: RespondResponse, headers: Mapping[str, str] | None = None) -> Response:
    status = 202 if answer.status == "held" else 200
    return Response(answer.model_dump_json(), status, headers, "application/json")


def _stream(
    gateway: Gateway, request: Request, call: Call, told: Told, held: ExitStack
) -> EventStream:
    live = Live()
    held.callback(release_unless_begun, gateway, call, live)
    chunks = respond_events(gateway.pipeline, call, live, trace_of(request), told.in_line)
    return _events(gateway, call, chunks, lambda: {"x-inwit-response": live.response_id}, held)


def _stream_again(
    gateway: Gateway, call: Call, response: decisions.Response, held: ExitStack
) -> EventStream:
    """The whole stream of the answer that the same request got before."""
    headers = {"x-inwit-response": response.record.origin.response_id, **REPLAYED}
    chunks = _each(events_after(response, Place()))
    return _events(gateway, call, chunks, lambda: headers, held)


async def _each(chunks: list[bytes]) -> AsyncGenerator[bytes]:
    for chunk in chunks:
        yield chunk


def _events(
    gateway: Gateway,
    call: Call,
    chunks: AsyncGenerator[bytes],
    headers: Callable[[], Mapping[str, str]],
    held: ExitStack,
) -> EventStream:
    return EventStream(
        chunks,
        held,
        headers=headers,
        on_error=lambda error: event(
            "error", problem_json(error, call.request_id), f"{headers()['x-inwit-response']}/error"
        ),
        heartbeat_s=gateway.settings.heartbeat_ms / 1000,
        send_s=gateway.settings.send_ms / 1000,
    )
