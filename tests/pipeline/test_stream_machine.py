"""A streamed response taken apart: every step of all who are in it is drawn, on a stepped loop.

The model writes, stalls, thinks, breaks off; judges answer or do not; the ledger confirms, fails,
or writes and never says so; the caller reads, stops reading, hangs up; time passes. After each
step the promises of streaming must hold, and at the end everything must end.
"""

import asyncio
import json
import os
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from inwit.api.live import live_pieces
from inwit.decisions import (
    AnyRecord,
    CutRecord,
    Explanation,
    ExplanationStatus,
    Receipt,
    Record,
    Response,
    WindowRecord,
)
from inwit.errors import (
    ConversationTooLong,
    InwitError,
    LedgerError,
    UpstreamError,
    UpstreamUnavailable,
)
from inwit.pipeline.admission import Limits
from inwit.pipeline.background import Background
from inwit.pipeline.pipeline import Pipeline
from inwit.pipeline.redaction import masked, private_spans
from inwit.pipeline.reviewer import Reviewer, ReviewLimits
from inwit.pipeline.shadow import Shadows
from inwit.pipeline.streaming import Live
from inwit.policy.book import PolicyBook
from inwit.policy.policy import ReviewSpec, StreamMode, StreamRule
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

EXAMPLES = int(os.environ.get("STREAM_EXAMPLES", "100"))
STEPS = int(os.environ.get("STREAM_STEPS", "40"))

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
    def pending(self) -> list[Commit]:
        """Those that are not durable yet."""
        return [each for each in self.waiting if each.record not in self.durable]

    def commit(self, how: Literal["confirm", "fail", "lose"]) -> None:
        """Write the next one, and say so; or do not; or write it and never be heard again."""
        commit = self.pending[0]
        if how == "fail":
            commit.receipt.set_exception(LedgerError("disk full", retry_after=1))
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
texts = words | st.text(max_size=12) | st.just("") | st.lists(words, max_size=5).map("".join)


