"""The way of a request, in the order in which it happens. JSON and SSE share it."""

import asyncio
import contextlib
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from opentelemetry import trace

from inwit import telemetry
from inwit.cases import Output
from inwit.decisions import (
    Asked,
    Decision,
    Receipt,
    Record,
    Response,
    RewriteOutcome,
    Round,
    Sent,
    Usages,
)
from inwit.errors import (
    ConversationTooLong,
    InwitError,
    Overloaded,
    UpstreamError,
    UpstreamTimeout,
)
from inwit.pipeline.admission import Job, Limits, admit
from inwit.pipeline.background import Background
from inwit.pipeline.fallback import fallback_text
from inwit.pipeline.held import held_content, hold_of, masked_output, without_queue
from inwit.pipeline.input_stage import judge_input
from inwit.pipeline.ledger_contents import contents_of
from inwit.pipeline.look import Look, look
from inwit.pipeline.protocols import Classifiers, Ledger, Meter, Model
from inwit.pipeline.recording import Recording
from inwit.pipeline.reviewer import Reviewer, Subject, refuse_early_end, remaining
from inwit.pipeline.rewriting import bare_refusal, outcome_of, rewrite_messages, settle
from inwit.pipeline.shadow import Shadows
from inwit.pipeline.spans import Spans
from inwit.pipeline.streaming import Live, Written
from inwit.pipeline.tally import tally
from inwit.pipeline.windows import Windows
from inwit.policy.book import PolicyBook
from inwit.policy.policy import Policy
from inwit.tracing import Stage, exemplar_of
from inwit.types import Action, Call, Candidate, Generation, Message, Usage, Verdict


@dataclass(frozen=True, slots=True)
class Drafted:
    """A candidate, what it answers, and its round where a window of it was flagged already."""

    subject: Subject
    candidate: Candidate
    flagged: Round | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where review and rewriting ended: the last round's candidate under the final decision."""

    subject: Subject
    rounds: tuple[Round, ...]
    rewrites: tuple[RewriteOutcome, ...]
    decision: Decision

    @property
    def candidate(self) -> Candidate:
        """The candidate that the decision covers."""
        return self.rounds[-1].candidate


