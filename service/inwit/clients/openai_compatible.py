"""The one client for every OpenAI-compatible server: vLLM, llama.cpp and others.

How bytes travel, and which errors that raises, is transport.py.
"""

import asyncio
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import structlog
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from inwit.clients.transport import CONNECT_S, JsonTransport
from inwit.errors import (
    FieldError,
    InvalidField,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from inwit.types import Candidate, Generation, Message, NextToken, TokenScore, ToolCall, Usage

log = structlog.get_logger()

TOP_LOGPROBS = 20  # the most that OpenAI's shape allows, and vLLM's default --max-logprobs
# vLLM's scheduler takes lower numbers first. A review is one token and ends a waiting response.
_REVIEW_PRIORITY = -1


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Top(_Lenient):
    token: str
    logprob: float


class _Position(_Lenient):
    top_logprobs: tuple[_Top, ...] = ()


class _Logprobs(_Lenient):
    content: tuple[_Position, ...] | None = None


class _Function(_Lenient):
    name: Annotated[str, Field(max_length=128)]
    arguments: str


class _ToolCall(_Lenient):
    id: Annotated[str, Field(max_length=128)]
    function: _Function


class _Answer(_Lenient):
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: tuple[_ToolCall, ...] | None = None


class _Choice(_Lenient):
    message: _Answer
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Cached(_Lenient):
    cached_tokens: int | None = None


class _Usage(_Lenient):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _Cached | None = None


class _Completion(_Lenient):
    choices: tuple[_Choice, ...]
    usage: _Usage | None = None


class _ModelMeta(_Lenient):
    n_ctx: int | None = None


class _ServedModel(_Lenient):
    id: str
    owned_by: str = "unknown"
    max_model_len: int | None = None
    meta: _ModelMeta | None = None


class _ModelList(_Lenient):
    data: tuple[_ServedModel, ...]


_COMPLETION = TypeAdapter(_Completion)
_MODEL_LIST = TypeAdapter(_ModelList)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a server was found to serve and to understand."""

    server: str
    models: tuple[str, ...]
    context: int | None
    logprobs: bool
    priority: bool
    cache_salt: bool


class OpenAICompatible:
    """A pooled connection to one server. `open` it inside a running loop, `close` it after.

    Implements the pipeline's `Model` and `ReviewModel`.
    """

    def __init__(
        self,
        base_url: str,
        *,
        model: str | None = None,
        api_key: str | None = None,
        cache_secret: bytes | None = None,
    ) -> None:
        self._transport = JsonTransport(base_url, api_key=api_key)
        self._cache_secret = cache_secret or secrets.token_bytes(32)
        self._model = model
        self.capabilities: Capabilities | None = None

    async def open(self) -> None:
        """Make the connection pool; nothing is sent yet."""
        await self._transport.open()

    async def close(self) -> None:
        """Close the pool; calls under way fail."""
        await self._transport.close()

    def resolve(self, name: str | None) -> str:
        """See `Model.resolve`."""
        if self.capabilities is None:
            raise UpstreamUnavailable("The model server has not been reached yet.", retry_after=2)
        wanted = name or self._model or self.capabilities.models[0]
        if wanted not in self.capabilities.models:
            served = ", ".join(self.capabilities.models)
            detail = "The request names a model that is not served."
            raise InvalidField(detail, (FieldError("model", f"unknown; served: {served}"),))
        return wanted

    async def generate(self, generation: Generation) -> Candidate:
        """See `Model.generate`."""
        body: dict[str, Any] = {
            "model": generation.model,
            "messages": [message.as_openai() for message in generation.messages],
            "max_tokens": generation.max_tokens,
            **self._hints(generation.tenant),
        }
        if generation.temperature is not None:
            body["temperature"] = generation.temperature
        if generation.seed is not None:
            body["seed"] = generation.seed
        if generation.tools:
            body["tools"] = [tool.as_openai() for tool in generation.tools]
        candidate = _candidate(await self._complete(body), generation.model)
        if candidate.tool_calls and not generation.tools:
            raise UpstreamError("The model called a tool, and no tools were offered to it.")
        return candidate

    async def next_token(self, messages: tuple[Message, ...], model: str, tenant: str) -> NextToken:
        """See `ReviewModel.next_token`."""
        body = self._next_token_body(messages, model) | self._hints(tenant)
        if self.capabilities is not None and self.capabilities.priority:
            body["priority"] = _REVIEW_PRIORITY
        completion = await self._complete(body, repeatable=True)
        return NextToken(_top(completion), model, _usage(completion))

    async def structured(
        self,
        messages: tuple[Message, ...],
        schema: Mapping[str, Any],
        model: str,
        tenant: str,
        max_tokens: int,
    ) -> Candidate:
        """See `ReviewModel.structured`."""
        wanted = {"name": "answer", "schema": dict(schema), "strict": True}
        body: dict[str, Any] = {
            "model": model,
            "messages": [message.as_openai() for message in messages],
            "max_tokens": max_tokens,
            "temperature": 0,
            "response_format": {"type": "json_schema", "json_schema": wanted},
            **self._hints(tenant),
        }
        return _candidate(await self._complete(body, repeatable=True), model)

    async def alive(self) -> bool:
        """Whether the server answers, and serves what it served when it was probed."""
        try:
            names = tuple(model.id for model in await self._models())
        except UpstreamError:
            return False
        return self.capabilities is not None and names == self.capabilities.models

    async def probe(self) -> Capabilities:
        """Find out what the server can do, by asking it to do it, and remember that.

        Raises:
            UpstreamError: it cannot be reached, serves no model, or not the one that is set.
        """
        models = await self._models()
        names = tuple(model.id for model in models)
        if self._model is not None and self._model not in names:
            raise UpstreamError(f"INWIT_MODEL is {self._model!r}; served are: {', '.join(names)}.")
        chosen = next(model for model in models if model.id == (self._model or names[0]))
        question = self._next_token_body((Message("user", "Is water wet? Yes or No."),), chosen.id)
        # Others ignore the fields that they do not know, so only vLLM's acceptance means anything.
        vllm = chosen.owned_by == "vllm"
        self.capabilities = Capabilities(
            server=chosen.owned_by,
            models=names,
            context=chosen.max_model_len or (chosen.meta.n_ctx if chosen.meta else None),
            logprobs=bool(_top(await self._complete(question))),
            priority=vllm and await self._accepts(question | {"priority": _REVIEW_PRIORITY}),
            cache_salt=vllm and await self._accepts(question | {"cache_salt": "inwit"}),
        )
        return self.capabilities

    async def _models(self) -> tuple[_ServedModel, ...]:
        try:
            async with asyncio.timeout(CONNECT_S):
                raw = await self._transport.send("GET", "/models", None)
        except TimeoutError as error:
            raise UpstreamTimeout("The model server does not answer.") from error
        try:
            models = _MODEL_LIST.validate_json(raw).data
        except ValidationError as error:
            raise UpstreamError("The model server's list of models is malformed.") from error
        if not models:
            raise UpstreamError("The model server serves no model.")
        return models

    async def _accepts(self, body: dict[str, Any]) -> bool:
        try:
            await self._complete(body)
        except UpstreamRefused:
            return False
        return True

    def _next_token_body(self, messages: tuple[Message, ...], model: str) -> dict[str, Any]:
        return {
            "model": model,
            "messages": [message.as_openai() for message in messages],
            "max_tokens": 1,
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": TOP_LOGPROBS,
        }

    def _hints(self, tenant: str) -> dict[str, Any]:
        """Keep tenants out of each other's prefix cache; a review finds its own again."""
        if self.capabilities is None or not self.capabilities.cache_salt:
            return {}
        salt = hmac.digest(self._cache_secret, tenant.encode(), "sha256")
        return {"cache_salt": salt.hex()}

    async def _complete(self, body: dict[str, Any], *, repeatable: bool = False) -> _Completion:
        raw = await self._transport.send("POST", "/chat/completions", body, repeatable=repeatable)
        try:
            completion = _COMPLETION.validate_json(raw)
        except ValidationError as error:
            raise UpstreamError("The model server's answer is malformed.") from error
        if not completion.choices:
            raise UpstreamError("The model server's answer holds no choice.")
        return completion


def _candidate(completion: _Completion, model: str) -> Candidate:
    choice = completion.choices[0]
    calls = tuple(
        ToolCall(call.id, call.function.name, call.function.arguments)
        for call in choice.message.tool_calls or ()
    )
    if choice.message.content is None and not calls:
        raise UpstreamError("The model server gave no text, perhaps for want of max_tokens.")
    if choice.finish_reason not in ("stop", "length", "tool_calls"):
        # vLLM also says abort, error and repetition: what is there is no finished answer.
        raise UpstreamError("The model server broke off its answer.")
    if calls and choice.finish_reason == "length":
        raise UpstreamError("The model server broke off a tool call for want of max_tokens.")
    return Candidate(
        text=choice.message.content or "",
        reasoning=choice.message.reasoning or choice.message.reasoning_content or "",
        model=model,
        finish_reason=choice.finish_reason,
        usage=_usage(completion),
        tool_calls=calls,
    )


def _top(completion: _Completion) -> tuple[TokenScore, ...]:
    logprobs = completion.choices[0].logprobs
    if logprobs is None or not logprobs.content:
        return ()
    return tuple(TokenScore(top.token, top.logprob) for top in logprobs.content[0].top_logprobs)


def _usage(completion: _Completion) -> Usage:
    if completion.usage is None:
        return Usage()
    details = completion.usage.prompt_tokens_details
    return Usage(
        completion.usage.prompt_tokens,
        completion.usage.completion_tokens,
        (details.cached_tokens or 0) if details else 0,
    )
