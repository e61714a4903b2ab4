"""Named stand-ins for the edges of Inwit. They live here and nowhere else."""

import asyncio
import contextlib
import json
import math
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from inwit.decisions import AnyRecord, Receipt, Record
from inwit.errors import ConversationTooLong, LedgerError, UpstreamError, UpstreamUnavailable
from inwit.types import (
    Candidate,
    Category,
    Claim,
    Draft,
    Exchange,
    Fault,
    Generation,
    Message,
    NextToken,
    Principal,
    ReviewStatus,
    TokenScore,
    ToolCall,
    Usage,
    Verdict,
)

MODEL = "fake-model"


def distribution(yes: float, no: float, *, yes_word: str = "Yes", no_word: str = "No") -> NextToken:
    """A next-token distribution with these probabilities for the two answer words."""
    rest = 1.0 - yes - no
    top = [
        TokenScore(word, math.log(p))
        for word, p in ((yes_word, yes), (no_word, no), ("The", rest * 0.9))
        if p > 0
    ]
    return NextToken(tuple(top), MODEL, Usage(40, 1, 32))


def risk_of(risk: float) -> NextToken:
    """A distribution by which the conscience's raw risk is `risk`, with a label mass of 0.9."""
    return distribution(0.9 * risk, 0.9 * (1 - risk))


def naming(*categories: str, quotes: tuple[str, ...] = (), reason: str = "") -> str:
    """The reply to the structured question that names these categories."""
    return json.dumps({"categories": categories, "quotes": quotes, "reason": reason})


@dataclass
class FakeModel:
    """The pipeline's `ServedModel`, in memory. Exceptions are raised as given.

    `rewrites` and `rewrite_errors` are for the generations after the first, in order; `waits_for`
    keeps the first generation until it is set. With a draft it writes `piece` characters at a time,
    gives everyone else `turns` turns after each, and breaks off at `breaks_at`.
    """

    text: str = "The moon pulls the sea."
    reasoning: str = ""
    answer: NextToken = field(default_factory=lambda: distribution(0.05, 0.9))
    generate_error: BaseException | None = None
    review_error: BaseException | None = None
    hang: Literal["generate", "review", "explain", "rewrite", None] = None
    generations: list[Generation] = field(default_factory=list[Generation])
    rewrites: list[str] = field(default_factory=list[str])
    rewrite_errors: list[BaseException | None] = field(default_factory=list[BaseException | None])
    waits_for: asyncio.Event | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    piece: int = 5
    turns: int = 1
    breaks_at: int | None = None
    cut_at: int = 0
    explanation: str = '{"categories": [], "quotes": [], "reason": ""}'
    explanations: list[str] = field(default_factory=list[str])
    explain_error: BaseException | None = None
    questions: list[tuple[Message, ...]] = field(default_factory=list[tuple[Message, ...]])
    answers: list[NextToken] = field(default_factory=list[NextToken])
    reviews: list[tuple[Message, ...]] = field(default_factory=list[tuple[Message, ...]])
    cancelled: list[str] = field(default_factory=list[str])
    hanging: asyncio.Event = field(default_factory=asyncio.Event)

    def resolve(self, name: str | None) -> str:
        return name or MODEL

    async def generate(self, generation: Generation, draft: Draft | None = None) -> Candidate:
        self.generations.append(generation)
        number = len(self.generations) - 1
        await self._maybe_hang("rewrite" if number else "generate")
        if self.waits_for is not None:
            await self.waits_for.wait()
        if self.generate_error is not None:
            raise self.generate_error
        error = self.rewrite_errors.pop(0) if number and self.rewrite_errors else None
        if error is not None:
            raise error
        text = self.rewrites[number - 1] if 0 < number <= len(self.rewrites) else self.text
        if draft is not None:
            await self._write(text, draft)
        calls = self.tool_calls if generation.tools else ()
        reason = "tool_calls" if calls else "stop"
        return Candidate(text, generation.model, self.reasoning, reason, Usage(10, 20, 0), calls)

    async def _write(self, text: str, draft: Draft) -> None:
        """A few characters at a time, and let whoever waits have its turn after each piece."""
        for start in range(0, len(text), self.piece):
            if self.breaks_at is not None and start >= self.breaks_at:
                raise UpstreamError("broke off")
            draft.add(text[start : start + self.piece], "", None)
            self.cut_at = start
            for _ in range(self.turns):
                await asyncio.sleep(0)

    async def next_token(self, messages: tuple[Message, ...], model: str, tenant: str) -> NextToken:
        self.reviews.append(messages)
        await self._maybe_hang("review")
        if self.review_error is not None:
            raise self.review_error
        return self.answers.pop(0) if self.answers else self.answer

    async def structured(
        self,
        messages: tuple[Message, ...],
        schema: Mapping[str, Any],
        model: str,
        tenant: str,
        max_tokens: int,
    ) -> Candidate:
        self.questions.append(messages)
        await self._maybe_hang("explain")
        if self.explain_error is not None:
            raise self.explain_error
        reply = self.explanations.pop(0) if self.explanations else self.explanation
        return Candidate(reply, model, usage=Usage(60, 20, 32))

    async def _maybe_hang(self, stage: str) -> None:
        if self.hang != stage:
            return
        self.hanging.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.append(stage)
            raise