class Pipeline:
    """Takes a call from admission to release. Nothing leaves it without decision and record."""

    def __init__(
        self,
        *,
        model: Model,
        reviewer: Reviewer,
        classifiers: Classifiers,
        ledger: Ledger,
        policies: PolicyBook,
        shadows: Shadows,
        meter: Meter,
        background: Background,
        limits: Limits,
        queue_up: Callable[[], bool],
        spans: Spans,
    ) -> None:
        self._model = model
        self._reviewer = reviewer
        self._classifiers = classifiers
        self._policies = policies
        self._shadows = shadows
        self._recording = Recording(ledger, background, meter, limits.record_ms)
        self._windows = Windows(reviewer, self._recording.append)
        self._limits = limits
        self._queue_up = queue_up
        self._spans = spans
        self._in_flight = 0

    async def respond(self, call: Call, live: Live | None = None) -> Response:
        """Answer one call; `live` is sent what may leave before the decision, by policy.

        Raises:
            InwitError: as its subclasses say; whatever was generated stays inside, but for what
                was sent to `live`.
        """
        with self._recording.releasing(call.claim):
            job = admit(call, self._policies.current, self._model, self._limits, live)
        with self._recording.settling(job, self._windows):
            draft = await self._generate(job)  # recorded as accepted meanwhile
            first = draft.flagged or await self._reviewer.review(draft.subject, draft.candidate)
            outcome = await self._rewrite(job, draft.subject, first)
            if not self._queue_up():
                outcome = replace(outcome, decision=without_queue(job.policy, outcome.decision))
            output = act(job.policy, outcome.decision, outcome.candidate, call.messages)
            record = self._record_of(job, outcome, output)
            receipt = await self._record(job, record)
        self._shadows.judge(draft.subject, first)
        return self._release(job, record, output, receipt)

    async def check(self, call: Call, candidate: Candidate, *, rewrite: bool) -> Response:
        """Review what the caller's own model wrote; it is written anew only where asked for.

        Raises:
            InwitError: as its subclasses say.
        """
        job = admit(call, self._policies.current, self._model, self._limits, None)
        with self._recording.settling(job, self._windows):
            await self._recording.accept(job, Asked.CHECK)
            subject = job.subject(*(await self._look_first(job)))
            text = replace(candidate, model=job.generation.model)
            first = await self._reviewer.review(subject, text)
            outcome = Outcome(subject, (first,), (), first.decision)
            if rewrite:
                outcome = await self._rewrite(job, subject, first)
            output = act(job.policy, outcome.decision, outcome.candidate, call.messages)
            record = self._record_of(job, outcome, output, checked=True)
            receipt = await self._record(job, record)
        return self._release(job, record, output, receipt)

    async def look_over(self, call: Call, candidate: Candidate) -> Round:
        """Review a text that a person wrote in a candidate's place, as strictly as a rewrite.

        The round's candidate names the model that judged it: the call's, or the default one.

        Raises:
            InwitError: as its subclasses say.
        """
        job = admit(call, self._policies.current, self._model, self._limits, None)
        subject = job.subject(*(await self._look_first(job)))
        text = replace(candidate, model=job.generation.model)
        return await self._reviewer.review(subject, text, rewrite=True)

    async def look_at(self, call: Call) -> Look:
        """What the input stage makes of a call's own messages. Counted and logged, not recorded.

        Raises:
            InwitError: as its subclasses say.
        """
        job = admit(call, self._policies.current, self._model, self._limits, None)
        return look(call, job.policy, *(await self._look_first(job)))

    @contextmanager
    def slot(self) -> Generator[None]:
        """One of the places for requests in flight; taken before a body is read.

        Raises:
            Overloaded: all are taken.
        """
        if self._in_flight >= self._limits.max_in_flight:
            raise Overloaded(
                f"{self._in_flight} requests are in flight, as many as this gateway takes.",
                retry_after=1,
            )
        self._in_flight += 1
        telemetry.IN_FLIGHT.inc()
        try:
            yield
        finally:
            self._in_flight -= 1
            telemetry.IN_FLIGHT.dec()

    async def _generate(self, job: Job) -> Drafted:
        """Generate, with the input stage and, by policy, the windows of a stream beside it."""
        accepting = asyncio.create_task(self._recording.accept(job, Asked.RESPONSE))
        looking = asyncio.create_task(self._look_once(accepting, job))
        try:
            with job.timer.stage(Stage.GENERATE):
                candidate, flagged = await self._write_watched(job, looking)
            await accepting  # the ledger's time is Inwit's own
            with _asking_about_input(job):
                seen = await looking
        finally:
            accepting.cancel()
            looking.cancel()
            await asyncio.gather(accepting, looking, return_exceptions=True)
        return Drafted(job.subject(*seen), candidate, flagged)

    async def _look_once(
        self, accepted: asyncio.Task[None], job: Job
    ) -> tuple[Verdict | None, bool]:
        """Beside the generation; what is written is judged after this, and not before."""
        await accepted
        return await self._look_at_input(job, nullcontext())

    async def _look_first(self, job: Job) -> tuple[Verdict | None, bool]:
        """Before anything else, so that the request waits for all of it."""
        return await self._look_at_input(job, _asking_about_input(job))

    async def _write_watched(
        self, job: Job, looking: asyncio.Task[tuple[Verdict | None, bool]]
    ) -> tuple[Candidate, Round | None]:
        timeout = remaining(job.ends, self._limits.generate_ms)
        written = Written(job.generation.model) if job.streams else None
        writing = asyncio.create_task(self._write(job.generation, timeout, written))
        try:
            flagged = None
            if written is not None and job.live is not None:
                subject = job.subject(*(await looking))
                flagged = await self._windows.watch(subject, job.origin, written, job.live)
            return (flagged.candidate if flagged else await writing), flagged
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    async def _write(
        self, generation: Generation, timeout_s: float, written: Written | None = None
    ) -> Candidate:
        with contextlib.ExitStack() as stack:
            if written is not None:
                stack.callback(written.end)
            stack.enter_context(self._spans.writing(generation, streams=written is not None))
            try:
                async with asyncio.timeout(timeout_s):
                    candidate = await self._model.generate(generation, written)
            except TimeoutError as error:
                raise UpstreamTimeout("The model did not finish its answer in time.") from error
            self._spans.wrote(candidate)
            return candidate

    async def _look_at_input(
        self, job: Job, asking: AbstractContextManager[object]
    ) -> tuple[Verdict | None, bool]:
        if job.policy.input is None:
            return None, False
        timeout = remaining(job.ends, self._limits.review.classify_ms)
        tenant = job.generation.tenant
        verdict, flagged = await judge_input(
            self._classifiers, job.policy, job.call.messages, tenant, timeout, asking
        )
        if verdict is not None:
            refuse_early_end(verdict, timeout, self._limits.review.classify_ms)
        return verdict, flagged

    async def _rewrite(self, job: Job, subject: Subject, first: Round) -> Outcome:
        """Let the model revise while the policy says so; each rewrite is reviewed in its turn."""
        rounds, outcomes = [first], list[RewriteOutcome]()
        while (
            rounds[-1].decision.action is Action.REWRITE
            and len(outcomes) < job.policy.rewrite.max_rounds
        ):
            outcome, rewritten = await self._rewrite_once(job, subject, tuple(rounds))
            outcomes.append(outcome)
            if rewritten is not None:
                rounds.append(rewritten)
            if outcome is RewriteOutcome.COSMETIC:
                break
        decision = settle(job.policy, tuple(rounds), tuple(outcomes))
        return Outcome(subject, tuple(rounds), tuple(outcomes), decision)

    async def _rewrite_once(
        self, job: Job, subject: Subject, earlier: tuple[Round, ...]
    ) -> tuple[RewriteOutcome, Round | None]:
        generation = job.rewriting(rewrite_messages(job.generation.messages, earlier[-1]))
        try:
            with job.timer.stage(Stage.REWRITE):
                timeout = remaining(job.ends, self._limits.generate_ms)
                candidate = await self._write(generation, timeout)
        except (ConversationTooLong, UpstreamError):
            return RewriteOutcome.FAILED, None
        if bare_refusal(candidate.text):
            return RewriteOutcome.REFUSAL, None
        rewritten = await self._reviewer.review(subject, candidate, rewrite=True)
        return outcome_of(job.policy, earlier, rewritten), rewritten

    def _record_of(
        self, job: Job, outcome: Outcome, output: Output, *, checked: bool = False
    ) -> Record:
        held = outcome.decision.action is Action.ESCALATE and not checked
        hold = hold_of(job, outcome.rounds) if held else None
        contents = contents_of(job.call, outcome.rounds, output)
        if hold is not None:
            contents["held"] = held_content(hold)
        return Record(
            origin=job.origin,
            time=datetime.now(UTC),
            decision=outcome.decision,
            rounds=outcome.rounds,
            rewrites=outcome.rewrites,
            has_input_stage=job.policy.input is not None,
            input=outcome.subject.input,
            input_flagged=outcome.subject.input_flagged,
            passages=job.passages,
            finish_reason=output.finish_reason,
            masked=output.masked,
            usage=_usages(outcome.rounds, job.live, generated=not checked),
            sent=_sent(job.live, output),
            hold=hold,
            timings_ms=job.timer.as_ms(),
            contents=contents,
            checked=checked,
            claim=job.call.claim,
        )

    async def _record(self, job: Job, record: Record) -> Receipt:
        with job.timer.stage(Stage.RECORD):
            return await self._recording.append(record)

    def _release(self, job: Job, record: Record, output: Output, receipt: Receipt) -> Response:
        exemplar = exemplar_of(trace.get_current_span())
        telemetry.OVERHEAD.observe(job.timer.overhead(), exemplar)
        self._spans.decided(record)
        if job.live is not None:
            job.live.first_release()
        self._recording.spend(job, record.usage.tokens)
        response = Response(record, output, job.timer.as_ms(), receipt)
        tally(response)
        return response


