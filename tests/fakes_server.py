"""An OpenAI-compatible server on loopback that behaves as it is told. It lives here alone."""

import asyncio
import json
import math
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from tests.fakes import MODEL

Behaviour = Literal[
    "ok",
    "error_500",
    "refuse_429",
    "too_long",
    "hang",
    "garbage",
    "cut",
    "huge",
    "no_choices",
    "wrong_types",
    "no_logprobs",
    "no_label_words",
    "bad_logprobs",
    "hang_up",
]


@dataclass
class FakeServer:
    """An OpenAI-compatible server on loopback that behaves as it is told, call by call."""

    text: str = "The moon pulls the sea."
    yes: float = 0.05
    no: float = 0.9
    owned_by: str = "vllm"
    max_model_len: int = 4096
    refused_fields: frozenset[str] = frozenset()
    generate: Behaviour = "ok"
    review: Behaviour = "ok"
    down: bool = False
    model: str = MODEL
    adapters: tuple[str, ...] = ()
    retry_after: str = "7"
    failing_fields: frozenset[str] = frozenset()
    tool_calls: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    piece: int = 5
    pace_s: float = 0.0
    base_url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    hanging: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["FakeServer"]:
        app = web.Application(client_max_size=2**24)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.base_url = f"http://{host}:{port}/v1"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _models(self, _request: web.Request) -> web.Response:
        if self.down:
            return web.Response(status=500)
        model = {"id": self.model, "owned_by": self.owned_by, "max_model_len": self.max_model_len}
        adapters = [{"id": each, "owned_by": self.owned_by} for each in self.adapters]
        return web.json_response({"object": "list", "data": [model, *adapters]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        if self.down:
            return web.Response(status=500)
        body = await request.json()
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        if self.refused_fields & body.keys():
            return web.json_response({"error": {"message": "unknown field"}}, status=400)
        if self.failing_fields & body.keys():
            return web.Response(status=500)
        review = body.get("logprobs") is True
        behaviour = self.review if review else self.generate
        if behaviour == "hang":
            return await self._hang()
        if behaviour in ("cut", "hang_up"):
            return await self._cut(request, headers_first=behaviour == "cut")
        if body.get("stream") and behaviour == "ok":
            return await self._stream(request, body)
        return self._answer(behaviour, review)

    async def _stream(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        """The answer as vLLM streams it, in pieces of `piece` characters, `pace_s` apart."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        calls = self.tool_calls if body.get("tools") else []
        try:
            for chunk in _chunks(self.text, self.piece, calls):
                await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
                await asyncio.sleep(self.pace_s)
            await response.write(b"data: [DONE]\n\n")
        except (asyncio.CancelledError, ConnectionError):
            self.cancelled.set()
            raise
        return response

    async def _hang(self) -> web.Response:
        self.hanging.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        raise AssertionError("unreachable")

    async def _cut(self, request: web.Request, *, headers_first: bool) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "4000"})
        if headers_first:
            await response.prepare(request)
            await response.write(json.dumps(self._completion(review=False)).encode()[:60])
        if request.transport is not None:
            request.transport.abort()
        return response

    def _answer(self, behaviour: Behaviour, review: bool) -> web.Response:
        match behaviour:
            case "error_500":
                return web.Response(status=500, text=self.text)
            case "refuse_429":
                return web.Response(status=429, headers={"Retry-After": self.retry_after})
            case "too_long":
                words = "This model's maximum context length is 4096 tokens. However, you requested"
                error = {"message": f"{words} 5000 tokens.", "code": 400}
                return web.json_response({"error": error}, status=400)
            case "garbage":
                return web.Response(body=b"\xff\xfe{" + self.text.encode())
            case "huge":
                return web.Response(body=b" " * (9 * 2**20))
            case _:
                completion = self._completion(review)
                _spoil(completion, behaviour)
                return web.json_response(completion)

    def _completion(self, review: bool) -> dict[str, Any]:
        choice: dict[str, Any] = {
            "index": 0,
            "message": {"role": "assistant", "content": "No" if review else self.text},
            "finish_reason": "length" if review else "stop",
        }
        if review:
            choice["logprobs"] = _logprobs({"Yes": self.yes, "No": self.no})
        if not review and self.tool_calls:
            choice["message"]["tool_calls"] = self.tool_calls
            choice["finish_reason"] = "tool_calls"
        usage = {"prompt_tokens": 12, "completion_tokens": 1 if review else 34}
        return {"model": MODEL, "choices": [choice], "usage": usage}


def _chunks(text: str, size: int, calls: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The chunks of a streamed answer; a tool call comes in two of them."""
    pieces: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    pieces += [{"content": text[start : start + size]} for start in range(0, len(text), size)]
    for index, call in enumerate(calls):
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        first = {"id": call["id"], "type": "function", "function": {"name": name, "arguments": ""}}
        pieces.append({"tool_calls": [{"index": index, **first}]})
        pieces.append({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]})
    for piece in pieces:
        yield {"model": MODEL, "choices": [{"index": 0, "delta": piece, "finish_reason": None}]}
    reason = "tool_calls" if calls else "stop"
    yield {"model": MODEL, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
    yield {"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 34}}


def _spoil(completion: dict[str, Any], behaviour: Behaviour) -> None:
    choice = completion["choices"][0]
    match behaviour:
        case "no_choices":
            completion["choices"] = []
        case "wrong_types":
            choice["message"] = [choice["message"]]
        case "no_logprobs":
            choice["logprobs"] = None
        case "no_label_words":
            choice["logprobs"] = _logprobs({"The": 0.6, "Well": 0.3})
        case "bad_logprobs":
            choice["logprobs"] = _logprobs({"Yes": 0.9, "No": 0.9, " no": 0.9})
        case _:
            pass


def _logprobs(probabilities: dict[str, float]) -> dict[str, Any]:
    top = [{"token": token, "logprob": math.log(p)} for token, p in probabilities.items() if p > 0]
    return {"content": [{"token": "No", "logprob": -0.1, "top_logprobs": top}]}
