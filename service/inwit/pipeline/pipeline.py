"""The way of a request, in the order in which it happens. JSON and, later, SSE share it."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from inwit import telemetry
from inwit.decisions import (
    Decision,
    Output,
    Reason,
    Receipt,
    Record,
    Response,
    RewriteOutcome,
    Round,
)
from inwit.errors import (
    ConversationTooLong,
    InwitError,
    LedgerError,
    Overloaded,
    UpstreamError,
    UpstreamTimeout,
)
from inwit.pipeline.admission import Job, Limits, admit
from inwit.pipeline.fallback import fallback_text
from inwit.pipeline.input_stage import judge_input
from inwit.pipeline.ledger_contents import contents_of
from inwit.pipeline.protocols import Classifiers, Ledger, Model
from inwit.pipeline.redaction import masked, private_spans
from inwit.pipeline.reviewer import Reviewer, Subject, refuse_early_end, remaining
from inwit.pipeline.rewriting import bare_refusal, outcome_of, rewrite_messages, settle
from inwit.pipeline.shadow import Shadows
from inwit.pipeline.tally import tally
from inwit.policy.book import PolicyBook
from inwit.policy.policy import Policy
from inwit.telemetry import Stage
from inwit.types import Action, Call, Candidate, Generation, Message, Verdict


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
        limits: Limits,
    ) -> None:
        self._model = model
        self._reviewer = reviewer
        self._classifiers = classifiers
        self._ledger = ledger
        self._policies = policies
        self._shadows = shadows
        self._limits = limits
        self._in_flight = 0

    async def respond(self, call: Call) -> Response:
        """Answer one call.

        Raises:
            InwitError: as its subclasses say; whatever was generated stays inside.
        """
        job = admit(call, self._policies.current, self._model, self._limits)
        candidate, subject = await self._generate(job)
        first = await self._reviewer.review(subject, candidate)
        outcome = await self._rewrite(job, subject, first)
        output = act(job.policy, outcome.decision, outcome.candidate, call.messages)
        receipt = await self._record(job, outcome, output)
        self._shadows.judge(subject, first)
        return self._release(job, outcome, output, receipt)

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

    async def _generate(self, job: Job) -> tuple[Candidate, Subject]:
        """Generate, with the input stage beside it."""
        looking = asyncio.create_task(self._look_at_input(job)) if job.policy.input else None
        try:
            with job.timer.stage(Stage.GENERATE):
                timeout = remaining(job.ends, self._limits.generate_ms)
                candidate = await self._write(job.generation, timeout)
            verdict, flagged = await looking if looking else (None, False)
        finally:
            if looking is not None:
                looking.cancel()
                await asyncio.wait({looking})
        return candidate, job.subject(verdict, flagged)

    async def _write(self, generation: Generation, timeout_s: float) -> Candidate:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._model.generate(generation)
        except TimeoutError as error:
            raise UpstreamTimeout("The model did not finish its answer in time.") from error

    async def _look_at_input(self, job: Job) -> tuple[Verdict | None, bool]:
        timeout = remaining(job.ends, self._limits.review.classify_ms)
        tenant = job.generation.tenant
        verdict, flagged = await judge_input(
            self._classifiers, job.policy, job.call.messages, tenant, timeout
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
        if decision.action is Action.ESCALATE:  # nobody can hold it yet, and the answer says so
            decision = replace(decision, reasons=(*decision.reasons, Reason.NOT_HELD))
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

    async def _record(self, job: Job, outcome: Outcome, output: Output) -> Receipt:
        record = Record(
            response_id=job.id,
            time=datetime.now(UTC),
            principal=job.call.principal,
            policy=job.policy.ref,
            model=outcome.candidate.model,
            decision=outcome.decision,
            rounds=outcome.rounds,
            rewrites=outcome.rewrites,
            input=outcome.subject.input,
            input_flagged=outcome.subject.input_flagged,
            masked=output.masked,
            timings_ms=job.timer.as_ms(),
            request_id=job.call.request_id,
            contents=contents_of(job.call, outcome.rounds, output),
        )
        with job.timer.stage(Stage.RECORD):
            try:
                async with asyncio.timeout(self._limits.record_ms / 1000):
                    return await self._ledger.append(record)
            except TimeoutError as error:
                detail = "The ledger did not confirm in time; nothing was released."
                raise LedgerError(detail, retry_after=1) from error

    def _release(self, job: Job, outcome: Outcome, output: Output, receipt: Receipt) -> Response:
        telemetry.OVERHEAD.observe(job.timer.overhead())
        response = Response(
            id=job.id,
            decision=outcome.decision,
            rounds=outcome.rounds,
            rewrites=outcome.rewrites,
            output=output,
            has_input_stage=job.policy.input is not None,
            input=outcome.subject.input,
            input_flagged=outcome.subject.input_flagged,
            passages=job.passages,
            policy=job.policy.ref,
            timings_ms=job.timer.as_ms(),
            receipt=receipt,
            model=outcome.candidate.model,
        )
        tally(response, job.call.principal.tenant)
        return response


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
    text, counts = masked(candidate.text, private_spans(policy, candidate.text, messages))
    return Output(text, candidate.finish_reason, candidate.tool_calls, counts)
