"""Spans of a request's stages, and the timer that makes them: for its answer, metrics and trace.

What is exported where is set up in exporting.py; without that every span is a no-op.
"""

import asyncio
import time
from collections.abc import Generator
from contextlib import contextmanager
from enum import StrEnum

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from inwit.errors import InwitError
from inwit.telemetry import STAGE_DURATION, STAGE_ERRORS

TRACER = trace.get_tracer("inwit")


class Stage(StrEnum):
    """The timed stages of a request; also the names of their spans.

    INPUT is the wait for the classifiers on the caller's own messages: beside a generation only
    what is left of it afterwards.
    """

    INPUT = "input"
    GENERATE = "generate"
    JUDGE = "judge"
    EXPLAIN = "explain"
    CLASSIFY = "classify"
    REWRITE = "rewrite"
    RECORD = "record"


@contextmanager
def serving(name: str, caller: Context | None) -> Generator[Span]:
    """The span of one request, in its caller's trace where it came with one."""
    with TRACER.start_as_current_span(
        name, caller, SpanKind.SERVER, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield span
        except BaseException as error:
            fail(span, error_kind(error))
            raise


_KINDS = {Stage.RECORD: SpanKind.INTERNAL}  # the others ask a server


class StageTimer:
    """Times the stages of one request, for its answer, for the histogram and for the trace."""

    def __init__(self, *, observe: bool = True) -> None:
        self._observe = observe  # what is not on the way of a request stays out of the histogram
        self._start = time.perf_counter()
        self.seconds: dict[Stage, float] = {}

    @contextmanager
    def stage(self, stage: Stage) -> Generator[Span]:
        """Time one stage, whether it ends well or not, and give its span."""
        start = time.perf_counter()
        kind = _KINDS.get(stage, SpanKind.CLIENT)
        with TRACER.start_as_current_span(
            stage.value, kind=kind, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except BaseException as error:
                self._failed(stage, span, error)
                raise
            finally:
                took = time.perf_counter() - start
                self.seconds[stage] = self.seconds.get(stage, 0.0) + took
                if self._observe:
                    STAGE_DURATION.labels(stage.value).observe(took, exemplar_of(span))

    def total(self) -> float:
        """Seconds since the request was admitted."""
        return time.perf_counter() - self._start

    def overhead(self) -> float:
        """Seconds so far that were not spent waiting for the model or a classifier."""
        upstream = sum(took for stage, took in self.seconds.items() if stage is not Stage.RECORD)
        return self.total() - upstream

    def as_ms(self) -> dict[str, float]:
        """Milliseconds by stage, and in total so far, to the microsecond."""
        timings = {stage.value: round(took * 1e3, 3) for stage, took in self.seconds.items()}
        return {**timings, "total": round(self.total() * 1e3, 3)}

    def _failed(self, stage: Stage, span: Span, error: BaseException) -> None:
        kind = error_kind(error)
        if self._observe:
            STAGE_ERRORS.labels(stage.value, kind).inc()
        fail(span, kind)


def error_kind(error: BaseException) -> str:
    """The closed set that metrics and spans use: an error's kind as callers are told it."""
    if isinstance(error, InwitError):
        return error.kind
    return "cancelled" if isinstance(error, asyncio.CancelledError) else "internal"


def fail(span: Span, kind: str) -> None:
    """Mark a span as failed. By kind only: an exception's words may quote content."""
    if span.is_recording():
        span.set_attribute("error.type", kind)
        span.set_status(Status(StatusCode.ERROR))


def exemplar_of(span: Span) -> dict[str, str] | None:
    """What leads from a histogram to this trace, where the trace is kept."""
    context = span.get_span_context()
    if not context.trace_flags.sampled:
        return None
    return {
        "trace_id": trace.format_trace_id(context.trace_id),
        "span_id": trace.format_span_id(context.span_id),
    }
