"""Telemetry as a schema: every metric with its unit and labels, the stage timer, the log format.

Labels come from closed sets. Content, keys, users and tenants are never labels, and content is
never logged. docs/metrics.md lists what stands here; a test keeps the two equal.
"""

import logging
import sys
import time
from collections.abc import Generator, MutableMapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

import structlog
from opentelemetry import trace
from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

disable_created_metrics()  # a second series for each one, which nothing reads

TRACER = trace.get_tracer("inwit")


class Stage(StrEnum):
    """The timed stages of a request; also the names of their spans."""

    GENERATE = "generate"
    JUDGE = "judge"
    EXPLAIN = "explain"
    CLASSIFY = "classify"
    REWRITE = "rewrite"
    RECORD = "record"


class Dependency(StrEnum):
    """What the gateway leans on."""

    MODEL = "model"
    REDIS = "redis"
    LEDGER = "ledger"


class WindowOutcome(StrEnum):
    """What the review of a window of a stream came to."""

    PASSED = "passed"
    FLAGGED = "flagged"
    NOT_REVIEWED = "not_reviewed"


class StreamEnd(StrEnum):
    """How a stream of events ended."""

    DONE = "done"
    ERROR = "error"
    CALLER_GONE = "caller_gone"
    SLOW_READER = "slow_reader"


class Reload(StrEnum):
    """What came of compiling the policy folder anew."""

    OK = "ok"
    REFUSED = "refused"
    UNCHANGED = "unchanged"


class Bound(StrEnum):
    """Which number of an interval."""

    ESTIMATE = "estimate"
    LOW = "low"
    HIGH = "high"