def _asking_about_input(job: Job) -> AbstractContextManager[object]:
    """Times the wait for the classifiers on the caller's own messages, where the policy has any."""
    rule = job.policy.input
    return job.timer.stage(Stage.INPUT) if rule and rule.use else nullcontext()


def _usages(rounds: tuple[Round, ...], live: Live | None, *, generated: bool) -> Usages:
    written = rounds if generated else rounds[1:]
    return Usages(
        sum((each.candidate.usage for each in written), Usage()),
        sum((each.review_usage for each in rounds), live.usage if live else Usage()),
    )


def _sent(live: Live | None, output: Output) -> Sent | None:
    if live is None or (not live.windows and not live.length):
        return None
    retracted = not output.text.startswith(live.sent)
    return Sent(live.length, live.windows, live.usage, retracted)


def act(
    policy: Policy, decision: Decision, candidate: Candidate, messages: tuple[Message, ...]
) -> Output:
    """What leaves: the candidate under a decision that covers it, masked, else the fallback.

    Raises:
        InwitError: the decision is about another candidate.
    """
    if decision.action not in (Action.ALLOW, Action.REDACT):
        return Output(fallback_text(policy, messages), "content_filter")
    if decision.covers != candidate.digest:
        raise InwitError("A decision was applied to a candidate that it does not cover.")
    return masked_output(policy, candidate, messages)