@dataclass
class FakeClassifiers:
    """The pipeline's `Classifiers`: a risk for every exchange, or one risk after the other.

    No risk is a failure with `fault`. `hang` lets the time run out; `saw_input` is set once an
    input was judged.
    """

    risk: float | None = 0.05
    input_risk: float | None = 0.05
    hang: bool = False
    status: ReviewStatus = ReviewStatus.UNAVAILABLE
    saw_input: asyncio.Event = field(default_factory=asyncio.Event)
    risks: list[float | None] = field(default_factory=list[float | None])
    categories: tuple[Category, ...] = ()
    unnamed: bool = False
    fault: Fault = Fault.UPSTREAM
    asked: list[tuple[tuple[str, ...], Exchange]] = field(
        default_factory=list[tuple[tuple[str, ...], Exchange]]
    )

    async def classify(
        self, names: tuple[str, ...], exchange: Exchange, timeout_s: float
    ) -> Verdict:
        self.asked.append((names, exchange))
        name, covers = names[0], exchange.covers
        if self.hang:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await asyncio.Event().wait()
            return Verdict(name, ReviewStatus.UNAVAILABLE, fault=Fault.TIMEOUT, covers=covers)
        if exchange.answer is None:
            self.saw_input.set()
            risk = self.input_risk
        else:
            risk = self.risks.pop(0) if self.risks else self.risk
        if risk is None:
            return Verdict(name, self.status, fault=self.fault, covers=covers)
        return Verdict(
            name,
            ReviewStatus.JUDGED,
            risk=risk,
            categories=self.categories,
            unnamed=self.unnamed,
            covers=covers,
        )

    @property
    def answers(self) -> list[str]:
        """The answers that were classified, as the classifier saw them."""
        return [exchange.answer for _, exchange in self.asked if exchange.answer is not None]


@dataclass
class FakeLedger:
    """The pipeline's `Ledger`, in memory; `error` is raised, `hang` never confirms."""

    error: LedgerError | None = None
    hang: bool = False
    entries: list[AnyRecord] = field(default_factory=list[AnyRecord])
    released: list[Claim] = field(default_factory=list[Claim])

    @property
    def records(self) -> list[Record]:
        """The decisions among the entries."""
        return [entry for entry in self.entries if isinstance(entry, Record)]

    async def append(self, record: AnyRecord) -> Receipt:
        if self.hang:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        self.entries.append(record)
        return Receipt(len(self.entries), f"ent_{len(self.entries)}", "aa" * 32, "00" * 32)

    def release(self, claim: Claim) -> None:
        self.released.append(claim)


@dataclass
class FakeMeter:
    """The pipeline's `Meter`: what was spent, call by call."""

    spent: list[int] = field(default_factory=list[int])

    async def spend(self, principal: Principal, tokens: int) -> None:
        self.spent.append(tokens)


UPSTREAM_ERRORS: tuple[Exception, ...] = (
    UpstreamError("failed"),
    UpstreamUnavailable("away", retry_after=2),
    ConversationTooLong(5000, 4096),
    TimeoutError(),
)

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
        return web.json_response({"object": "list", "data": [model]})

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