HTTP_REQUESTS = Counter(
    "inwit_http_requests_total", "Answers given, by route and status code.", ["route", "status"]
)
RESPONSES = Counter(
    "inwit_responses_total",
    "Responses decided and recorded; enforcement says what may have left before the decision.",
    ["policy", "action", "enforcement"],
)
CHECKS = Counter(
    "inwit_checks_total",
    "Candidates that callers brought (/v1/check), decided and recorded.",
    ["policy", "action"],
)
LOOKS = Counter(
    "inwit_looks_total",
    "Conversations that the input stage alone looked at (LiteLLM's requests), by what it said.",
    ["policy", "action"],
)
WINDOWS = Counter(
    "inwit_windows_total",
    "Windows of streamed responses, by what their review said; `not_reviewed` ones keep waiting.",
    ["policy", "outcome"],
)
RELEASED_BEFORE_REVIEW = Counter(
    "inwit_released_before_review_total",
    "Streamed responses of which text left before any review of it (audit_only).",
    ["policy"],
)
RETRACTIONS = Counter(
    "inwit_retractions_total",
    "Streamed responses whose text was withdrawn again after a part of it had left.",
    ["policy", "enforcement"],
)
CUTS = Counter(
    "inwit_cuts_total",
    "Streams that ended before their decision, after text had left, by why.",
    ["policy", "reason"],
)
STREAMS = Counter("inwit_streams_total", "Streams of events, by how they ended.", ["end"])
FIRST_RELEASE = Histogram(
    "inwit_first_release_seconds",
    "Time from admission to the first text that left of a streamed response.",
    ["enforcement"],
    buckets=[0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120],
)
UNREVIEWED_RELEASES = Counter(
    "inwit_unreviewed_releases_total",
    "Responses released by policy although a judge that was needed did not review all of them.",
    ["policy"],
)
VERDICTS = Counter(
    "inwit_verdicts_total",
    "Verdicts by judge; the outcome is `judged` or what kept it from judging.",
    ["policy", "judge", "outcome"],
)
TRIGGERS = Counter(
    "inwit_triggers_total",
    "Categories that judges named, by what the policy made of the candidate.",
    ["policy", "category", "action"],
)
CLASSIFIER_ASKED = Counter(
    "inwit_classifier_asked_total",
    "Reasons for which the independent classifier was asked; one candidate may have several.",
    ["policy", "reason"],
)
DISAGREEMENTS = Counter(
    "inwit_disagreements_total",
    "Candidates that one judge passed and the other flagged: conscience first, classifier second.",
    ["policy", "pair"],
)
EXPLANATIONS = Counter(
    "inwit_explanations_total",
    "Calls for the categories of a risk, by what came back; only `named` counts for a decision.",
    ["policy", "status"],
)
REWRITES = Counter(
    "inwit_rewrites_total",
    "Rounds of rewriting; cosmetic ones keep what was flagged, or satisfy the conscience alone.",
    ["policy", "outcome"],
)
MASKED = Counter(
    "inwit_masked_total", "Pieces of private data masked in released text.", ["policy", "kind"]
)
INPUTS_FLAGGED = Counter(
    "inwit_inputs_flagged_total", "Requests whose own messages were flagged.", ["policy"]
)
PASSAGES = Counter(
    "inwit_passages_total",
    "Retrieved passages: used, flagged (used, and reading like instructions), or dropped.",
    ["policy", "fate"],
)
SHADOW_DECISIONS = Counter(
    "inwit_shadow_decisions_total",
    "Candidates judged under a shadow policy too, by both actions.",
    ["policy", "shadow", "action", "shadow_action"],
)
SHADOWS_LEFT_OUT = Counter(
    "inwit_shadows_left_out_total",
    "Candidates that no shadow judged, since too many were under way.",
    ["policy", "shadow"],
)
CLASSIFIER_CALLS = Counter(
    "inwit_classifier_calls_total",
    "Times that a classifier was to be asked, by what came of it; refusals by its circuit breaker "
    "or its limit of calls at once count too.",
    ["classifier", "outcome"],
)
CLASSIFIER_BREAKER_STATE = Gauge(
    "inwit_classifier_breaker_state",
    "A classifier's circuit breaker: 0 closed, 1 half open, 2 open.",
    ["classifier"],
)
CLASSIFIER_SECONDS = Histogram(
    "inwit_classifier_seconds",
    "Time of the calls that a classifier was really asked, however they ended.",
    ["classifier"],
    buckets=[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
)
STAGE_DURATION = Histogram(
    "inwit_stage_duration_seconds",
    "Time in each stage of the pipeline, upstream calls included.",
    ["stage"],
    buckets=[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120],
)
OVERHEAD = Histogram(
    "inwit_overhead_seconds",
    "Time a response spent in Inwit itself: all of it but the upstream calls.",
    buckets=[0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1],
)
LEDGER_COMMIT = Histogram(
    "inwit_ledger_commit_seconds",
    "Time of one ledger commit, which may hold the entries of many requests.",
    buckets=[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
)
RATE_LIMITED = Counter(
    "inwit_rate_limited_total", "Requests refused with 429, by the limit that said so.", ["limit"]
)
RATE_LIMIT_SWITCHES = Counter(
    "inwit_rate_limit_switches_total",
    "Times that counting for the rate limits went over: to `local` when Redis was lost, to "
    "`shared` when it was back.",
    ["to"],
)
IN_FLIGHT = Gauge("inwit_in_flight", "Requests being worked on.")
POLICY_INFO = Gauge("inwit_policy_info", "1 for each policy in force.", ["policy", "digest"])
POLICY_RELOADS = Counter(
    "inwit_policy_reloads_total",
    "Times that the policy folder was compiled anew, by what came of it.",
    ["outcome"],
)
ESCALATIONS_OPEN = Gauge(
    "inwit_escalations_open",
    "Escalations that wait: unclaimed (`pending`, seniors' ones `senior`), `claimed`, or `stuck`.",
    ["lane"],
)
ESCALATION_OLDEST = Gauge(
    "inwit_escalation_oldest_seconds", "Age of the oldest escalation that is open."
)
ESCALATION_WAIT = Histogram(
    "inwit_escalation_wait_seconds",
    "Time from an escalation to its end, by whether a person ruled.",
    ["ending"],
    buckets=[5, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400],
)
RULINGS = Counter(
    "inwit_rulings_total",
    "Rulings of people; `late` ones release nothing. Golden cases do not count.",
    ["ruling", "late"],
)
LEASES_EXPIRED = Counter(
    "inwit_leases_expired_total", "Leases on cases that ran out without a ruling."
)
QUEUE_BEHIND = Gauge(
    "inwit_queue_behind", "Changes of cases that the queue in Redis was not told of yet."
)
QUEUE_REPAIRS = Counter(
    "inwit_queue_repairs_total", "Cases for which the queue in Redis was made equal to the ledger."
)
DELIVERIES = Counter(
    "inwit_deliveries_total",
    "Attempts to send the outcome of a held response to its callback URL, by what came of them.",
    ["outcome"],
)
MISS_RATE = Gauge(
    "inwit_miss_rate",
    "Share of the harmful responses of the last 30 days that were let out, with its 95 % interval, "
    "by who says what is harmful (docs/decisions/0024); missing where it is not known. The same in "
    "every gateway.",
    ["policy", "source", "bound"],
)
DEPENDENCY_UP = Gauge("inwit_dependency_up", "1 while the dependency answers.", ["dependency"])


class StageTimer:
    """Times the stages of one request, for its answer, for the histogram and for the trace."""

    def __init__(self, *, observe: bool = True) -> None:
        self._observe = observe  # what is not on the way of a request stays out of the histogram
        self._start = time.perf_counter()
        self.seconds: dict[Stage, float] = {}

    @contextmanager
    def stage(self, stage: Stage) -> Generator[None]:
        """Time one stage, whether it ends well or not."""
        start = time.perf_counter()
        try:
            with TRACER.start_as_current_span(stage.value):
                yield
        finally:
            took = time.perf_counter() - start
            self.seconds[stage] = self.seconds.get(stage, 0.0) + took
            if self._observe:
                STAGE_DURATION.labels(stage.value).observe(took)

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


def configure_logs(level: str, file: Path | None = None) -> None:
    """Write structured JSON lines, one per event, to `file` or to standard error.

    Inwit's own events go straight to the stream; what libraries log joins them by stdlib logging.
    """
    stream = sys.stderr if file is None else file.open("a", buffering=1)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _add_trace_id,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        logger_factory=structlog.WriteLoggerFactory(stream),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler], force=True)


def _add_trace_id(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = trace.format_trace_id(context.trace_id)
    return event
