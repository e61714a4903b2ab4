"""A collector for tests: takes OTLP over gRPC on loopback, keeps what comes, says when it did."""

# The services are generated code without types:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

_WAIT_S = 60.0


@dataclass
class Collected:
    """What came so far; `services` are the resources' names."""

    address: str = ""
    spans: list[Span] = field(default_factory=list[Span])
    metrics: list[Metric] = field(default_factory=list[Metric])
    logs: list[LogRecord] = field(default_factory=list[LogRecord])
    services: set[str] = field(default_factory=set[str])
    changed: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, there: Callable[["Collected"], bool]) -> None:
        """Wait until something is there.

        Raises:
            AssertionError: it did not come.
        """
        with self.changed:
            assert self.changed.wait_for(lambda: there(self), _WAIT_S), "nothing of it came"

    def named(self, name: str) -> list[Span]:
        """Spans of a name."""
        return [span for span in self.spans if span.name == name]

    def everything(self) -> str:
        """All of it as text."""
        return "\n".join(str(each) for each in [*self.spans, *self.metrics, *self.logs])


def attributes(pairs: Any) -> dict[str, Any]:
    """Attributes by name."""
    return {pair.key: _value(pair) for pair in pairs}


@contextmanager
def receiving() -> Generator[Collected]:
    """Listen on a free port while the block runs."""
    collected = Collected()
    server = grpc.server(ThreadPoolExecutor(3))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(_Spans(collected), server)
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(_Metrics(collected), server)
    logs_service_pb2_grpc.add_LogsServiceServicer_to_server(_Logs(collected), server)
    port = server.add_insecure_port("127.0.0.1:0")
    collected.address = f"http://127.0.0.1:{port}"
    server.start()
    try:
        yield collected
    finally:
        server.stop(None).wait()


class _Spans(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, collected: Collected) -> None:
        self._collected = collected

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802  # gRPC's name
        with self._collected.changed:
            for resource in request.resource_spans:
                _note(self._collected, resource)
                for scope in resource.scope_spans:
                    self._collected.spans.extend(scope.spans)
            self._collected.changed.notify_all()
        return trace_service_pb2.ExportTraceServiceResponse()


class _Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, collected: Collected) -> None:
        self._collected = collected

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802  # gRPC's name
        with self._collected.changed:
            for resource in request.resource_metrics:
                _note(self._collected, resource)
                for scope in resource.scope_metrics:
                    self._collected.metrics.extend(scope.metrics)
            self._collected.changed.notify_all()
        return metrics_service_pb2.ExportMetricsServiceResponse()


class _Logs(logs_service_pb2_grpc.LogsServiceServicer):
    def __init__(self, collected: Collected) -> None:
        self._collected = collected

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802  # gRPC's name
        with self._collected.changed:
            for resource in request.resource_logs:
                _note(self._collected, resource)
                for scope in resource.scope_logs:
                    self._collected.logs.extend(scope.log_records)
            self._collected.changed.notify_all()
        return logs_service_pb2.ExportLogsServiceResponse()


def _note(collected: Collected, resource: Any) -> None:
    collected.services.add(attributes(resource.resource.attributes)["service.name"])


def _value(pair: KeyValue) -> Any:
    value = pair.value
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [each.string_value for each in value.array_value.values]
    return getattr(value, str(kind))
