"""The classifier kind `guard_llm`: a guard model on any OpenAI-compatible server.

What is asked and how the answer is read is the family's (docs/guard-models.md). Every failure is a
verdict that is not `judged`.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from inwit.clients.classifiers.families.family import Answer, Family, Position, Question, Reading
from inwit.clients.classifiers.http import ModelName, asked_about
from inwit.clients.transport import JsonTransport
from inwit.errors import ConversationTooLong, UpstreamError, UpstreamRefused, UpstreamTimeout
from inwit.types import Category, Exchange, Fault, ReviewStatus, TokenScore, Usage, Verdict

# For the transport: 128 tokens with 20 alternatives each come to a quarter of it.
MAX_ANSWER_BYTES = 2**20
# Far above every family's form: what is longer is not read at all.
_LONGEST_ANSWER = 64 * 2**10
_NO_USAGE = Usage()


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Top(_Lenient):
    token: str
    logprob: float


class _Token(_Top):
    top_logprobs: tuple[_Top, ...] = ()


class _Logprobs(_Lenient):
    # The chat shape; llama.cpp gives it for plain text too.
    content: tuple[_Token, ...] | None = None
    # OpenAI's older shape, for plain text.
    tokens: tuple[str, ...] | None = None
    token_logprobs: tuple[float | None, ...] | None = None
    top_logprobs: tuple[dict[str, float] | None, ...] | None = None


class _Message(_Lenient):
    content: str | None = None


class _Choice(_Lenient):
    message: _Message | None = None
    text: str | None = None
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


_Count = Annotated[int, Field(ge=0, lt=2**31)]


class _Cached(_Lenient):
    cached_tokens: _Count | None = None


class _Usage(_Lenient):
    prompt_tokens: _Count = 0
    completion_tokens: _Count = 0
    prompt_tokens_details: _Cached | None = None


class _Completion(_Lenient):
    choices: tuple[_Choice, ...]
    usage: _Usage | None = None


class _ServedModel(_Lenient):
    id: ModelName


class _ModelList(_Lenient):
    data: tuple[_ServedModel, ...]


_COMPLETION = TypeAdapter(_Completion)
_MODEL_LIST = TypeAdapter(_ModelList)


@dataclass(frozen=True, slots=True)
class _Told:
    """What came of one question."""

    reading: Reading | Fault
    usage: Usage = _NO_USAGE


class GuardLLM:
    """One guard model. `open` it inside a running loop, `close` it after.

    Without `model`, what the server lists first is asked. `timeout_s` bounds each verdict, as the
    caller's own limit does.
    """

    def __init__(
        self,
        name: str,
        family: Family,
        transport: JsonTransport,
        *,
        model: str | None = None,
        timeout_s: float | None = None,
    ) -> None:
        self.name = name
        self._family = family
        self._transport = transport
        self._model = model
        self._found: str | None = None
        self._timeout_s = timeout_s

    @property
    def judges_input(self) -> bool:
        """Whether it can judge what a user wrote, before there is an answer."""
        return self._family.judges_input

    async def open(self) -> None:
        """Make the connection pool; nothing is sent yet."""
        await self._transport.open()

    async def close(self) -> None:
        """Close the pool; calls under way fail."""
        await self._transport.close()

    async def classify(self, exchange: Exchange, timeout_s: float) -> Verdict:
        """Give a verdict on the candidate, or else on the user's last turn, within `timeout_s`."""
        limit = timeout_s if self._timeout_s is None else min(timeout_s, self._timeout_s)
        try:
            async with asyncio.timeout(limit):
                verdict = await self._judge(exchange)
        except TimeoutError:
            verdict = self._failed(Fault.TIMEOUT)
        except (ConversationTooLong, UpstreamError) as error:
            verdict = self._failed(_fault(error))
        if verdict.fault is Fault.UPSTREAM:
            self._found = None  # it may serve another model by now
        return replace(verdict, covers=exchange.covers)

    async def _judge(self, exchange: Exchange) -> Verdict:
        model = self._model or await self._served()
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(self._put(q, model)) for q in self._family.ask(exchange)]
        verdict = self._conclude([task.result() for task in asked], asked_about(exchange))
        return replace(verdict, model=model)

    async def _put(self, question: Question, model: str) -> _Told:
        body = {"model": model, **question.body}
        try:
            raw = await self._transport.send("POST", question.path, body, repeatable=True)
        except (ConversationTooLong, UpstreamError) as error:
            return _Told(_fault(error))
        try:
            completion = _COMPLETION.validate_json(raw)
        except ValidationError:
            return _Told(Fault.UPSTREAM)
        answer = _answer(completion)
        reading = Fault.MALFORMED_ANSWER if answer is None else self._family.read(question, answer)
        return _Told(reading, _usage(completion))

    async def _served(self) -> str:
        if self._found is None:
            raw = await self._transport.send("GET", "/models", None, repeatable=True)
            try:
                models = _MODEL_LIST.validate_json(raw).data
            except ValidationError as error:
                raise UpstreamError("The guard server's list of models is malformed.") from error
            if not models:
                raise UpstreamError("The guard server serves no model.")
            self._found = models[0].id
        return self._found

    def _conclude(self, told: list[_Told], asked: frozenset[Category]) -> Verdict:
        """The highest risk of all; one question without an answer leaves the whole unjudged.

        A category that the policy does not ask about stays among the labels only.
        """
        usage = _sum(each.usage for each in told)
        readings: list[Reading] = []
        for each in told:
            if isinstance(each.reading, Fault):
                return replace(self._failed(each.reading), usage=usage)
            readings.append(each.reading)
        masses = [reading.label_mass for reading in readings if reading.label_mass is not None]
        return Verdict(
            self.name,
            ReviewStatus.JUDGED,
            risk=max(reading.risk for reading in readings),
            label_mass=min(masses, default=None),
            usage=usage,
            labels=tuple(dict.fromkeys(label for each in readings for label in each.labels)),
            categories=tuple(
                dict.fromkeys(one for each in readings for one in each.categories if one in asked)
            ),
            unnamed=any(len(asked.intersection(r.categories)) < len(r.labels) for r in readings),
        )

    def _failed(self, fault: Fault) -> Verdict:
        cut = fault is Fault.DOES_NOT_FIT
        status = ReviewStatus.TRUNCATED if cut else ReviewStatus.UNAVAILABLE
        return Verdict(self.name, status, fault=fault, model=self._model or self._found)


