"""One candidate, reviewed: judge, explain, classify, decide. The same for rewrites and shadows."""

import asyncio
import random
from dataclasses import dataclass, replace

from inwit.decisions import AskReason, Explanation, ExplanationStatus, Round
from inwit.errors import UpstreamTimeout
from inwit.pipeline.exchange import Shown, show
from inwit.pipeline.protocols import Classifiers, Explainer, Judge
from inwit.pipeline.redaction import private_spans
from inwit.pipeline.spans import Spans
from inwit.pipeline.tools import tool_finding
from inwit.policy.ask import Circumstances, ask_reasons, sampling
from inwit.policy.decide import Evidence, decide
from inwit.policy.policy import Policy
from inwit.tracing import Stage, StageTimer
from inwit.types import Candidate, Exchange, Fault, Message, Verdict


@dataclass(frozen=True, slots=True)
class ReviewLimits:
    """Longest times of the stages of a review, in milliseconds."""

    judge_ms: int
    explain_ms: int
    classify_ms: int


@dataclass(frozen=True, slots=True)
class Subject:
    """What a candidate answers, under whose policy, and until when it may be reviewed."""

    policy: Policy
    conversation: tuple[Message, ...]
    messages: tuple[Message, ...]  # the caller's, without passages
    tenant: str
    ends: float  # on the event loop's clock, seconds
    timer: StageTimer
    offered: frozenset[str] = frozenset()  # names of tools
    untrusted_instructions: bool = False
    input: Verdict | None = None
    input_flagged: bool = False


class Reviewer:
    """Reviews candidates by the conscience and, where the policy asks, by a classifier."""

    def __init__(
        self,
        judge: Judge,
        explainer: Explainer,
        classifiers: Classifiers,
        limits: ReviewLimits,
        spans: Spans,
    ) -> None:
        self._judge = judge
        self._explainer = explainer
        self._classifiers = classifiers
        self._limits = limits
        self._spans = spans
        self._random = random.SystemRandom()

    async def review(
        self,
        subject: Subject,
        candidate: Candidate,
        *,
        rewrite: bool = False,
        known: Verdict | None = None,
        window: bool = False,
    ) -> Round:
        """Review a candidate and decide on it; `known` is the conscience's verdict, if it is.

        A `window` is what is written so far of a candidate that will be reviewed whole: it is in
        no random slice.

        Raises:
            UpstreamTimeout: the caller's own deadline ended a stage before its time.
        """
        policy = subject.policy
        shown = show(subject.conversation, candidate, subject.tenant, policy.harms)
        verdict = known or await self._conscience(subject, shown.exchange, candidate.model)
        explanation = await self._explanation(subject, shown.exchange, verdict, candidate.model)
        circumstances = _circumstances(subject, shown, candidate, rewrite)
        asked = ask_reasons(policy, verdict, explanation, circumstances)
        slice_ = None if window else sampling(policy, self._random.random())
        if slice_ is not None and slice_.drawn and not asked:
            asked = (AskReason.SAMPLE,)
        classifier = await self._classify(subject, shown.exchange, asked) if asked else None
        evidence = Evidence(
            covers=candidate.digest,
            conscience=verdict,
            explanation=explanation,
            classifier=classifier,
            asked=asked,
            tools=tool_finding(policy, candidate, subject.offered, subject.messages),
            input=subject.input,
            input_flagged=subject.input_flagged,
            masks=bool(private_spans(policy, candidate.text, subject.messages)),
        )
        return Round(candidate, decide(policy, evidence), asked, explanation, slice_)

    async def _conscience(self, subject: Subject, exchange: Exchange, model: str) -> Verdict:
        timeout = remaining(subject.ends, self._limits.judge_ms)
        with subject.timer.stage(Stage.JUDGE):
            review = subject.policy.review
            verdict = await self._judge.judge(review, exchange, model, timeout)
            self._spans.judged(subject.policy.ref, verdict)
        refuse_early_end(verdict, timeout, self._limits.judge_ms)
        return verdict

    async def _explanation(
        self, subject: Subject, exchange: Exchange, verdict: Verdict, model: str
    ) -> Explanation | None:
        if verdict.risk is None or verdict.risk < subject.policy.lowest(verdict.calibrated):
            return None
        timeout = remaining(subject.ends, self._limits.explain_ms)
        framing = subject.policy.review.framing
        with subject.timer.stage(Stage.EXPLAIN):
            explanation = await self._explainer.explain(framing, exchange, model, timeout)
        # Without its categories a stricter threshold or action of theirs would not hold.
        if explanation.status is ExplanationStatus.UNAVAILABLE:
            _refuse_shortened(timeout, self._limits.explain_ms)
        return explanation

    async def _classify(
        self, subject: Subject, exchange: Exchange, asked: tuple[AskReason, ...]
    ) -> Verdict | None:
        rule = subject.policy.classifier
        if rule is None:
            return None
        timeout = remaining(subject.ends, self._limits.classify_ms)
        with subject.timer.stage(Stage.CLASSIFY):
            verdict = await self._classifiers.classify(rule.use, exchange, timeout)
            self._spans.judged(subject.policy.ref, verdict)
        if asked != (AskReason.SAMPLE,):  # nothing hangs on the slice
            refuse_early_end(verdict, timeout, self._limits.classify_ms)
        return replace(verdict, covers=exchange.covers)


def remaining(ends: float, stage_ms: int) -> float:
    """Seconds that a stage may take: its own bound, or what is left of the whole."""
    left = ends - asyncio.get_running_loop().time()
    return max(0.0, min(stage_ms / 1000, left))


def refuse_early_end(verdict: Verdict, timeout: float, stage_ms: int) -> None:
    """A review that the caller gave less time than it may have is not a review that failed.

    Otherwise a caller could choose by a deadline what is released unreviewed
    (docs/decisions/0009).

    Raises:
        UpstreamTimeout: the verdict ran out of the `timeout` seconds that a deadline had shortened.
    """
    if verdict.fault is Fault.TIMEOUT:
        _refuse_shortened(timeout, stage_ms)


def _refuse_shortened(timeout: float, stage_ms: int) -> None:
    if timeout < stage_ms / 1000:
        raise UpstreamTimeout("The deadline ended during the review; nothing was released.")


def _circumstances(
    subject: Subject, shown: Shown, candidate: Candidate, rewrite: bool
) -> Circumstances:
    return Circumstances(
        tool_calls=bool(candidate.tool_calls),
        rewrite=rewrite,
        hidden_text=shown.hidden_text,
        untrusted_instructions=subject.untrusted_instructions,
        input_suspect=subject.input_flagged
        or (subject.input is not None and subject.input.risk is None),
    )
