"""`POST /v1/respond` as server-sent events (docs/streaming.md)."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing

from opentelemetry.context import Context

from inwit.api.live import live_pieces
from inwit.api.respond_answer import RespondResponse, to_wire
from inwit.api.sse import event
from inwit.decisions import Response
from inwit.pipeline.pipeline import Pipeline
from inwit.pipeline.streaming import Live
from inwit.types import Call

_DECIDED = {"id", "status", "action", "model", "review", "context", "escalation", "policy"}
_DONE = {"usage", "timings_ms", "receipt"}


async def respond_events(
    pipeline: Pipeline,
    call: Call,
    live: Live,
    trace: Context | None,
    in_line: Callable[[Response, float], Awaitable[Response]] | None = None,
) -> AsyncGenerator[bytes]:
    """The events of one response: `delta`s, `decision`, `retract`, `delta`s, `done`.

    A held response is waited for by `in_line`, where there is one, as long as the call says.
    """
    sent = 0
    async with aclosing(live_pieces(pipeline, call, live, trace)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Response):
                if in_line is not None and piece.held and call.waits_s:
                    piece = await in_line(piece, call.waits_s)
                for each in ending(to_wire(piece), *_where(piece)):
                    yield each
            else:
                sent += len(piece)
                yield event("delta", json.dumps({"content": piece}), f"{live.response_id}/{sent}")


def ending(answer: RespondResponse, sent: int, retracted: bool) -> Iterator[bytes]:
    """What follows the text that left before the decision, of which the caller has `sent`."""
    name, output = answer.id, answer.output
    yield event("decision", answer.model_dump_json(include=_DECIDED), f"{name}/decision")
    if retracted:
        words = {"offset": 0, "replacement": output.content}
        yield event("retract", json.dumps(words), f"{name}/retract")
    elif rest := output.content[sent:]:
        yield event("delta", json.dumps({"content": rest}), f"{name}/rest")
    if output.tool_calls:
        calls = [call.model_dump() for call in output.tool_calls]
        yield event("delta", json.dumps({"tool_calls": calls}), f"{name}/calls")
    done = answer.model_dump(mode="json", include=_DONE)
    done = {"finish_reason": output.finish_reason, **done}
    yield event("done", json.dumps(done), f"{name}/done")


def _where(response: Response) -> tuple[int, bool]:
    sent = response.record.sent
    return (sent.length, sent.retracted) if sent else (0, False)
