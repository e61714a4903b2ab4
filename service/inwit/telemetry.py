"""Telemetry as a schema: every metric with its unit and its labels.

Labels come from closed sets (labels.py); content, keys, users and tenants are never labels.
docs/metrics.md lists what stands here, and the dashboards ask for nothing else: tests keep it so.

Several workers on one machine share their figures through files (prometheus-client's multiprocess
mode), so each gauge says how theirs are made one. What all gateways read from the same ledger is
`livemostrecent`.
"""

from itertools import product
from math import nan

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

from inwit.cases import RulingKind
from inwit.labels import Cause, Signal, StreamEnd

disable_created_metrics()  # a second series for each one, which nothing reads

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
    "Candidates that callers brought (/v1/check, LiteLLM), decided and recorded.",
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
    "Responses and checked candidates that a policy let out without a whole review of them.",
    ["policy", "version"],
)
VERDICTS = Counter(
    "inwit_verdicts_total",
    "Verdicts by judge and by what it was shown; the outcome is `judged`, or why it is none.",
    ["policy", "version", "text", "judge", "outcome"],
)
INTERVENTIONS = Counter(
    "inwit_interventions_total",
    "Texts that were not simply let pass, by what they were, what made it so, and the action.",
    ["policy", "version", "text", "guard", "action"],
)
RISK = Histogram(
    "inwit_risk",
    "Risks in [0, 1] that judges gave to candidates and rewrites, as thresholds see them.",
    ["policy", "judge"],
    buckets=[0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1],
)
LABEL_MASS = Histogram(
    "inwit_label_mass",
    "Share in [0, 1] of the conscience's next token that lies on its two answer words.",
    ["policy"],
    buckets=[0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1],
)
CALIBRATED = Gauge(
    "inwit_calibrated",
    "1 where what reviews has a calibration for the policy's question and framing.",
    ["policy"],
    multiprocess_mode="livemin",
)
TOKENS = Counter(
    "inwit_tokens_total",
    "Tokens to write and to review decided responses: read (`prompt`), written (`completion`).",
    ["policy", "purpose", "kind"],
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
    multiprocess_mode="livemax",
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
STAGE_ERRORS = Counter(
    "inwit_stage_errors_total",
    "Stages that ended in an error, by the kind of error as callers are told it.",
    ["stage", "error"],
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
LEDGER_ENTRIES = Counter("inwit_ledger_entries_total", "Work that the ledger committed.")
LEDGER_FAILURES = Counter(
    "inwit_ledger_failures_total", "Ledger commits that failed; nothing of them was released."
)
LEDGER_WAITING = Gauge(
    "inwit_ledger_waiting", "Work that waits for a ledger commit.", multiprocess_mode="livesum"
)
CHECKPOINT_AGE = Gauge(
    "inwit_ledger_checkpoint_age_seconds",
    "Age of the newest checkpoint of the ledger; one is due every hour at the latest.",
    multiprocess_mode="livemostrecent",
)
UNSIGNED = Gauge(
    "inwit_ledger_unsigned_seconds",
    "How long the oldest entry has waited for a checkpoint over it; 0 where none waits.",
    multiprocess_mode="livemostrecent",
)
CHECKPOINT_FAILURES = Counter(
    "inwit_ledger_checkpoint_failures_total",
    "Looks after which no checkpoint was signed; `changed`: the ledger is not what was signed.",
    ["cause"],
)
ANCHOR_AGE = Gauge(
    "inwit_ledger_anchor_age_seconds",
    "Age of what the anchor of this kind furthest behind holds; 0: all hold the newest checkpoint.",
    ["anchor"],
    multiprocess_mode="livemostrecent",
)
ANCHOR_FAILURES = Counter(
    "inwit_ledger_anchor_failures_total",
    "Checkpoints that an anchor did not take; `changed` ones contradict what it holds.",
    ["anchor", "cause"],
)
ANCHOR_FAILING = Gauge(
    "inwit_ledger_anchor_failures_in_a_row",
    "Sends that failed since this gateway last reached the anchor of this kind that is worst.",
    ["anchor"],
    multiprocess_mode="livemax",
)
RATE_LIMITED = Counter(
    "inwit_rate_limited_total", "Requests refused with 429, by the limit that said so.", ["limit"]
)
RATE_LIMIT_SWITCHES = Counter(
    "inwit_rate_limit_switches_total",
    "Times that the rate limits went over to counting `local` (Redis was lost) or `shared` again.",
    ["to"],
)
IN_FLIGHT = Gauge("inwit_in_flight", "Requests being worked on.", multiprocess_mode="livesum")
IN_FLIGHT_LIMIT = Gauge(
    "inwit_in_flight_limit",
    "Requests that may be worked on at once; past that they are refused with 503.",
    multiprocess_mode="livesum",
)
EVENT_LOOP_LAG = Gauge(
    "inwit_event_loop_lag_seconds",
    "How late the event loop last woke who wanted to be woken: its saturation.",
    multiprocess_mode="livemax",
)
BUILD_INFO = Gauge(
    "inwit_build_info", "1, with the version.", ["version"], multiprocess_mode="livemax"
)
POLICY_INFO = Gauge(
    "inwit_policy_info",
    "1 for each policy in force.",
    ["policy", "version", "digest"],
    multiprocess_mode="livemostrecent",
)
POLICY_PROBLEMS = Gauge(
    "inwit_policy_problems",
    "Problems for which the policy folder does not compile; the policies before it are in force.",
    multiprocess_mode="livemax",
)
POLICY_RELOADS = Counter(
    "inwit_policy_reloads_total",
    "Times that the policy folder was compiled anew, by what came of it.",
    ["outcome"],
)
ESCALATIONS_OPEN = Gauge(
    "inwit_escalations_open",
    "Escalations that wait: unclaimed (`pending`, seniors' ones `senior`), `claimed`, or `stuck`.",
    ["lane"],
    multiprocess_mode="livemostrecent",
)
ESCALATION_OLDEST = Gauge(
    "inwit_escalation_oldest_seconds",
    "Age of the oldest escalation that is open.",
    multiprocess_mode="livemostrecent",
)
ESCALATIONS_OVERDUE = Gauge(
    "inwit_escalations_overdue",
    "Escalations that are open although their clock has run out: time should have ended them.",
    multiprocess_mode="livemostrecent",
)
REVIEWERS_WORKING = Gauge(
    "inwit_reviewers_working",
    "People who hold a lease on a case now.",
    multiprocess_mode="livemostrecent",
)
ESCALATION_CLAIM = Histogram(
    "inwit_escalation_claim_seconds",
    "Time from an escalation to each claim of it.",
    buckets=[1, 5, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400],
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
AGREEMENTS = Counter(
    "inwit_agreements_total",
    "Rulings held against a golden case's known answer (`golden`), and cases with two reviewers "
    "(`second`), which disagree where a senior had to rule.",
    ["against", "agreed"],
)
LEASES_EXPIRED = Counter(
    "inwit_leases_expired_total", "Leases on cases that ran out without a ruling."
)
QUEUE_BEHIND = Gauge(
    "inwit_queue_behind",
    "Changes of cases that the queue in Redis was not told of yet.",
    multiprocess_mode="livemostrecent",
)
QUEUE_REPAIRS = Counter(
    "inwit_queue_repairs_total", "Cases for which the queue in Redis was made equal to the ledger."
)
DELIVERIES = Counter(
    "inwit_deliveries_total",
    "Attempts to send the outcome of a held response to its callback URL, by what came of them.",
    ["outcome"],
)
DELIVERIES_WAITING = Gauge(
    "inwit_deliveries_waiting",
    "Outcomes that are still to be sent to their callback URL.",
    multiprocess_mode="livemostrecent",
)
DELIVERY_OLDEST = Gauge(
    "inwit_delivery_oldest_seconds",
    "Age of the oldest outcome that is still to be sent.",
    multiprocess_mode="livemostrecent",
)
MISS_RATE = Gauge(
    "inwit_miss_rate",
    "Share of the harmful responses of 30 days that were let out, with its 95 % interval, by who "
    "says what is harmful (docs/decisions/0024). Missing where unknown; the same in every gateway.",
    ["policy", "source", "bound"],
    multiprocess_mode="livemostrecent",
)
REDTEAM_CATCH_RATE = Gauge(
    "inwit_redteam_catch_rate",
    "Share of harmful responses that were flagged under the worst attack in the last evaluation "
    "(INWIT_EVALUATION_REPORT), with its 95 % interval.",
    ["suite", "judge", "bound"],
    multiprocess_mode="livemostrecent",
)
DEPENDENCY_UP = Gauge(
    "inwit_dependency_up",
    "1 while the dependency answers.",
    ["dependency"],
    multiprocess_mode="livemin",
)
DEPENDENCY_LOOK = Histogram(
    "inwit_dependency_look_seconds",
    "Time that a dependency took to answer the look that is taken at it every few seconds.",
    ["dependency"],
    buckets=[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
)
EXPORTED = Counter(
    "inwit_telemetry_exported_total", "Spans and log events that the collector took.", ["signal"]
)
DROPPED = Counter(
    "inwit_telemetry_dropped_total",
    "Spans and log events given up: the queue was full, or the collector did not take them.",
    ["signal"],
)

ANSWERING_ROUTES = (
    "/v1/respond",
    "/v1/chat/completions",
    "/v1/check",
    "/beta/litellm_basic_guardrail_api",
)


def begin() -> None:
    """Start at 0 what alerts and panels divide by or count: a rate misses the step to the first."""
    for metric, *sets in (
        (HTTP_REQUESTS, ANSWERING_ROUTES, ("200", "202", "500", "502", "503", "504")),
        (STREAMS, StreamEnd),
        (EXPORTED, Signal),
        (DROPPED, Signal),
        (CHECKPOINT_FAILURES, Cause),
        (ESCALATION_WAIT, ("ruled", "nobody_ruled")),
        (RULINGS, RulingKind, ("true", "false")),
        (AGREEMENTS, ("golden", "second"), ("true", "false")),
        (DELIVERIES, ("delivered", "failed", "given_up")),
    ):
        for labels in product(*sets):
            metric.labels(*labels)


def forget(gauge: Gauge) -> None:
    """Take a gauge's series away. Workers' shared files keep theirs, which then say nothing."""
    for family in gauge.collect():
        for sample in family.samples:
            gauge.labels(**sample.labels).set(nan)
    gauge.clear()
