"""The one client for every OpenAI-compatible server: vLLM, llama.cpp and others.

aiohttp, chosen by measurement (load_tests/README.md). Foreign exceptions stop here.
"""

import asyncio
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Any

import aiohttp
import structlog
from opentelemetry.propagate import inject
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from inwit.errors import (
    ConversationTooLong,
    FieldError,
    InvalidField,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from inwit.types import Candidate, Generation, Message, NextToken, TokenScore, Usage

log = structlog.get_logger()

TOP_LOGPROBS = 20  # the most that OpenAI's shape allows, and vLLM's default --max-logprobs
_MAX_ANSWER_BYTES = 8 * 2**20
# Shorter than the servers' own (uvicorn, and with it vLLM: 5 s), so that a request never rides
# on a connection that the server is about to close.
_KEEPALIVE_S = 4.0
_CONNECT_S = 3.0
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


class _Answer(_Lenient):
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: tuple[Any, ...] | None = None


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

    Implements the pipeline's `Model` and `NextTokenModel`.
    """

    def __init__(
        self,
        base_url: str,
        *,
        model: str | None = None,
        api_key: str | None = None,
        cache_secret: bytes | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._cache_secret = cache_secret or secrets.token_bytes(32)
        self._model = model
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._session: aiohttp.ClientSession | None = None
        self.capabilities: Capabilities | None = None

    async def open(self) -> None:
        """Make the connection pool; nothing is sent yet."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Nothing compressed: an answer's size is then what it takes in memory.
            headers=self._headers | {"Accept-Encoding": "identity"},
            auto_decompress=False,
            # The pipeline's deadlines bound each call as a whole; this bounds only connecting.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S),
        )

    async def close(self) -> None:
        """Close the pool; calls under way fail."""
        if self._session is not None:
            await self._session.close()

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
        completion = await self._complete(body)
        choice = completion.choices[0]
        if choice.message.tool_calls:
            raise UpstreamError("The model called a tool, and no tools were offered to it.")
        if choice.message.content is None:
            raise UpstreamError("The model server gave no text, perhaps for want of max_tokens.")
        if choice.finish_reason not in ("stop", "length"):
            # vLLM also says abort, error and repetition: what is there is no finished answer.
            raise UpstreamError("The model server broke off its answer.")
        return Candidate(
            text=choice.message.content,
            reasoning=choice.message.reasoning or choice.message.reasoning_content or "",
            model=generation.model,
            finish_reason=choice.finish_reason,
            usage=_usage(completion),
        )

    async def next_token(self, messages: tuple[Message, ...], model: str, tenant: str) -> NextToken:
        """See `NextTokenModel.next_token`."""
        body = self._next_token_body(messages, model) | self._hints(tenant)
        if self.capabilities is not None and self.capabilities.priority:
            body["priority"] = _REVIEW_PRIORITY
        completion = await self._complete(body, repeatable=True)
        return NextToken(_top(completion), model, _usage(completion))

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
            async with asyncio.timeout(_CONNECT_S):
                raw = await self._send("GET", "/models", None)
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
        raw = await self._send("POST", "/chat/completions", body, repeatable=repeatable)
        try:
            completion = _COMPLETION.validate_json(raw)
        except ValidationError as error:
            raise UpstreamError("The model server's answer is malformed.") from error
        if not completion.choices:
            raise UpstreamError("The model server's answer holds no choice.")
        return completion

    async def _send(
        self, method: str, path: str, body: dict[str, Any] | None, *, repeatable: bool = False
    ) -> bytes:
        """Send once, and once more where that is safe.

        A connection that was never made is always safe to try again. One that broke is safe only
        for a review: a generation may be what broke the server, and costs its whole length again.
        """
        try:
            return await self._send_once(method, path, body)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            pass
        except (aiohttp.ClientError, OSError) as error:
            if not repeatable:
                raise _unreachable() from error
        try:
            return await self._send_once(method, path, body)
        except (aiohttp.ClientError, OSError) as error:
            raise _unreachable() from error

    async def _send_once(self, method: str, path: str, body: dict[str, Any] | None) -> bytes:
        if self._session is None or self._session.closed:
            raise UpstreamUnavailable("The model client is closed.")
        headers: dict[str, str] = {}
        inject(headers)
        async with self._session.request(
            method, self._base_url + path, json=body, headers=headers, allow_redirects=False
        ) as answer:
            raw = await _read_bounded(answer)
            if answer.status != 200:
                raise _refusal(answer.status, answer.headers.get("Retry-After"), raw)
            return raw


async def _read_bounded(answer: aiohttp.ClientResponse) -> bytes:
    raw = bytearray()
    async for chunk in answer.content.iter_any():
        raw += chunk
        if len(raw) > _MAX_ANSWER_BYTES:
            answer.close()
            raise UpstreamError("The model server's answer is too large.")
    return bytes(raw)


def _unreachable() -> UpstreamUnavailable:
    return UpstreamUnavailable("The model server cannot be reached, or hung up.", retry_after=2)


# vLLM says it in words, llama.cpp in fields; both as status 400.
_TOO_LONG = re.compile(rb"context (?:length|size|window)|exceed_context_size")
_SECONDS = re.compile(r"[0-9]{1,3}")
_CONTEXT = re.compile(
    rb"context (?:length|size|window)(?: is|:)?\D{0,20}(\d{1,9})|\"n_ctx\":\s*(\d{1,9})"
)
_TOKENS = re.compile(
    rb"(?:requested|contains at least|contains)\D{0,30}(\d{1,9})|\"n_prompt_tokens\":\s*(\d{1,9})"
)


def _refusal(status: int, retry_after: str | None, raw: bytes) -> Exception:
    """The error for a status other than 200. The server's own words may quote content: not kept."""
    if status in (400, 413, 422) and _TOO_LONG.search(raw):
        return ConversationTooLong(_number(_TOKENS, raw), _number(_CONTEXT, raw))
    if status in (429, 503):
        found = _SECONDS.fullmatch(retry_after or "")
        seconds = int(found[0]) if found else 2
        return UpstreamUnavailable("The model server refuses for now.", retry_after=seconds)
    if status in (401, 403):
        return UpstreamError("The model server refuses Inwit's credentials (INWIT_MODEL_API_KEY).")
    if status in (400, 422):
        return UpstreamRefused(
            "The model server refuses this conversation: its chat template may not take these "
            "roles in this order, or its settings not this length of answer."
        )
    return UpstreamError(f"The model server answered {status}.")


def _number(pattern: re.Pattern[bytes], raw: bytes) -> int | None:
    found = pattern.search(raw)
    return int(next(group for group in found.groups() if group)) if found else None


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
