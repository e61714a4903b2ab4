"""Sends spans, GenAI metrics and log events to a collector (OTLP over gRPC), where one is named.

`OTEL_EXPORTER_OTLP_ENDPOINT` names it, and the other variables of OpenTelemetry's SDK hold too. No
request ever waits for it: what does not fit the queue is dropped and counted.
"""

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

import structlog
from opentelemetry import _logs, metrics, trace

from inwit import __version__
from inwit.errors import SetupError

log = structlog.get_logger()

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
_SENDERS = (
    "opentelemetry.exporter.otlp.proto.grpc.trace_exporter",
    "opentelemetry.sdk.trace",
    "inwit.exporting_counted",
)
_QUEUE = 2048
_FLUSH_S = 5.0


@asynccontextmanager
async def exporting() -> AsyncGenerator[None]:
    """Export while the block runs, and what is left at its end for five seconds more.

    Raises:
        SetupError: a collector is named, and what speaks to it is not installed.
    """
    if not os.environ.get(ENDPOINT) or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        yield
        return
    close = _open()
    log.info("telemetry_exported")
    try:
        yield
    finally:
        await asyncio.to_thread(close)


def check_sending() -> None:
    """Refuse what a collector that is named cannot be sent to by.

    Raises:
        SetupError: another protocol is asked for, or what speaks to it is not installed.
    """
    if os.environ.get(_PROTOCOL, "grpc") != "grpc":
        raise SetupError(f"{_PROTOCOL}: Inwit speaks `grpc` to collectors; set that, or unset it.")
    try:
        for module in _SENDERS:
            import_module(module)
    except ImportError as error:
        raise SetupError(
            f"{ENDPOINT} is set, and what sends to it is not installed: pip install 'inwit[otel]'."
        ) from error


def _open() -> Callable[[], None]:
    """Set the SDK up, and give what ends it."""
    check_sending()
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    from inwit.exporting_counted import CountedLogs, CountedSpans

    resource = Resource.create({"service.version": __version__})
    if str(resource.attributes.get("service.name", "")).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": "inwit"}))
    spans, logs, numbers = OTLPSpanExporter(), OTLPLogExporter(), OTLPMetricExporter()
    tracing = TracerProvider(resource=resource, shutdown_on_exit=False)
    tracing.add_span_processor(CountedSpans(spans, _QUEUE))
    logging = LoggerProvider(resource=resource, shutdown_on_exit=False)
    logging.add_log_record_processor(CountedLogs(logs, _QUEUE))
    reader = PeriodicExportingMetricReader(numbers)
    metering = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
    trace.set_tracer_provider(tracing)
    _logs.set_logger_provider(logging)
    metrics.set_meter_provider(metering)
    return lambda: _close((tracing, logging, metering), (spans, logs, numbers))


def _close(providers: Sequence[Any], exporters: Sequence[Any]) -> None:
    """Flush, but not for long: a collector that is away must not keep the gateway from ending."""

    def flush() -> None:
        for provider in providers:
            provider.force_flush()

    flushing = threading.Thread(target=flush, name="telemetry-flush", daemon=True)
    flushing.start()
    flushing.join(_FLUSH_S)
    for exporter in exporters:  # ends what is still being tried
        exporter.shutdown()
    for provider in providers:
        provider.shutdown()