def _fault(error: ConversationTooLong | UpstreamError) -> Fault:
    if isinstance(error, ConversationTooLong):
        return Fault.DOES_NOT_FIT
    if isinstance(error, UpstreamRefused):
        return Fault.REFUSED
    return Fault.TIMEOUT if isinstance(error, UpstreamTimeout) else Fault.UPSTREAM


def _answer(completion: _Completion) -> Answer | None:
    """The one answer that was asked for, chat or plain text; None where it is not there."""
    if len(completion.choices) != 1:
        return None
    (choice,) = completion.choices
    text = choice.text if choice.message is None else choice.message.content
    if text is None or len(text) > _LONGEST_ANSWER:
        return None
    return Answer(text, choice.finish_reason == "stop", _positions(choice.logprobs))


def _positions(logprobs: _Logprobs | None) -> tuple[Position, ...] | None:
    if logprobs is None:
        return None
    if logprobs.content is not None:
        return tuple(
            Position(
                each.token,
                each.logprob,
                tuple(TokenScore(top.token, top.logprob) for top in each.top_logprobs),
            )
            for each in logprobs.content
        )
    if logprobs.tokens is None or logprobs.top_logprobs is None:
        return None
    # Of unequal lengths, the shorter counts: a verdict beyond it is malformed.
    own = logprobs.token_logprobs or (None,) * len(logprobs.tokens)
    return tuple(
        Position(
            token,
            float("-inf") if logprob is None else logprob,
            tuple(TokenScore(*pair) for pair in (top or {}).items()),
        )
        for token, logprob, top in zip(logprobs.tokens, own, logprobs.top_logprobs, strict=False)
    )


def _usage(completion: _Completion) -> Usage:
    if completion.usage is None:
        return Usage()
    details = completion.usage.prompt_tokens_details
    return Usage(
        completion.usage.prompt_tokens,
        completion.usage.completion_tokens,
        (details.cached_tokens or 0) if details else 0,
    )


def _sum(usages: Iterable[Usage]) -> Usage:
    listed = list(usages)
    return Usage(
        sum(usage.prompt_tokens for usage in listed),
        sum(usage.completion_tokens for usage in listed),
        sum(usage.cached_tokens for usage in listed),
    )
