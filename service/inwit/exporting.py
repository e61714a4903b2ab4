"""Sends spans, GenAI metrics and log events to a collector (OTLP over gRPC), where one is named.

`OTEL_EXPORTER_OTLP_ENDPOINT` names it, and the other variables of OpenTelemetry's SDK hold too. No
request ever waits for it: what does not fit the queue is dropped and counted.
"""

import asyncio
import logging
import os
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from opentelemetry import _logs, metrics, trace

from inwit import __version__
from inwit.errors import SetupError

log = structlog.get_logger()

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
_QUEUE = 2048
_FLUSH_S = 5.0


@asynccontextmanager
async def exporting() -> AsyncGenerator[None]:
    """Export while the block runs, and what is left at its end for five seconds more.

    Raises:
        SetupError: a collector is named, and nothing could be sent to it: see `check_sending`.
    """
    if not os.environ.get(ENDPOINT) or switched_off():
        yield
        return
    sending = _built()
    sending.begin()
    log.info("telemetry_exported")
    try:
        yield
    finally:
        await asyncio.to_thread(sending.close)


def switched_off() -> bool:
    """Whether OpenTelemetry's own switch says that nothing is sent."""
    return os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"


def check_sending() -> None:
    """Set up what sends to a collector as a start does, and end it again: nothing is sent.

    Raises:
        SetupError: another protocol is asked for, what speaks to it is not installed, or a
            variable of OpenTelemetry's has a value that its SDK does not take.
    """
    # What its parts log of this goes nowhere: it is the telemetry of nobody.
    logger = logging.getLogger("opentelemetry")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        _built().end()
    finally:
        logger.setLevel(level)


@dataclass(frozen=True, slots=True)
class _Sending:
    """The SDK's parts, which are at work from when they are made."""

    tracing: Any
    logging: Any
    metering: Any
    exporters: Sequence[Any]

    @property
    def providers(self) -> tuple[Any, ...]:
        """All that is flushed and ended."""
        return self.tracing, self.logging, self.metering

    def begin(self) -> None:
        """Spans, log events and metrics of this process go this way from now on."""
        trace.set_tracer_provider(self.tracing)
        _logs.set_logger_provider(self.logging)
        metrics.set_meter_provider(self.metering)

    def close(self) -> None:
        """Flush, but not for long: a collector that is away must not keep a gateway from ending."""

        def flush() -> None:
            for provider in self.providers:
                provider.force_flush()

        flushing = threading.Thread(target=flush, name="telemetry-flush", daemon=True)
        flushing.start()
        flushing.join(_FLUSH_S)
        self.end()

    def end(self) -> None:
        """Nothing is sent any more."""
        for exporter in self.exporters:  # ends what is still being tried
            exporter.shutdown()
        for provider in self.providers:
            provider.shutdown()


def _built() -> _Sending:
    """All of it, or the reason why it cannot be had.

    Raises:
        SetupError: as `check_sending` does.
    """
    if os.environ.get(_PROTOCOL, "grpc") != "grpc":
        raise SetupError(f"{_PROTOCOL}: Inwit speaks `grpc` to collectors; set that, or unset it.")
    try:
        return _build()
    except ImportError as error:
        raise SetupError(
            f"{ENDPOINT} is set, and what sends to it is not installed: pip install 'inwit[otel]'."
        ) from error
    except Exception as error:  # whatever its SDK raises over what stands in the environment
        raise SetupError(
            f"Telemetry cannot be set up: {_words(error)}. Mend what is wrong among {_given()}, or "
            "unset it."
        ) from error


def _build() -> _Sending:
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
    events = LoggerProvider(resource=resource, shutdown_on_exit=False)
    events.add_log_record_processor(CountedLogs(logs, _QUEUE))
    reader = PeriodicExportingMetricReader(numbers)
    metering = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
    return _Sending(tracing, events, metering, (spans, logs, numbers))


def _words(error: Exception) -> str:
    """What the SDK says, in a line; an address may have a password in it."""
    said = " ".join(str(error).split()).rstrip(".")
    return type(error).__name__ if not said or "@" in said else said


def _given() -> str:
    """OpenTelemetry's variables that are set, without their values: headers are secrets."""
    return ", ".join(sorted(name for name, value in os.environ.items() if _is_set(name, value)))


def _is_set(name: str, value: str) -> bool:
    return name.startswith("OTEL_") and value != ""
