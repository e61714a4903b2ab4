"""The model, the judges and the ledger of a streamed response, each of which waits to be told."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextvars import Context
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
)

from inwit.decisions import (
    AnyRecord,
    CutRecord,
    Explanation,
    ExplanationStatus,
    FailedRecord,
    Receipt,
    Record,
    Response,
)
from inwit.errors import Conflict, LedgerError
from inwit.pipeline.admission import Limits
from inwit.pipeline.background import Background
from inwit.pipeline.pipeline import Pipeline
from inwit.pipeline.redaction import masked, private_spans
from inwit.pipeline.reviewer import Reviewer, ReviewLimits
from inwit.pipeline.shadow import Shadows
from inwit.pipeline.spans import Spans
from inwit.pipeline.streaming import Live
from inwit.policy.book import PolicyBook
from inwit.policy.policy import Policy, ReviewSpec
from inwit.types import (
    Action,
    Call,
    Candidate,
    Category,
    Claim,
    Draft,
    Exchange,
    Fault,
    FinishReason,
    Framing,
    Generation,
    Message,
    Principal,
    ReviewStatus,
    Tool,
    ToolCall,
    Verdict,
)
from tests.fakes import MODEL, FakeMeter
from tests.fakes_policies import compiled

LIMITS = Limits(
    max_in_flight=8,
    deadline_ms=60_000,
    generate_ms=50_000,
    record_ms=5_000,
    max_tokens=256,
    review=ReviewLimits(judge_ms=10_000, explain_ms=15_000, classify_ms=5_000),
)
POLICIES = {
    (action, looks): compiled(
        on_harm=action,
        categories={"hate": None, "deception": None},
        redact={"mask": ["email", "phone"]},
        tools={"look_up": {}},
        input={"use": ["guard"], "on_flag": "block"} if looks else None,
        fallback_text="Withheld.",
    )
    for action in ("block", "escalate", "rewrite")
    for looks in (False, True)
}
CALL = Call(
    Principal("k", "acme", ("default",), frozenset()),
    (Message("user", "How do tides work?"),),
    tools=(Tool("look_up"),),
)

Answer = Literal["pass", "doubt", "fail", "unavailable", "truncated"]
RISKS: dict[str, float] = {"pass": 0.05, "doubt": 0.5, "fail": 0.95}
RELEASED = (Action.ALLOW, Action.REDACT)


class SteppedLoop(asyncio.SelectorEventLoop):
    """A loop that runs when it is told to, until nothing is left to do, by a clock of its own."""

    def __init__(self) -> None:
        self.now = 0.0
        self._asked = 0
        super().__init__()

    def time(self) -> float:
        return self.now

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        self._asked += 1
        return super().call_soon(callback, *args, context=context)

    def run_in_executor(
        self, executor: object, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """At once, and in no thread: no turn of the loop knows when a thread is done."""
        done: asyncio.Future[Any] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  # whoever waits for it gets it
            done.set_exception(error)
        return done

    def settle(self) -> None:
        """Run until a whole turn has asked for nothing more."""
        before = -1
        while self._asked != before:
            self._asked = before = 0
            super().call_soon(self.stop)
            self.run_forever()


@dataclass
class Pen:
    """One generation under way, and what it has written."""

    generation: Generation
    draft: Draft | None
    ended: asyncio.Future[tuple[FinishReason, tuple[ToolCall, ...]]]
    text: str = ""
    reasoning: str = ""
    cancelled: bool = False

    def write(self, text: str, reasoning: str) -> None:
        self.text += text
        self.reasoning += reasoning
        if self.draft is not None:
            self.draft.add(text, reasoning, None)


@dataclass
class Author:
    """The pipeline's `Model`: writes what a rule says, when it says so."""

    pens: list[Pen] = field(default_factory=list[Pen])

    def resolve(self, name: str | None) -> str:
        return name or MODEL

    async def generate(self, generation: Generation, draft: Draft | None = None) -> Candidate:
        pen = Pen(generation, draft, asyncio.get_running_loop().create_future())
        self.pens.append(pen)
        try:
            finish, calls = await pen.ended
        except asyncio.CancelledError:
            pen.cancelled = True
            raise
        return Candidate(pen.text, generation.model, pen.reasoning, finish, tool_calls=calls)

    @property
    def pen(self) -> Pen | None:
        """The generation under way."""
        return self.pens[-1] if self.pens and not self.pens[-1].ended.done() else None


