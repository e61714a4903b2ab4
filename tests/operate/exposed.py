"""What telemetry.py exposes: series names and labels, as a query may ask for them."""

import re
from typing import Any

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from inwit import telemetry

# As vLLM's own source has them (vllm/v1/metrics), of the version that `make vllm-test` installs.
VLLM = {
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:kv_cache_usage_perc",
    "vllm:prefix_cache_queries_total",
    "vllm:prefix_cache_hits_total",
    "vllm:prompt_tokens_total",
    "vllm:generation_tokens_total",
    "vllm:time_to_first_token_seconds_bucket",
    "vllm:request_queue_time_seconds_bucket",
}
PROMETHEUS_OWN = {"up", "ALERTS"}

_SELECTOR = re.compile(r"\b((?:inwit|vllm)[a-z0-9_:]*|up|ALERTS)\b(?:\{([^}]*)\})?")


def metrics() -> dict[str, MetricWrapperBase]:
    """Every metric of telemetry.py, by the name that docs/metrics.md has for it."""
    found: dict[str, MetricWrapperBase] = {}
    for metric in vars(telemetry).values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            found[f"{family.name}_total" if isinstance(metric, Counter) else family.name] = metric
    return found


def series() -> dict[str, set[str]]:
    """Every series that they make, with its labels."""
    found: dict[str, set[str]] = {}
    for name, metric in metrics().items():
        labels = labels_of(metric)
        if isinstance(metric, Histogram):
            found |= {f"{name}_bucket": labels | {"le"}, f"{name}_count": labels}
        else:
            assert isinstance(metric, Counter | Gauge)
            found[name] = labels
    return found


def labels_of(metric: Any) -> set[str]:
    """Its labels; prometheus-client says them nowhere else."""
    return set(metric._labelnames)


def selectors(query: str) -> list[tuple[str, set[str]]]:
    """Each series that a query selects, with the labels that it matches."""
    return [
        (name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers or "")))
        for name, matchers in _SELECTOR.findall(_without_strings(query))
    ]


def metric_of(selected: str) -> str:
    """The metric that a series is of."""
    return re.sub(r"_(bucket|count)$", "", selected)


def _without_strings(query: str) -> str:
    return re.sub(r'"[^"]*"', '""', query)
