"""Text that leaves while the model still writes, as the policy's stream mode lets it.

A window is everything written so far, judged as the answer that would stand if the model stopped
there. What passed leaves but for its end (`overlap`), which waits for the next window.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from inwit import telemetry
from inwit.decisions import (
    AnyRecord,
    CutReason,
    CutRecord,
    Decision,
    Origin,
    Receipt,
    Round,
    WindowRecord,
)
from inwit.errors import InwitError, LedgerError, UpstreamError
from inwit.labels import Text, WindowOutcome
from inwit.pipeline.reviewer import Reviewer, Subject
from inwit.pipeline.streaming import Live, Written, leaving
from inwit.pipeline.tally import count_verdict
from inwit.policy.policy import OnInput, StreamMode
from inwit.tracing import StageTimer
from inwit.types import Action, Candidate, Enforcement

log = structlog.get_logger()

Append = Callable[[AnyRecord], Awaitable[Receipt]]

_RELEASED = (Action.ALLOW, Action.REDACT)
_CUT_REVIEW_S = 4.0  # less than a shutdown waits: the entry is still written then
_MASKED_STEP = 40  # code points between two looks for private data; more as the text grows


class Windows:
    """Judges what is written so far, and lets it leave, until the model is done or was flagged."""

    def __init__(self, reviewer: Reviewer, append: Append) -> None:
        self._reviewer = reviewer
        self._append = append

    async def watch(
        self, subject: Subject, origin: Origin, written: Written, live: Live
    ) -> Round | None:
        """Give the round of a window that was flagged, or None once nothing more is written.

        Raises:
            LedgerError: what was about to leave could not be recorded.
            UpstreamTimeout: the caller's own deadline ended a review.
        """
        if subject.policy.stream.mode is StreamMode.AUDIT_ONLY:
            await self._send_at_once(subject, origin, written, live)
            return None
        return await self._judge_windows(subject, origin, written, live)

    async def _judge_windows(
        self, subject: Subject, origin: Origin, written: Written, live: Live
    ) -> Round | None:
        rule = subject.policy.stream
        judged = 0
        while await written.reach(judged + rule.window):
            candidate = written.candidate()
            judged = len(candidate.text)
            round_ = await self._review(subject, candidate, written)
            if round_ is None:
                return None
            outcome = _outcome(round_.decision)
            live.windows += 1
            telemetry.WINDOWS.labels(subject.policy.name, outcome.value).inc()
            for verdict in round_.decision.verdicts:
                count_verdict(subject.policy.ref, Text.WINDOW, verdict)
            if outcome is WindowOutcome.FLAGGED:
                return round_
            live.usage += round_.review_usage
            if outcome is WindowOutcome.PASSED:
                upto = judged - rule.overlap
                text = live.unsent(leaving(subject.policy, candidate.text, upto, subject.messages))
                if text:
                    await self._release(origin, round_, text, live)
        return None

    async def _review(
        self, subject: Subject, candidate: Candidate, written: Written
    ) -> Round | None:
        """Review a window; None where the model is done first: the whole is judged then."""
        beside = replace(subject, timer=StageTimer())
        judging = asyncio.create_task(self._reviewer.review(beside, candidate, window=True))
        ending = asyncio.create_task(written.finished())
        try:
            await asyncio.wait({judging, ending}, return_when=asyncio.FIRST_COMPLETED)
            return None if written.ended else judging.result()
        finally:
            for task in (judging, ending):
                task.cancel()
            await asyncio.gather(judging, ending, return_exceptions=True)

    async def _release(self, origin: Origin, round_: Round, text: str, live: Live) -> None:
        start, end = live.length, live.length + len(text)
        contents = {"released": json.dumps({"text": text}).encode()}
        live.announced = True
        await self._append(WindowRecord(origin, datetime.now(UTC), start, end, round_, contents))
        live.send(text)

    async def _send_at_once(
        self, subject: Subject, origin: Origin, written: Written, live: Live
    ) -> None:
        """Send as it comes, once it is recorded that this stream is sent unreviewed."""
        if _input_blocks(subject):
            return
        masks, step = subject.policy.redact is not None, 1
        while await written.reach(written.length + step if masks else live.length + 1):
            if masks:
                text = written.candidate().text
                fresh = live.unsent(leaving(subject.policy, text, len(text), subject.messages))
                step = max(_MASKED_STEP, written.length // 20)
            else:
                fresh = written.fresh()
            if fresh and not live.announced:
                live.announced = True
                await self._append(WindowRecord(origin, datetime.now(UTC), 0, None, None, {}))
                telemetry.RELEASED_BEFORE_REVIEW.labels(subject.policy.name).inc()
            if fresh:
                live.send(fresh)

    async def cut(self, subject: Subject, origin: Origin, live: Live, reason: CutReason) -> None:
        """Record that a stream ended before its decision, with a review of what left unreviewed."""
        try:
            sent = live.sent
            round_ = await self._look_back(subject, origin, sent)
            contents = {"released": json.dumps({"text": sent}).encode()}
            now = datetime.now(UTC)
            await self._append(CutRecord(origin, now, reason, len(sent), round_, contents))
        except InwitError as error:
            log.error("cut_not_recorded", response=origin.response_id, kind=error.kind)
        telemetry.CUTS.labels(origin.policy.name, reason.value).inc()
        log.warning("cut_short", response=origin.response_id, reason=reason.value)

    async def _look_back(self, subject: Subject, origin: Origin, sent: str) -> Round | None:
        """Review what left unreviewed; None where nothing did, or no judge answers in time."""
        if origin.enforcement is not Enforcement.AUDIT_ONLY or not sent:
            return None
        ends = asyncio.get_running_loop().time() + _CUT_REVIEW_S
        aside = replace(subject, ends=ends, timer=StageTimer(observe=False))
        try:
            return await self._reviewer.review(aside, Candidate(sent, origin.model), window=True)
        except InwitError as error:
            log.warning("cut_not_reviewed", response=origin.response_id, kind=error.kind)
            return None


def _input_blocks(subject: Subject) -> bool:
    """Whether the input stage has decided already that nothing of the answer is released."""
    rule, verdict = subject.policy.input, subject.input
    if rule is None or rule.on_flag is not OnInput.BLOCK:
        return False
    failed = verdict is not None and verdict.risk is None
    return subject.input_flagged or (
        failed and subject.policy.on_review_failure is not Action.ALLOW
    )


def cut_reason(error: BaseException) -> CutReason:
    """Why a stream ended, by what ended it."""
    match error:
        case asyncio.CancelledError():
            return CutReason.CALLER_GONE
        case LedgerError():
            return CutReason.LEDGER
        case UpstreamError():
            return CutReason.UPSTREAM
        case _:
            return CutReason.INTERNAL


def _outcome(decision: Decision) -> WindowOutcome:
    """A window that was not reviewed neither passes nor is flagged: it waits for the next."""
    if not decision.reviewed:
        return WindowOutcome.NOT_REVIEWED
    return WindowOutcome.PASSED if decision.action in _RELEASED else WindowOutcome.FLAGGED
