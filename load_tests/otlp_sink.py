"""A collector that takes everything and keeps nothing: `python -m load_tests.otlp_sink PORT`."""

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

_METHODS = {
    "opentelemetry.proto.collector.trace.v1.TraceService",
    "opentelemetry.proto.collector.metrics.v1.MetricsService",
    "opentelemetry.proto.collector.logs.v1.LogsService",
}


def _take(_request: bytes, _context: Any) -> bytes:
    """An empty answer is a whole success in all three services."""
    return b""


def main() -> None:
    handler = grpc.unary_unary_rpc_method_handler(  # pyright: ignore[reportUnknownVariableType]
        _take  # bytes in, bytes out: grpc's types want messages
    )
    server = grpc.server(ThreadPoolExecutor(2))
    for service in _METHODS:
        generic = grpc.method_handlers_generic_handler(service, {"Export": handler})
        server.add_generic_rpc_handlers((generic,))
    server.add_insecure_port(f"127.0.0.1:{int(sys.argv[1])}")
    server.start()
    print("listening", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
