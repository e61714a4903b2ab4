"""Named stand-ins for the edges of Inwit. They live here and nowhere else."""

import asyncio
import contextlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from inwit.decisions import AcceptedRecord, AnyRecord, FailedRecord, Receipt, Record
from inwit.errors import (
    ConversationTooLong,
    LedgerError,
    UnknownModel,
    UpstreamError,
    UpstreamUnavailable,
)
from inwit.pipeline.protocols import Ledger
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
    keeps generations until it is set (`writes_beside`). With a draft it writes `piece` characters
    at a time, gives everyone else `turns` turns after each, and breaks off at `breaks_at`. Models
    that are `gone` are served no more; any other name is.
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
    gone: frozenset[str] = frozenset()
    adapter: str | None = None

    def resolve(self, name: str | None) -> str:
        if name in self.gone:
            raise UnknownModel([MODEL])
        return name or MODEL

    def reviewer_of(self, model: str) -> str:
        return model if self.adapter is None else self.adapter

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
            if self.waits_for is not None:
                await self.waits_for.wait()

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


def writes_beside(model: FakeModel, ledger: Ledger) -> None:
    """Have a model write only while the ledger records nothing, and not before the first entry.

    What was written meanwhile is reviewed in one piece; how long a disk takes must not decide that.
    """
    append, waits_for = ledger.append, asyncio.Event()

    async def telling(record: AnyRecord) -> Receipt:
        waits_for.clear()
        try:
            return await append(record)
        finally:  # in the turn of the loop in which whoever records is told, too
            waits_for.set()

    model.waits_for = waits_for
    ledger.append = telling


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
    """The pipeline's `Ledger`, in memory; `error` is raised, `hang` never confirms.

    `ends` are what requests that were accepted, or that failed, left; `entries` is all else.
    """

    error: LedgerError | None = None
    hang: bool = False
    entries: list[AnyRecord] = field(default_factory=list[AnyRecord])
    ends: list[AnyRecord] = field(default_factory=list[AnyRecord])
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
        ends = isinstance(record, AcceptedRecord | FailedRecord)
        (self.ends if ends else self.entries).append(record)
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
