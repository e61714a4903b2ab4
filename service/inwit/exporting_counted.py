"""The SDK's batch processors, counting what they send and what they lose."""

import threading
from collections.abc import Sequence

from opentelemetry.sdk._logs import ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    LogRecordExporter,
    LogRecordExportResult,
)
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from inwit.labels import Signal
from inwit.telemetry import DROPPED, EXPORTED


class _Waiting:
    """Counts what waits for the collector, as the SDK's bounded queue does, and what it lost."""

    def __init__(self, signal: Signal, most: int) -> None:
        self._exported = EXPORTED.labels(signal.value)
        self._dropped = DROPPED.labels(signal.value)
        self._most = most
        self._waiting = 0
        self._lock = threading.Lock()

    def came(self) -> None:
        """One more; the SDK's queue gives up the oldest for it where it is full."""
        with self._lock:
            if self._waiting < self._most:
                self._waiting += 1
                return
        self._dropped.inc()

    def taken(self, count: int) -> None:
        """So many are out of the queue."""
        with self._lock:
            self._waiting = max(0, self._waiting - count)

    def ended(self, count: int, *, well: bool) -> None:
        """So many were sent, or given up."""
        (self._exported if well else self._dropped).inc(count)


class CountedSpans(BatchSpanProcessor):
    """Spans."""

    def __init__(self, exporter: SpanExporter, most: int) -> None:
        self._waiting = _Waiting(Signal.SPANS, most)
        super().__init__(_SpanExporter(exporter, self._waiting), max_queue_size=most)

    def on_end(self, span: ReadableSpan) -> None:
        """See `SpanProcessor`."""
        if span.context is not None and span.context.trace_flags.sampled:
            self._waiting.came()
        super().on_end(span)


class CountedLogs(BatchLogRecordProcessor):
    """Log events."""

    def __init__(self, exporter: LogRecordExporter, most: int) -> None:
        self._waiting = _Waiting(Signal.LOGS, most)
        super().__init__(_LogExporter(exporter, self._waiting), max_queue_size=most)

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """See `LogRecordProcessor`."""
        self._waiting.came()
        super().on_emit(log_record)


class _SpanExporter(SpanExporter):
    def __init__(self, exporter: SpanExporter, waiting: _Waiting) -> None:
        self._exporter = exporter
        self._waiting = waiting

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._waiting.taken(len(spans))
        result = self._exporter.export(spans)
        self._waiting.ended(len(spans), well=result is SpanExportResult.SUCCESS)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class _LogExporter(LogRecordExporter):
    def __init__(self, exporter: LogRecordExporter, waiting: _Waiting) -> None:
        self._exporter = exporter
        self._waiting = waiting

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        self._waiting.taken(len(batch))
        result = self._exporter.export(batch)
        self._waiting.ended(len(batch), well=result is LogRecordExportResult.SUCCESS)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)