class StreamMachine(RuleBasedStateMachine):
    """One streamed response, from its admission to its end."""

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
        self.steps = self.calm = 0

    @initialize(
        mode=st.sampled_from([*StreamMode, StreamMode.WINDOWED, StreamMode.AUDIT_ONLY]),
        window=st.sampled_from([1, 5, 40]),
        overlap=st.sampled_from([0, 3, 20]),
        action=st.sampled_from(["block", "escalate", "rewrite"]),
        looks=st.booleans(),
        masks=st.booleans(),
        calm=st.sampled_from([0, 4, 8, 12, 16, 24, 60]),
    )
    def begin(
        self,
        mode: StreamMode,
        window: int,
        overlap: int,
        action: str,
        looks: bool,
        masks: bool,
        calm: int,
    ) -> None:
        self.calm = calm  # so many steps before the first mishap, or nothing ever gets far
        base = POLICIES[action, looks]
        self.policy = replace(
            base,
            stream=StreamRule(mode, window, overlap),
            redact=base.redact if masks else None,
        )
        self.pieces = live_pieces(self._pipeline(), CALL, self.live, None)
        self.read()

    def _pipeline(self) -> Pipeline:
        book = PolicyBook({"default": self.policy}, datetime.now(UTC))
        reviewer = Reviewer(self.judges, self.judges, self.judges, LIMITS.review)
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
        )

    # What may happen.

    @precondition(lambda self: self.author.pen is not None)
    @rule(text=texts, well=st.integers(0, 4))
    def write(self, text: str, well: int) -> None:
        self._pen().write(text, "")
        self._step()
        for _ in range(well):
            self.go_on()

    @precondition(lambda self: self.author.pen is not None)
    @rule(reasoning=texts)
    def think(self, reasoning: str) -> None:
        self._pen().write("", reasoning)
        self._step()

    @rule()
    def go_on(self) -> None:
        """What is waited for first goes well."""
        if self.book.pending:
            self.book.commit("confirm")
        elif self.judges.questions:
            self.judges.questions[0].answered.set_result("pass")
        self._step()

    @precondition(lambda self: not self._over() and not self.reading)
    @rule()
    def read(self) -> None:
        self.reading = self.loop.create_task(self._next())
        self._step()

    @precondition(lambda self: self._rough() and self.author.pen is not None)
    @rule(finish=st.sampled_from(["stop", "stop", "length", "tool_calls"]), last=texts)
    def finish(self, finish: FinishReason, last: str) -> None:
        pen = self._pen()
        pen.write(last, "")
        called = finish == "tool_calls" and bool(pen.generation.tools)
        calls = (ToolCall("call_1", "look_up", "{}"),) if called else ()
        pen.ended.set_result((finish, calls))
        self._step()

    @precondition(lambda self: self._rough() and self.judges.questions)
    @rule(answer=st.sampled_from(["doubt", "doubt", "fail", "unavailable", "truncated"]))
    def answer(self, answer: Answer) -> None:
        self.judges.questions[0].answered.set_result(answer)
        self._step()

    @precondition(lambda self: self._rough() and self.author.pen is not None)
    @rule(error=st.sampled_from([UpstreamError, UpstreamUnavailable, None]))
    def break_off(self, error: type[InwitError] | None) -> None:
        raised = error("failed") if error else ConversationTooLong(5000, 4096)
        self._pen().ended.set_exception(raised)
        self._step()

    @precondition(lambda self: self._rough() and self.book.pending)
    @rule(how=st.sampled_from(["fail", "lose"]))
    def spoil_the_ledger(self, how: Literal["fail", "lose"]) -> None:
        self.book.commit(how)
        self._step()

    @precondition(lambda self: self._rough())
    @rule(seconds=st.sampled_from([0.5, 4.5, 5.5, 10.5, 16.0]))
    def pass_time(self, seconds: float) -> None:
        self.loop.now += seconds
        self._step()

    @precondition(lambda self: self._rough() and not self._over())
    @rule()
    def hang_up(self) -> None:
        self.gone = True
        self.loop.create_task(self._close())
        self._step()

    def _step(self) -> None:
        self.steps += 1
        self.loop.settle()

    def _rough(self) -> bool:
        return self.steps >= self.calm

    # What must hold after each step.

    @invariant()
    def take(self) -> None:
        """Take what was read; not a promise, but what the others look at."""
        if self.reading is None or not self.reading.done():
            return
        reading, self.reading = self.reading, None
        if reading.cancelled():
            return
        self.error = reading.exception()
        if self.error is not None:
            return
        match reading.result():
            case str() as piece:
                self.shown += piece
            case None:
                raise AssertionError("the pieces ended without a response")
            case response:
                self.response = response

    @invariant()
    def what_is_read_was_sent(self) -> None:
        assert self.live.sent.startswith(self.shown)
        assert self.live.length == len(self.live.sent)

    @invariant()
    def what_is_sent_was_written(self) -> None:
        if self.live.sent:
            assert self._masked(self.author.pens[0].text).startswith(self.live.sent)

    @invariant()
    def what_is_sent_was_recorded_and_had_passed(self) -> None:
        windows = [each for each in self.book.confirmed if isinstance(each, WindowRecord)]
        if not hasattr(self, "policy") or self.policy.stream.mode is StreamMode.BUFFER:
            assert not windows
            assert not self.live.sent
            return
        if self.policy.stream.mode is StreamMode.AUDIT_ONLY:
            assert windows or not self.live.sent
            assert [each.end for each in windows] in ([], [None])
            return
        recorded = "".join(json.loads(each.contents["released"])["text"] for each in windows)
        assert recorded == self.live.sent
        done = 0
        for each in windows:
            assert each.start == done
            assert each.end is not None
            assert each.round is not None
            done = each.end
            judged = each.round.candidate
            assert self.author.pens[0].text.startswith(judged.text)
            assert self._masked(judged.text).startswith(recorded[:done])
            if self.policy.redact is None:
                assert len(judged.text) >= done + self.policy.stream.overlap

    @invariant()
    def only_what_passed_is_recorded_as_released(self) -> None:
        """Seen as it comes to the ledger: a later review of the same words may say otherwise."""
        for commit in self.book.waiting:
            match commit.record:
                case WindowRecord(round=round_) if round_ is not None:
                    assert self.judges.passed(round_.candidate.digest)
                    assert round_.decision.reviewed
                case Record() as record if record.decision.action in RELEASED:
                    assert self.judges.passed(record.rounds[-1].candidate.digest)
                case _:
                    pass

    @invariant()
    def nothing_is_sent_after_a_flag(self) -> None:
        if self.frozen is None and self.judges.flagged:
            self.frozen = self.live.sent
        if self.frozen is not None:
            assert self.live.sent == self.frozen

    @invariant()
    def a_suspect_question_gets_nothing_early(self) -> None:
        asked = [answers for (kind, _), answers in self.judges.said.items() if kind == "input"]
        if any(answer not in ("pass", "doubt") for answers in asked for answer in answers):
            assert not self.live.sent

    @invariant()
    def a_caller_that_goes_stops_everything(self) -> None:
        if not self.gone:
            return
        for pen in self.author.pens:
            assert pen.cancelled or pen.ended.done()
        left = {task.get_name() for task in asyncio.all_tasks(self.loop)}
        assert left <= {"cut", "spend"}

    @invariant()
    def a_response_is_recorded_and_whole(self) -> None:
        if self.response is None:
            return
        record, output = self.response.record, self.response.output
        assert record in self.book.confirmed
        assert json.loads(record.contents["released"])["text"] == output.text
        assert self._final_text(self.response) == output.text
        assert self.shown == self.live.sent
        if record.decision.action in RELEASED:
            assert output.text == self._masked(record.rounds[-1].candidate.text)
        else:
            assert output.text == "Withheld."
            assert output.tool_calls == ()

    # And at the end.

    def teardown(self) -> None:
        try:
            if hasattr(self, "pieces"):
                self._let_it_end()
                self._check_the_end()
        finally:
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()

    def _let_it_end(self) -> None:
        """Everyone does what is waited for: then everything ends, in a bounded number of steps."""
        for _ in range(200):
            self.take()
            pen = self.author.pen
            if self.book.pending or self.judges.questions:
                self.go_on()
            elif self.book.waiting:
                self.pass_time(5.5)  # it was written, and nobody will ever say so
            elif pen is not None and not pen.cancelled:
                self.finish("stop", "")
            elif not self._over() and self.reading is None:
                self.read()
            elif self._over() and not asyncio.all_tasks(self.loop):
                return
            else:
                self.loop.settle()
            self._check_all()
        raise AssertionError("it does not end")

    def _check_all(self) -> None:
        self.take()
        self.what_is_read_was_sent()
        self.what_is_sent_was_written()
        self.what_is_sent_was_recorded_and_had_passed()
        self.nothing_is_sent_after_a_flag()
        self.a_caller_that_goes_stops_everything()
        self.a_response_is_recorded_and_whole()

    def _check_the_end(self) -> None:
        assert [self.gone, self.error is not None, self.response is not None].count(True) == 1
        assert self.error is None or isinstance(self.error, InwitError)
        cuts = [each for each in self.book.durable if isinstance(each, CutRecord)]
        not_cut = [each for each in self.book.given_up if isinstance(each, CutRecord)]
        decided = [each for each in self.book.durable if isinstance(each, Record)]
        if self.response is not None:
            assert (len(decided), cuts, not_cut) == (1, [], [])
            return
        # The ledger may have written a decision and been heard no more: then it stands before.
        assert all(each not in self.book.confirmed or self.gone for each in decided)
        assert len(decided) <= 1
        assert (
            not decided
            or not cuts
            or self.book.durable.index(decided[0]) < self.book.durable.index(cuts[0])
        )
        if not self.live.sent:
            assert cuts == not_cut == []
            return
        (cut,) = [*cuts, *(each for each in not_cut if each not in cuts)]
        assert cut.length == len(self.live.sent)
        assert json.loads(cut.contents["released"])["text"] == self.live.sent

    def _final_text(self, response: Response) -> str:
        """What a caller ends with, that takes back what is to be taken back."""
        sent = response.record.sent
        if sent is None:
            return response.output.text
        if sent.retracted:
            return response.output.text
        assert sent.length == len(self.shown)
        return self.shown + response.output.text[sent.length :]

    def _masked(self, text: str) -> str:
        return masked(text, private_spans(self.policy, text, CALL.messages))[0]

    def _over(self) -> bool:
        return self.gone or self.error is not None or self.response is not None

    def _pen(self) -> Pen:
        pen = self.author.pen
        assert pen is not None
        return pen

    async def _next(self) -> str | Response | None:
        return await anext(self.pieces, None)

    async def _close(self) -> None:
        if self.reading is not None:
            self.reading.cancel()
            await asyncio.gather(self.reading, return_exceptions=True)
        await self.pieces.aclose()


def test_streams_keep_their_promises_whatever_happens_when() -> None:
    run_state_machine_as_test(
        StreamMachine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
