"""`POST /v1/chat/completions`: what `POST /v1/respond` does, for clients of OpenAI's API."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response

from inwit import decisions
from inwit.api.body import body_schema, read_body
from inwit.api.caller import enter, trace_of, unless_gone
from inwit.api.chat_answer import ChatCompletion, completion
from inwit.api.chat_request import ChatRequest
from inwit.api.chat_stream import Chunks, chat_events, chat_events_again, data
from inwit.api.idempotency import REPLAYED, claim, release_unless_begun
from inwit.api.openai_errors import OPENAI_ERRORS, envelope
from inwit.api.problems import request_id
from inwit.api.respond_answer import RespondResponse, to_wire
from inwit.api.sse import EventStream
from inwit.bootstrap import Gateway
from inwit.errors import InvalidField
from inwit.pipeline.streaming import Live
from inwit.tracing import serving
from inwit.types import Call


def router(gateway: Gateway) -> APIRouter:
    """The route, bound to an open gateway."""
    routes = APIRouter(tags=["chat"])

    @routes.post(
        "/v1/chat/completions",
        summary="Generate, review, decide, record, release: in OpenAI's shape",
        response_model=ChatCompletion,
        responses=OPENAI_ERRORS,
        openapi_extra=body_schema(ChatRequest),
    )
    async def chat(request: Request) -> Response:
        """Get a reviewed answer with a client of OpenAI's API.

        What was checked and decided is in one added object, `inwit`. A blocked or held answer has
        no content: its `refusal` is the policy's fallback text.
        """
        principal = await enter(gateway, request, request.headers.get("authorization"))
        with ExitStack() as held:
            held.enter_context(gateway.pipeline.slot())
            body = await read_body(request, ChatRequest, gateway.settings.max_body_bytes)
            if errors := body.refused():
                raise InvalidField("Leave out the fields named in `errors`.", errors)
            call = body.to_domain(principal, request_id(request))
            now = datetime.now(UTC)
            created = int(now.timestamp())
            chunks = Chunks(Live(), body.model, created, body.stream_options.include_usage)
            claimed = await claim(gateway, request, call, body)
            if isinstance(claimed, decisions.Response):
                again = to_wire(claimed)
                if body.stream:
                    return _stream_again(gateway, again, chunks, held.pop_all())
                return _json(completion(again, created), REPLAYED)
            call = replace(call, claim=claimed)
            if body.stream:
                return _stream(gateway, request, call, chunks, held.pop_all())
            with serving("respond", trace_of(request)):
                response = await unless_gone(request, gateway.pipeline.respond(call))
        return _json(completion(to_wire(response), created))

    return routes


def _json(answer: ChatCompletion, headers: Mapping[str, str] | None = None) -> Response:
    told = {"x-inwit-response": answer.inwit.id, **(headers or {})}
    body = answer.model_dump_json(exclude_unset=True)
    return Response(body, headers=told, media_type="application/json")


def _stream(
    gateway: Gateway, request: Request, call: Call, chunks: Chunks, held: ExitStack
) -> EventStream:
    held.callback(release_unless_begun, gateway, call, chunks.live)
    events = chat_events(gateway.pipeline, call, chunks, trace_of(request))
    return _events(gateway, events, lambda: {"x-inwit-response": chunks.live.response_id}, held)


def _stream_again(
    gateway: Gateway, answer: RespondResponse, chunks: Chunks, held: ExitStack
) -> EventStream:
    """The whole stream of the answer that the same request got before."""
    chunks.live.response_id = answer.id
    headers = {"x-inwit-response": answer.id, **REPLAYED}
    return _events(gateway, chat_events_again(answer, chunks), lambda: headers, held)


def _events(
    gateway: Gateway,
    events: AsyncGenerator[bytes],
    headers: Callable[[], Mapping[str, str]],
    held: ExitStack,
) -> EventStream:
    return EventStream(
        events,
        held,
        headers=headers,
        on_error=lambda error: data(envelope(error)),
        heartbeat_s=gateway.settings.heartbeat_ms / 1000,
        send_s=gateway.settings.send_ms / 1000,
    )
