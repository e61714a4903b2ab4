"""The way of a request, in the order in which it happens. JSON and, later, SSE share it."""

import asyncio
import json
import uuid
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from inwit import telemetry
from inwit.errors import FieldError as Wrong
from inwit.errors import (
    Forbidden,
    InvalidField,
    InwitError,
    LedgerError,
    Overloaded,
    UpstreamTimeout,
)
from inwit.pipeline.protocols import Judge, Ledger, Model
from inwit.policy.decide import decide
from inwit.policy.policy import Policy
from inwit.telemetry import Stage, StageTimer
from inwit.types import (
    Action,
    Call,
    Candidate,
    Decision,
    Fault,
    Generation,
    Receipt,
    Record,
    Response,
    Verdict,
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one request and on all of them together; times in milliseconds."""

    max_in_flight: int
    deadline_ms: int
    generate_ms: int
    judge_ms: int
    record_ms: int
    max_tokens: int


@dataclass(frozen=True, slots=True)
class _Job:
    """An admitted call."""

    id: str
    call: Call
    policy: Policy
    generation: Generation
    ends: float  # on the event loop's clock, seconds
    timer: StageTimer


class Pipeline:
    """Takes a call from admission to release. Nothing leaves it without decision and record."""

    def __init__(
        self,
        *,
        model: Model,
        judge: Judge,
        ledger: Ledger,
        policies: Mapping[str, Policy],
        limits: Limits,
    ) -> None:
        self._model = model
        self._judge = judge
        self._ledger = ledger
        self._policies = policies
        self._limits = limits
        self._in_flight = 0

    async def respond(self, call: Call) -> Response:
        """Answer one call.

        Raises:
            InwitError: as its subclasses say; whatever was generated stays inside.
        """
        job = self._admit(call)
        candidate = await self._generate(job)
        verdict = await self._review(job, candidate)
        decision = decide(job.policy, (verdict,), candidate.digest)
        output = act(job.policy, decision, candidate)
        receipt = await self._record(job, candidate, decision, output)
        return self._release(job, candidate, decision, output, receipt)

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

    def _admit(self, call: Call) -> _Job:
        limits = self._limits
        policy = self._policy_for(call)
        deadline_ms = min(call.deadline_ms or limits.deadline_ms, limits.deadline_ms)
        generation = Generation(
            messages=call.messages,
            model=self._model.resolve(call.model),
            max_tokens=min(call.max_tokens or limits.max_tokens, limits.max_tokens),
            tenant=call.principal.tenant,
            temperature=call.temperature,
            seed=call.seed,
        )
        ends = asyncio.get_running_loop().time() + deadline_ms / 1000
        return _Job(f"resp_{uuid.uuid4().hex}", call, policy, generation, ends, StageTimer())

    def _policy_for(self, call: Call) -> Policy:
        own = call.principal.policy
        policy = self._policies.get(call.policy or own)
        if policy is None and call.policy in (None, own):
            raise Forbidden(
                f"This API key decides by the policy {own!r}, which this gateway does not have. "
                "Its operator must add the policy, or give you another key."
            )
        if policy is None:
            wrong = Wrong("policy", f"no such policy; this API key decides by {own!r}")
            raise InvalidField("The request names a policy that does not exist.", (wrong,))
        if policy.name != own:
            raise Forbidden(f"This API key decides by the policy {own!r}, and by no other.")
        return policy

    async def _generate(self, job: _Job) -> Candidate:
        with job.timer.stage(Stage.GENERATE):
            try:
                async with asyncio.timeout(_remaining(job, self._limits.generate_ms)):
                    return await self._model.generate(job.generation)
            except TimeoutError as error:
                raise UpstreamTimeout("The model did not finish its answer in time.") from error

    async def _review(self, job: _Job, candidate: Candidate) -> Verdict:
        timeout = _remaining(job, self._limits.judge_ms)
        with job.timer.stage(Stage.JUDGE):
            verdict = await self._judge.judge(
                job.policy.review,
                job.generation.messages,
                candidate,
                job.generation.tenant,
                timeout,
            )
        if verdict.fault is Fault.TIMEOUT and timeout < self._limits.judge_ms / 1000:
            # Not a review that failed: the caller gave it less time than it may have, and must
            # not be able to choose by that what is released unreviewed.
            raise UpstreamTimeout("The deadline ended during the review; nothing was released.")
        telemetry.VERDICTS.labels(job.policy.name, verdict.judge, verdict.outcome).inc()
        return verdict

    async def _record(
        self, job: _Job, candidate: Candidate, decision: Decision, output: str
    ) -> Receipt:
        record = Record(
            response_id=job.id,
            time=datetime.now(UTC),
            principal=job.call.principal,
            policy=job.policy.ref,
            model=candidate.model,
            decision=decision,
            timings_ms=job.timer.as_ms(),
            request_id=job.call.request_id,
            contents=_contents(job.call, candidate, output),
        )
        with job.timer.stage(Stage.RECORD):
            try:
                async with asyncio.timeout(self._limits.record_ms / 1000):
                    return await self._ledger.append(record)
            except TimeoutError as error:
                detail = "The ledger did not confirm in time; nothing was released."
                raise LedgerError(detail, retry_after=1) from error

    def _release(
        self, job: _Job, candidate: Candidate, decision: Decision, output: str, receipt: Receipt
    ) -> Response:
        allowed = decision.action is Action.ALLOW
        telemetry.RESPONSES.labels(job.policy.name, decision.action.value).inc()
        if allowed and not decision.reviewed:
            telemetry.UNREVIEWED_RELEASES.labels(job.policy.name).inc()
        telemetry.OVERHEAD.observe(job.timer.overhead())
        timings = job.timer.as_ms()
        log.info(
            "responded",
            response=job.id,
            tenant=job.call.principal.tenant,
            policy=job.policy.name,
            action=decision.action.value,
            reasons=[reason.value for reason in decision.reasons],
            outcomes=[verdict.outcome for verdict in decision.verdicts],
            sequence=receipt.sequence,
            timings_ms=timings,
        )
        return Response(
            id=job.id,
            decision=decision,
            output=output,
            finish_reason=candidate.finish_reason if allowed else "content_filter",
            policy=job.policy.ref,
            candidate_usage=candidate.usage,
            timings_ms=timings,
            receipt=receipt,
            model=candidate.model,
        )


def act(policy: Policy, decision: Decision, candidate: Candidate) -> str:
    """The text that leaves: the candidate under a decision that covers it, else the fallback."""
    if decision.action is not Action.ALLOW:
        return policy.fallback_text
    if decision.covers != candidate.digest:
        raise InwitError("A decision was applied to a candidate that it does not cover.")
    return candidate.text


def _remaining(job: _Job, stage_ms: int) -> float:
    """Seconds that a stage may take: its own bound, or what is left of the whole."""
    left = job.ends - asyncio.get_running_loop().time()
    return max(0.0, min(stage_ms / 1000, left))


def _contents(call: Call, candidate: Candidate, output: str) -> dict[str, bytes]:
    request = {
        "messages": [message.as_openai() for message in call.messages],
        "end_user": call.end_user,
        "conversation_id": call.conversation_id,
        "metadata": dict(call.metadata),
    }
    written = {"text": candidate.text, "reasoning": candidate.reasoning}
    blobs = {"request": request, "candidate": written, "released": {"text": output}}
    return {kind: json.dumps(blob, ensure_ascii=True).encode() for kind, blob in blobs.items()}
