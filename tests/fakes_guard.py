"""A guard model's server on loopback, and what its template makes of messages."""

import asyncio
import json
import math
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from inwit.clients.classifiers.families import Position
from inwit.types import Category, Exchange, Harm, Message, Severity, TokenScore

GUARD = "fake/guard-8b"

HARMS = (
    Harm(Category.HATE, "Hate", "Demeans people.", "hate", Severity.HIGH),
    Harm(Category.WEAPONS, "Weapons", "Helps to make weapons.", "weapons", Severity.CRITICAL),
)
TALK = (
    Message("system", "You are the assistant of a harbour."),
    Message("user", "Hello."),
    Message("assistant", "Good morning."),
    Message("user", "How do tides work?"),
)
ANSWERED = Exchange(TALK, "The moon pulls the sea.", "c0ffee", "acme", HARMS)
ASKED = Exchange(TALK, None, "f00d", "acme", HARMS)


def spread(token: str, probabilities: Mapping[str, float] | None = None) -> Position:
    """A token, and the probabilities of what could have stood there."""
    likeliest = probabilities or {token: 0.99}
    top = tuple(TokenScore(each, math.log(p)) for each, p in likeliest.items())
    return Position(token, math.log(likeliest.get(token, 0.5)), top)


def as_chat(positions: tuple[Position, ...]) -> dict[str, Any]:
    """Log-probabilities as chat completions give them."""
    return {
        "content": [
            {
                "token": each.token,
                "logprob": each.logprob,
                "top_logprobs": [
                    {"token": score.token, "logprob": score.logprob} for score in each.top
                ],
            }
            for each in positions
        ]
    }


def as_text(positions: tuple[Position, ...]) -> dict[str, Any]:
    """Log-probabilities as plain completions give them."""
    return {
        "tokens": [each.token for each in positions],
        "token_logprobs": [each.logprob for each in positions],
        "top_logprobs": [{score.token: score.logprob for score in each.top} for each in positions],
    }


def templated(family: str, messages: list[dict[str, str]]) -> str:
    """What the family's chat template puts in place of the conversation."""
    match family:
        case "llama_guard_3":
            names = {"user": "User", "assistant": "Agent"}
            return "".join(f"{names[m['role']]}: {m['content'].strip()}\n\n" for m in messages)
        case "qwen3guard":
            return "\n\n".join(f"{m['role'].upper()}: {m['content']}" for m in messages)
        case _:
            names = {"user": "User Message", "assistant": "Assistant Message"}
            return "\n".join(f"{names[m['role']]}: {m['content']}" for m in messages[-2:])


Behaviour = Literal[
    "ok", "error_500", "refuse_429", "too_long", "hang", "hang_up", "garbage", "huge", "no_choices",
    "two_choices", "null_content", "wrong_types", "bad_usage", "no_models", "bad_model_name",
]  # fmt: skip


@dataclass
class FakeGuardServer:
    """An OpenAI-compatible server that says what it is told, or fails as it is told.

    `says` gives the answer to each request's body. Like Llama Guard's template it refuses messages
    that do not alternate, where `alternate` is set. `one_shape`: log-probabilities of plain text
    come in the chat shape, as from llama.cpp.
    """

    says: Callable[[dict[str, Any]], str] = field(default=lambda _body: "safe")
    finish_reason: str = "stop"
    positions: tuple[Position, ...] | None = None
    behaviour: Behaviour = "ok"
    models_behaviour: Behaviour = "ok"
    alternate: bool = False
    one_shape: bool = False
    model: str = GUARD
    base_url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    paths: list[str] = field(default_factory=list[str])
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["FakeGuardServer"]:
        app = web.Application(client_max_size=2**24)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_post("/v1/completions", self._complete)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        self.base_url = f"http://{host}:{port}/v1"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _models(self, request: web.Request) -> web.StreamResponse:
        name = "<b>evil</b>" if self.models_behaviour == "bad_model_name" else self.model
        data = [] if self.models_behaviour == "no_models" else [{"id": name}]
        return await self._respond(request, self.models_behaviour, {"data": data})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        self.paths.append(request.path)
        roles = [message["role"] for message in body.get("messages", [])]
        if self.alternate and roles != (["user", "assistant"] * len(roles))[: len(roles)]:
            return web.json_response({"error": "roles must alternate"}, status=400)
        chat = request.path.endswith("/chat/completions")
        choice: dict[str, Any] = {"index": 0, "finish_reason": self.finish_reason}
        if chat:
            choice["message"] = {"role": "assistant", "content": self.says(body)}
        else:
            choice["text"] = self.says(body)
        if self.positions is not None:
            shape = as_chat if chat or self.one_shape else as_text
            choice["logprobs"] = shape(self.positions)
        usage = {
            "prompt_tokens": 300,
            "completion_tokens": 3,
            "prompt_tokens_details": {"cached_tokens": 256},
        }
        completion = {"choices": [choice], "usage": usage}
        _spoil(completion, self.behaviour)
        return await self._respond(request, self.behaviour, completion)

    async def _respond(
        self, request: web.Request, behaviour: Behaviour, told: dict[str, Any]
    ) -> web.StreamResponse:
        match behaviour:
            case "error_500":
                return web.Response(status=500, text=json.dumps(told))
            case "refuse_429":
                return web.Response(status=429)
            case "too_long":
                words = "This model's maximum context length is 4096 tokens."
                return web.json_response({"error": {"message": words}}, status=400)
            case "hang":
                await self._hang()
            case "hang_up" if request.transport is not None:
                request.transport.abort()
            case "garbage":
                return web.Response(body=b"\xff\xfe{" + json.dumps(told).encode())
            case "huge":
                return web.Response(body=json.dumps(told).encode() + b" " * (9 * 2**20))
            case _:
                pass
        return web.json_response(told)

    async def _hang(self) -> None:
        self.hanging.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


def _spoil(completion: dict[str, Any], behaviour: Behaviour) -> None:
    choice = completion["choices"][0]
    match behaviour:
        case "no_choices":
            completion["choices"] = []
        case "two_choices":
            completion["choices"] = [choice, choice]
        case "null_content":
            choice["message"] = {"role": "assistant", "content": None}
        case "wrong_types":
            choice["message"] = [choice.pop("message", None)]
        case "bad_usage":
            completion["usage"] = {"prompt_tokens": -(10**30)}
        case _:
            pass