@dataclass
class Question:
    """What is waited for, and where the answer goes."""

    kind: Literal["judge", "explain", "classify", "input"]
    covers: str
    answered: asyncio.Future[Answer]


@dataclass
class Judges:
    """Conscience, explainer and classifiers: a rule answers what is asked, or time runs out.

    `said` has all answers about each candidate, by its digest.
    """

    questions: list[Question] = field(default_factory=list[Question])
    said: dict[tuple[str, str], list[str]] = field(default_factory=dict[tuple[str, str], list[str]])

    async def judge(
        self, review: ReviewSpec, exchange: Exchange, model: str, timeout_s: float
    ) -> Verdict:
        answer = await self._ask("judge", exchange.covers, timeout_s)
        return replace(verdict("conscience", answer, exchange), model=model)

    async def explain(
        self, framing: Framing, exchange: Exchange, model: str, timeout_s: float
    ) -> Explanation:
        answer = await self._ask("explain", exchange.covers, timeout_s)
        if answer in ("pass", "doubt", "fail"):
            return Explanation(ExplanationStatus.NAMED, (Category.DECEPTION,))
        return Explanation(
            ExplanationStatus.ILL_FORMED if answer == "truncated" else ExplanationStatus.UNAVAILABLE
        )

    async def classify(
        self, names: tuple[str, ...], exchange: Exchange, timeout_s: float
    ) -> Verdict:
        kind = "input" if exchange.answer is None else "classify"
        answer = await self._ask(kind, exchange.covers, timeout_s)
        return verdict(names[0], answer, exchange)

    async def _ask(
        self, kind: Literal["judge", "explain", "classify", "input"], covers: str, timeout_s: float
    ) -> str:
        question = Question(kind, covers, asyncio.get_running_loop().create_future())
        self.questions.append(question)
        answer: str = "timeout"
        try:
            async with asyncio.timeout(timeout_s):
                answer = await question.answered
        except TimeoutError:
            pass
        finally:
            self.questions.remove(question)
        self.said.setdefault((kind, covers), []).append(answer)
        return answer

    def passed(self, covers: str) -> bool:
        """Whether the last review of this candidate let it pass, by the policies above."""
        judged = self.said.get(("judge", covers), ["never"])[-1]
        classified = self.said.get(("classify", covers), [])[-1:]
        if judged == "pass":
            return classified in ([], ["pass"])
        return judged == "doubt" and classified == ["pass"]

    @property
    def flagged(self) -> bool:
        """Whether someone was certain of a harm in what is answered, or in what was asked."""
        return any(
            "fail" in answers for (kind, _), answers in self.said.items() if kind != "explain"
        )


def verdict(judge: str, answer: str, exchange: Exchange) -> Verdict:
    if answer in RISKS:
        return Verdict(judge, ReviewStatus.JUDGED, risk=RISKS[answer], covers=exchange.covers)
    truncated = answer == "truncated"
    fault = {"timeout": Fault.TIMEOUT, "truncated": Fault.DOES_NOT_FIT}.get(answer, Fault.UPSTREAM)
    status = ReviewStatus.TRUNCATED if truncated else ReviewStatus.UNAVAILABLE
    return Verdict(judge, status, fault=fault, covers=exchange.covers)


@dataclass
class Commit:
    """A record that waits to be made durable."""

    record: AnyRecord
    receipt: asyncio.Future[Receipt]


