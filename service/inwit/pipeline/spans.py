"""What the spans of a request say, in OpenTelemetry's GenAI names and Inwit's own (`inwit.…`).

No content, unless a setting says so. Of a trace that nobody keeps nothing is put together.
"""

import json
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import _logs, metrics, trace
from opentelemetry.trace import Span

from inwit import genai
from inwit.decisions import Record
from inwit.genai import NAMES, Convention
from inwit.tracing import error_kind, fail
from inwit.types import Candidate, Generation, Message, PolicyRef, Usage, Verdict

_PROVIDER = "inwit.openai_compatible"  # whatever answers there: vLLM has no name of its own yet
_OPERATION = "chat"


class Spans:
    """Describes the span that is current. `content` says that texts are put into spans too."""

    def __init__(
        self, convention: Convention = Convention.PUBLISHED, *, content: bool = False
    ) -> None:
        self._names = NAMES[convention]
        self._content = content
        meter = metrics.get_meter("inwit")
        self._duration = meter.create_histogram(
            self._names.duration,
            "s",
            "Time of a call of the model.",
            explicit_bucket_boundaries_advisory=genai.DURATION_BUCKETS,
        )
        self._tokens = {
            name: meter.create_histogram(
                name,
                "{token}",
                "Tokens of a call of the model.",
                explicit_bucket_boundaries_advisory=genai.TOKEN_BUCKETS,
            )
            for name in {self._names.input_tokens, self._names.output_tokens}
        }
        self._events = _logs.get_logger("inwit")

    @contextmanager
    def writing(self, generation: Generation, *, streams: bool) -> Generator[None]:
        """A call that writes; ends in the histogram, whatever becomes of it."""
        facts = _called(generation.model)
        span = trace.get_current_span()
        if span.is_recording():
            asked = {genai.REQUEST_MAX_TOKENS: generation.max_tokens, genai.REQUEST_STREAM: streams}
            span.set_attributes({**facts, **asked})
            if self._content:
                span.set_attribute(genai.INPUT_MESSAGES, _as_parts(generation.messages))
        start = time.perf_counter()
        try:
            yield
        except BaseException as error:
            facts["error.type"] = error_kind(error)
            raise
        finally:
            self._duration.record(time.perf_counter() - start, facts)

    def wrote(self, candidate: Candidate) -> None:
        """What came of it."""
        self._count_tokens(candidate.model, candidate.usage)
        span = trace.get_current_span()
        if not span.is_recording():
            return
        _set_usage(span, candidate.usage)
        span.set_attribute(genai.RESPONSE_FINISH_REASONS, [candidate.finish_reason])
        if self._content:
            parts = _as_parts([Message("assistant", candidate.text)])
            span.set_attribute(genai.OUTPUT_MESSAGES, parts)

    def judged(self, policy: PolicyRef, verdict: Verdict) -> None:
        """A verdict: on its span, and as the event `gen_ai.evaluation.result`."""
        if verdict.model is not None:
            self._count_tokens(verdict.model, verdict.usage)
        span = trace.get_current_span()
        if not span.is_recording():
            return
        if verdict.model is not None:
            span.set_attributes(_called(verdict.model))
            _set_usage(span, verdict.usage)
        span.set_attributes(_verdict(policy, verdict) | self._guardrail(policy, verdict))
        if verdict.fault is not None:
            fail(span, verdict.outcome)
        self._events.emit(
            _logs.LogRecord(
                timestamp=time.time_ns(),  # the clock, and no duration
                severity_number=_logs.SeverityNumber.INFO,
                event_name=genai.EVALUATION_EVENT,
                attributes=_evaluation(policy, verdict),
            )
        )

    def decided(self, record: Record) -> None:
        """The whole request."""
        span = trace.get_current_span()
        if not span.is_recording():
            return
        decision, origin = record.decision, record.origin
        span.set_attributes(
            {
                "inwit.response.id": origin.response_id,
                "inwit.policy": origin.policy.name,
                "inwit.policy.version": origin.policy.version,
                "inwit.action": decision.action.value,
                "inwit.enforcement": origin.enforcement.value,
                "inwit.reviewed": decision.reviewed,
                "inwit.reasons": [reason.value for reason in decision.reasons],
                "inwit.categories": [category.value for category in decision.categories],
                "inwit.rewrites": [outcome.value for outcome in record.rewrites],
            }
        )

    def _count_tokens(self, model: str, usage: Usage) -> None:
        kinds = (
            (self._names.input_tokens, "input", usage.prompt_tokens),
            (self._names.output_tokens, "output", usage.completion_tokens),
        )
        for name, kind, count in kinds:
            facts = _called(model) | ({genai.TOKEN_TYPE: kind} if self._names.token_type else {})
            self._tokens[name].record(count, facts)

    def _guardrail(self, policy: PolicyRef, verdict: Verdict) -> dict[str, Any]:
        """The open proposal's names; it forbids to read a risk as an order, so only what is."""
        prefix = self._names.guardrail
        if prefix is None:
            return {}
        facts: dict[str, Any] = {
            f"{prefix}.component.name": verdict.judge,
            f"{prefix}.policy.id": policy.name,
            f"{prefix}.policy.version": policy.version,
            f"{prefix}.result.type": verdict.outcome,
        }
        if verdict.risk is not None:
            facts[f"{prefix}.risk.score"] = verdict.risk
        return facts


def _called(model: str) -> dict[str, Any]:
    return {
        genai.OPERATION: _OPERATION,
        genai.PROVIDER: _PROVIDER,
        genai.REQUEST_MODEL: model,
    }


def _set_usage(span: Span, usage: Usage) -> None:
    span.set_attribute(genai.USAGE_INPUT_TOKENS, usage.prompt_tokens)
    span.set_attribute(genai.USAGE_OUTPUT_TOKENS, usage.completion_tokens)


def _verdict(policy: PolicyRef, verdict: Verdict) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "inwit.policy": policy.name,
        "inwit.policy.version": policy.version,
        "inwit.judge": verdict.judge,
        "inwit.outcome": verdict.outcome,
        "inwit.calibrated": verdict.calibrated,
    }
    if verdict.risk is not None:
        facts["inwit.risk"] = verdict.risk
    if verdict.label_mass is not None:
        facts["inwit.label_mass"] = verdict.label_mass
    return facts


def _evaluation(policy: PolicyRef, verdict: Verdict) -> Mapping[str, Any]:
    facts: dict[str, Any] = {
        genai.EVALUATION_NAME: verdict.judge,
        genai.EVALUATION_LABEL: verdict.outcome,
        "inwit.policy": policy.name,
        "inwit.policy.version": policy.version,
    }
    if verdict.risk is not None:
        facts[genai.EVALUATION_SCORE] = verdict.risk
    if verdict.fault is not None:
        facts["error.type"] = verdict.outcome
    return facts


def _as_parts(messages: tuple[Message, ...] | list[Message]) -> str:
    """Messages as the conventions write them: a list of parts each."""
    told = [
        {"role": each.role, "parts": [{"type": "text", "content": each.content or ""}]}
        for each in messages
    ]
    return json.dumps(told, ensure_ascii=False)
