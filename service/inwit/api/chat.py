"""`POST /v1/chat/completions`: what `POST /v1/respond` does, for clients of OpenAI's API."""

from contextlib import ExitStack
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response

from inwit.api.body import body_schema, read_body
from inwit.api.caller import enter, trace_of, unless_gone
from inwit.api.chat_answer import ChatCompletion, completion
from inwit.api.chat_request import ChatRequest
from inwit.api.chat_stream import Chunks, chat_events, data
from inwit.api.openai_errors import OPENAI_ERRORS, envelope
from inwit.api.problems import request_id
from inwit.api.respond_answer import to_wire
from inwit.api.sse import EventStream
from inwit.bootstrap import Gateway
from inwit.errors import InvalidField
from inwit.pipeline.streaming import Live
from inwit.telemetry import TRACER
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
            created = int(datetime.now(UTC).timestamp())
            if body.stream:
                chunks = Chunks(Live(), body.model, created, body.stream_options.include_usage)
                return _stream(gateway, request, call, chunks, held.pop_all())
            with TRACER.start_as_current_span("respond", context=trace_of(request)):
                response = await unless_gone(request, gateway.pipeline.respond(call))
        answer = completion(to_wire(response), created)
        return Response(
            answer.model_dump_json(exclude_unset=True),
            headers={"x-inwit-response": answer.inwit.id},
            media_type="application/json",
        )

    return routes


def _stream(
    gateway: Gateway, request: Request, call: Call, chunks: Chunks, held: ExitStack
) -> EventStream:
    return EventStream(
        chat_events(gateway.pipeline, call, chunks, trace_of(request)),
        held,
        headers=lambda: {"x-inwit-response": chunks.live.response_id},
        on_error=lambda error: data(envelope(error)),
        heartbeat_s=gateway.settings.heartbeat_ms / 1000,
        send_s=gateway.settings.send_ms / 1000,
    )
