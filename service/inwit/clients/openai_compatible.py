"""The one client for every OpenAI-compatible server: vLLM, llama.cpp and others.

How bytes travel, and which errors that raises, is transport.py.
"""

import asyncio
import hmac
import secrets
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import structlog
from pydantic import TypeAdapter, ValidationError

from inwit.clients.completions import (
    COMPLETION,
    Completion,
    Gathered,
    Lenient,
    candidate_of,
    top_of,
    usage_of,
)
from inwit.clients.transport import CONNECT_S, JsonTransport
from inwit.errors import (
    FieldError,
    InvalidField,
    UnknownModel,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from inwit.types import Candidate, Draft, Generation, Message, NextToken

log = structlog.get_logger()

TOP_LOGPROBS = 20  # the most that OpenAI's shape allows, and vLLM's default --max-logprobs
# vLLM's scheduler takes lower numbers first. A review is one token and ends a waiting response.
_REVIEW_PRIORITY = -1


class _ModelMeta(Lenient):
    n_ctx: int | None = None


class _ServedModel(Lenient):
    id: str
    owned_by: str = "unknown"
    max_model_len: int | None = None
    meta: _ModelMeta | None = None


class _ModelList(Lenient):
    data: tuple[_ServedModel, ...]


_MODEL_LIST = TypeAdapter(_ModelList)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a server was found to serve and to understand.

    `models` write; `reviewers` review what they write: their adapter, or themselves.
    """

    server: str
    models: tuple[str, ...]
    reviewers: tuple[str, ...]
    context: int | None
    logprobs: bool
    priority: bool
    cache_salt: bool


@dataclass(frozen=True, slots=True)
class Adapter:
    """A conscience adapter: it reviews, and never writes.

    vLLM serves it as a model of its own `name`. llama.cpp has it `beside` the model, and each
    request says how much of it is to work.
    """

    name: str
    beside: bool = False


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
        adapter: Adapter | None = None,
    ) -> None:
        self._transport = JsonTransport(base_url, api_key=api_key)
        self._cache_secret = cache_secret or secrets.token_bytes(32)
        self._model = model
        self._adapter = adapter
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
            raise UnknownModel(self.capabilities.models)
        return wanted

    def reviewer_of(self, model: str) -> str:
        """See `ReviewModel.reviewer_of`."""
        return model if self._adapter is None else self._adapter.name

    async def generate(self, generation: Generation, draft: Draft | None = None) -> Candidate:
        """See `Model.generate`."""
        body: dict[str, Any] = {
            **generation.extra,
            "model": generation.model,
            "messages": [message.as_openai() for message in generation.messages],
            "max_tokens": generation.max_tokens,
            **self._hints(generation.tenant),
            **self._scale(0.0),
        }
        if generation.temperature is not None:
            body["temperature"] = generation.temperature
        if generation.seed is not None:
            body["seed"] = generation.seed
        if generation.tools:
            body["tools"] = [tool.as_openai() for tool in generation.tools]
        try:
            if draft is None:
                candidate = candidate_of(await self._complete(body), generation.model)
            else:
                candidate = await self._streamed(body, generation.model, draft)
        except UpstreamRefused as error:
            if error.param is None or error.param not in generation.extra:
                raise
            wrong = FieldError(error.param, "the model server does not take this value")
            raise InvalidField("The model server refuses a parameter.", (wrong,)) from error
        if candidate.tool_calls and not generation.tools:
            raise UpstreamError("The model called a tool, and no tools were offered to it.")
        return candidate

    async def _streamed(self, body: dict[str, Any], model: str, draft: Draft) -> Candidate:
        wanted = {"include_usage": True, "continuous_usage_stats": True}
        gathered = Gathered()
        async with aclosing(
            self._transport.events(
                "/chat/completions", {**body, "stream": True, "stream_options": wanted}
            )
        ) as events:
            async for data in events:
                gathered.add(data, draft)
        return candidate_of(gathered.completion(), model)

    async def next_token(self, messages: tuple[Message, ...], model: str, tenant: str) -> NextToken:
        """See `ReviewModel.next_token`."""
        body = self._next_token_body(messages, model) | self._hints(tenant)
        if self.capabilities is not None and self.capabilities.priority:
            body["priority"] = _REVIEW_PRIORITY
        completion = await self._complete(body, repeatable=True)
        return NextToken(top_of(completion), model, usage_of(completion))

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
            **self._scale(0.0),
        }
        return candidate_of(await self._complete(body, repeatable=True), model)

    async def alive(self) -> bool:
        """Whether the server answers, and serves what it served when it was probed."""
        try:
            names = self._writers(await self._models())
        except UpstreamError:
            return False
        return self.capabilities is not None and names == self.capabilities.models

    async def probe(self) -> Capabilities:
        """Find out what the server can do, by asking it to do it, and remember that.

        Raises:
            UpstreamError: it cannot be reached, serves no model, or not the one that is set.
        """
        models = await self._models()
        names = self._writers(models)
        if self._model is not None and self._model not in names:
            raise UpstreamError(f"INWIT_MODEL is {self._model!r}; served are: {', '.join(names)}.")
        chosen = next(model for model in models if model.id == (self._model or names[0]))
        reviewer = self.reviewer_of(chosen.id)
        question = self._next_token_body((Message("user", "Is water wet? Yes or No."),), reviewer)
        # Others ignore the fields that they do not know, so only vLLM's acceptance means anything.
        vllm = chosen.owned_by == "vllm"
        self.capabilities = Capabilities(
            server=chosen.owned_by,
            models=names,
            reviewers=tuple(dict.fromkeys(map(self.reviewer_of, names))),
            context=chosen.max_model_len or (chosen.meta.n_ctx if chosen.meta else None),
            logprobs=bool(top_of(await self._complete(question))),
            priority=vllm and await self._accepts(question | {"priority": _REVIEW_PRIORITY}),
            cache_salt=vllm and await self._accepts(question | {"cache_salt": "inwit"}),
        )
        return self.capabilities

    def _writers(self, models: tuple[_ServedModel, ...]) -> tuple[str, ...]:
        """The names of what writes candidates; an adapter that is served by its name does not.

        Raises:
            UpstreamError: the adapter is not served, or nothing else is.
        """
        names = tuple(model.id for model in models)
        if self._adapter is None or self._adapter.beside:
            return names
        reviewer = self._adapter.name
        if reviewer not in names or len(names) == 1:
            raise UpstreamError(
                f"INWIT_CONSCIENCE_MODEL is {reviewer!r}; served are: {', '.join(names)}. "
                "vLLM serves an adapter beside its model by --enable-lora --lora-modules NAME=PATH."
            )
        return tuple(name for name in names if name != reviewer)

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
            **self._scale(1.0),
        }

    def _scale(self, scale: float) -> dict[str, Any]:
        """How much of an adapter beside the model works. Each request says it: none is kept."""
        if self._adapter is None or not self._adapter.beside:
            return {}
        return {"lora": [{"id": 0, "scale": scale}]}

    def _hints(self, tenant: str) -> dict[str, Any]:
        """Keep tenants out of each other's prefix cache; a review finds its own again."""
        if self.capabilities is None or not self.capabilities.cache_salt:
            return {}
        salt = hmac.digest(self._cache_secret, tenant.encode(), "sha256")
        return {"cache_salt": salt.hex()}

    async def _complete(self, body: dict[str, Any], *, repeatable: bool = False) -> Completion:
        raw = await self._transport.send("POST", "/chat/completions", body, repeatable=repeatable)
        try:
            completion = COMPLETION.validate_json(raw)
        except ValidationError as error:
            raise UpstreamError("The model server's answer is malformed.") from error
        if not completion.choices:
            raise UpstreamError("The model server's answer holds no choice.")
        return completion
