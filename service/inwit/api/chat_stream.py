"""`POST /v1/chat/completions` as a stream of OpenAI's chunks (docs/openai.md)."""

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from opentelemetry.context import Context

from inwit.api.chat_answer import Retract, chat_usage, completion_id, inwit_out
from inwit.api.live import live_pieces
from inwit.api.respond_answer import RespondResponse, to_wire
from inwit.decisions import Response
from inwit.pipeline.pipeline import Pipeline
from inwit.pipeline.streaming import Live
from inwit.types import Call

_DONE = b"data: [DONE]\n\n"


def data(words: str) -> bytes:
    """One event; `words` is JSON, which holds no line end."""
    return f"data: {words}\n\n".encode()


@dataclass(frozen=True, slots=True)
class Chunks:
    """Writes the chunks of one answer; `created` is in Unix seconds."""

    live: Live
    model: str
    created: int
    include_usage: bool

    def delta(self, delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> bytes:
        """A chunk with the one choice; `more` stands beside it."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        usage = {"usage": None} if self.include_usage else {}
        return self._chunk([choice], **usage, **more)

    def opening(self) -> bytes:
        """The first chunk, which says who speaks."""
        return self.delta({"role": "assistant", "content": ""})

    def usage(self, answer: RespondResponse) -> bytes:
        """The chunk that tells the tokens used, without a choice."""
        return self._chunk([], usage=chat_usage(answer.usage.generation).model_dump())

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        chunk = {
            "id": completion_id(self.live.response_id),
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "system_fingerprint": None,
            "choices": choices,
            **more,
        }
        return data(json.dumps(chunk))


async def chat_events(
    pipeline: Pipeline, call: Call, chunks: Chunks, trace: Context | None
) -> AsyncGenerator[bytes]:
    """The events of one answer: its role, its text, its tool calls, how it ended, `[DONE]`."""
    begun = False
    async with aclosing(live_pieces(pipeline, call, chunks.live, trace)) as pieces:
        async for piece in pieces:
            if not begun:
                begun = True
                yield chunks.opening()
            if isinstance(piece, Response):
                sent = piece.record.sent
                length, retracted = (sent.length, sent.retracted) if sent else (0, False)
                for each in ending(to_wire(piece), length, retracted, chunks):
                    yield each
            else:
                yield chunks.delta({"content": piece})


async def chat_events_again(answer: RespondResponse, chunks: Chunks) -> AsyncGenerator[bytes]:
    """The events of an answer that was decided before."""
    yield chunks.opening()
    for each in ending(answer, 0, False, chunks):
        yield each


def ending(answer: RespondResponse, sent: int, retracted: bool, chunks: Chunks) -> Iterator[bytes]:
    """What follows the text that left before the decision, of which the caller has `sent`.

    OpenAI's stream cannot take text back: where it must be, the last chunk reads like that of a
    blocked answer, and says in `inwit.retract` what is withdrawn.
    """
    output = answer.output
    blocked = output.finish_reason == "content_filter"
    retract = None
    if sent and (retracted or blocked):
        retract = Retract(offset=0, replacement=output.content)
    last: dict[str, Any] = {}
    if blocked or retract:
        last = {"refusal": output.content}
    else:
        yield from _rest(answer, sent, chunks)
    yield chunks.delta(
        last,
        "content_filter" if last else output.finish_reason,
        inwit=inwit_out(answer, retract).model_dump(mode="json", exclude_unset=True),
    )
    if chunks.include_usage:
        yield chunks.usage(answer)
    yield _DONE


def _rest(answer: RespondResponse, sent: int, chunks: Chunks) -> Iterator[bytes]:
    """The text that waited for the decision, and the tool calls, each whole."""
    output = answer.output
    if text := output.content[sent:]:
        yield chunks.delta({"content": text})
    if output.tool_calls:
        calls = [
            {"index": index, **call.model_dump()} for index, call in enumerate(output.tool_calls)
        ]
        yield chunks.delta({"tool_calls": calls})