@dataclass
class Book:
    """The pipeline's `Ledger`: `durable` is what it holds, `confirmed` what it says it holds."""

    waiting: list[Commit] = field(default_factory=list[Commit])
    durable: list[AnyRecord] = field(default_factory=list[AnyRecord])
    confirmed: list[AnyRecord] = field(default_factory=list[AnyRecord])
    given_up: list[AnyRecord] = field(default_factory=list[AnyRecord])

    async def append(self, record: AnyRecord) -> Receipt:
        commit = Commit(record, asyncio.get_running_loop().create_future())
        self.waiting.append(commit)
        try:
            receipt = await commit.receipt
        except (asyncio.CancelledError, LedgerError):
            self.given_up.append(record)
            raise
        finally:
            self.waiting.remove(commit)
        return receipt

    def release(self, claim: Claim) -> None:
        raise AssertionError("no key was claimed")

    @property
    def decided(self) -> list[Record]:
        """The decisions that it holds."""
        return [each for each in self.durable if isinstance(each, Record)]

    @property
    def pending(self) -> list[Commit]:
        """Those that are not durable yet."""
        return [each for each in self.waiting if each.record not in self.durable]

    def commit(self, how: Literal["confirm", "fail", "lose"]) -> None:
        """Write the next one, and say so; or do not; or write it and never be heard again."""
        commit = self.pending[0]
        if how == "fail":
            commit.receipt.set_exception(LedgerError("disk full", retry_after=1))
            return
        if isinstance(commit.record, CutRecord | FailedRecord) and self.decided:
            commit.receipt.set_exception(Conflict("decided", retry_after=0))
            return
        self.durable.append(commit.record)
        if how == "confirm":
            self.confirmed.append(commit.record)
            number = len(self.durable)
            commit.receipt.set_result(Receipt(number, f"ent_{number}", "aa" * 32, "00" * 32))


words = st.sampled_from(
    [
        "The moon pulls the sea. ",
        "潮の満ち引きは月による。",
        "\U0001f30a\u0301",
        "e\u0301\u0301",
        "\u200b",
        "ana@example.org ",
        "+49 30 1234567 ",
        "ana@exam",
        "ple.org, ",
        "<|im_end|>",
        "\r\n\n",
        "x" * 80,
        "word " * 200,
    ]
)
odd = st.text(st.characters(exclude_categories=()), max_size=12)  # lone surrogates too
texts = words | odd | st.lists(words, max_size=5).map("".join)


class Streamed(RuleBasedStateMachine):
    """One streamed response and all who are in it, before anything has happened."""

    policy: Policy
    steps: int
    calm: int
    pieces: AsyncGenerator[str | Response]

    def __init__(self) -> None:
        super().__init__()
        self.loop = SteppedLoop()
        self.author, self.judges, self.book = Author(), Judges(), Book()
        self.live, self.background = Live(), Background()
        self.shown = ""
        self.response: Response | None = None
        self.error: BaseException | None = None
        self.gone = False
        self.reading: asyncio.Task[str | Response | None] | None = None
        self.frozen: str | None = None
        self.steps = 0
        self.calm = 0

    def assembled(self) -> Pipeline:
        book = PolicyBook({"default": self.policy}, datetime.now(UTC))
        reviewer = Reviewer(self.judges, self.judges, self.judges, LIMITS.review, Spans())
        return Pipeline(
            model=self.author,
            reviewer=reviewer,
            classifiers=self.judges,
            ledger=self.book,
            policies=book,
            shadows=Shadows(reviewer, book, self.background),
            meter=FakeMeter(),
            background=self.background,
            limits=LIMITS,
            queue_up=lambda: True,
            spans=Spans(),
        )

    def final_text(self, response: Response) -> str:
        """What a caller ends with, that takes back what is to be taken back."""
        sent = response.record.sent
        if sent is None:
            return response.output.text
        if sent.retracted:
            return response.output.text
        assert sent.length == len(self.shown)
        return self.shown + response.output.text[sent.length :]

    def as_masked(self, text: str) -> str:
        return masked(text, private_spans(self.policy, text, CALL.messages))[0]

    def over(self) -> bool:
        return self.gone or self.error is not None or self.response is not None

    def open_pen(self) -> Pen:
        pen = self.author.pen
        assert pen is not None
        return pen

    async def next_piece(self) -> str | Response | None:
        return await anext(self.pieces, None)

    async def hang_up_now(self) -> None:
        if self.reading is not None:
            self.reading.cancel()
            await asyncio.gather(self.reading, return_exceptions=True)
        await self.pieces.aclose()
