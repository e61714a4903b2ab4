"""Shadow policies: the same response judged under another policy, with no effect on the caller."""

import asyncio
from dataclasses import replace

import structlog

from inwit import telemetry
from inwit.decisions import Round
from inwit.errors import InwitError
from inwit.pipeline.background import Background
from inwit.pipeline.reviewer import Reviewer, Subject
from inwit.policy.book import PolicyBook
from inwit.policy.policy import Policy
from inwit.tracing import StageTimer

log = structlog.get_logger()

_AT_ONCE = 32
_DEADLINE_S = 30.0
_NAME = "shadow"


class Shadows:
    """Judges in the background after release. What does not fit in is left out, and counted."""

    def __init__(self, reviewer: Reviewer, policies: PolicyBook, background: Background) -> None:
        self._reviewer = reviewer
        self._policies = policies
        self._background = background

    def judge(self, subject: Subject, first: Round) -> None:
        """Judge the first candidate under the shadow of its policy, if it has one."""
        name = subject.policy.shadow
        shadow = self._policies.current.get(name) if name else None
        if shadow is None:
            return
        if self._background.count(_NAME) >= _AT_ONCE:
            telemetry.SHADOWS_LEFT_OUT.labels(subject.policy.name, shadow.name).inc()
            return
        self._background.start(self._judge(subject, first, shadow), _NAME)

    async def _judge(self, subject: Subject, first: Round, shadow: Policy) -> None:
        ends = asyncio.get_running_loop().time() + _DEADLINE_S
        under = replace(subject, policy=shadow, ends=ends, timer=StageTimer(observe=False))
        try:
            same_question = shadow.review == subject.policy.review
            known = first.decision.verdicts[0] if same_question else None
            judged = await self._reviewer.review(under, first.candidate, known=known)
        except InwitError as error:
            log.warning("shadow_failed", policy=subject.policy.name, kind=error.kind)
            return
        telemetry.SHADOW_DECISIONS.labels(
            subject.policy.name,
            shadow.name,
            first.decision.action.value,
            judged.decision.action.value,
        ).inc()
