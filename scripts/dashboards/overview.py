"""Overview: is it well, and what does it do? Readable in ten seconds."""

from scripts.dashboards.boards import Board, Row
from scripts.dashboards.objectives import OBJECTIVES, answering_routes
from scripts.dashboards.panels import (
    better_above,
    heat,
    lines,
    number,
    worse_above,
)
from scripts.dashboards.queries import dependencies_down, quantile, rate, share

ANSWERS = f'inwit_http_requests_total{{route=~"{answering_routes()}"}}'
FAILED = f'inwit_http_requests_total{{route=~"{answering_routes()}", status=~"5.."}}'
_ACTIONS = {
    "allow": "green",
    "redact": "blue",
    "rewrite": "purple",
    "escalate": "orange",
    "block": "red",
}


def _decided(matchers: str = "", by: str = "") -> str:
    """Responses and checked candidates per second: an installation may have the ones or others."""
    each = [f"rate(inwit_{name}_total{matchers}[$__rate_interval])" for name in _DECIDED]
    return f"sum{f' by ({by})' if by else ''} ({' or '.join(each)})"


_DECIDED = ("responses", "checks")
_CHANGED = '{action!="allow"}'
_IN_FLIGHT = "max(inwit_in_flight / (inwit_in_flight_limit > 0))"
_LET_OUT = (
    "sum(increase(inwit_unreviewed_releases_total[$__range])) "
    "+ sum(increase(inwit_released_before_review_total[$__range]))"
)
# `|`: also those that have no namespace. By name: an objective that burns over four windows is one.
_FIRING = (
    'count(count by (alertname) (ALERTS{alertname=~"Inwit.*", alertstate="firing", '
    'namespace=~"$namespace|", job=~"$job"})) or vector(0)'
)
_GLANCE = Row(
    "In ten seconds",
    [
        number(
            "Answers",
            "Requests answered per second, on the routes that answer for a model.",
            rate(ANSWERS),
            "reqps",
        ),
        number(
            "Failed",
            "Share of those answers that were 5xx: an error of Inwit, or of what it needs. A "
            "block is no failure.",
            share(rate(FAILED), rate(ANSWERS)),
            "percentunit",
            worse_above(0.001, 0.01),
        ),
        number(
            "Not simply allowed",
            "Share of responses and checked candidates that were redacted, rewritten, held or "
            "blocked.",
            share(_decided(_CHANGED), _decided()),
            "percentunit",
        ),
        number(
            "Added, p99",
            "Time that Inwit itself adds to a response, upstream calls left out; the slowest "
            "1 %. The objective is 50 ms.",
            quantile(0.99, "inwit_overhead_seconds"),
            "s",
            worse_above(0.02, 0.05),
        ),
        number(
            "In use",
            "Requests being worked on, of as many as may be: the fullest replica. At 100 % the "
            "next one is refused with 503.",
            _IN_FLIGHT,
            "percentunit",
            worse_above(0.6, 0.8),
        ),
        number(
            "Down",
            "Dependencies that did not answer the last look of some replica.",
            dependencies_down(),
            "short",
            worse_above(1, 1),
            decimals=0,
        ),
        number(
            "Let out unreviewed",
            "Responses and checked candidates in the time shown that were let out without a whole "
            "review, because a policy allows it.",
            _LET_OUT,
            "short",
            worse_above(0.5, 10),
            decimals=0,
        ),
        number(
            "Alerts firing",
            "Alerts of Inwit that fire now, each name once. docs/dashboards.md lists them with "
            "their runbooks.",
            _FIRING,
            "short",
            worse_above(1, 3),
            decimals=0,
        ),
    ],
)


_LEFT = [
    number(
        f"Budget left: {each.title}",
        f"{each.description} What may go wrong in 30 days, and how much of that is left.",
        f'min(inwit:objective_budget_left:ratio30d{{objective="{each.name}"}})',
        "percentunit",
        better_above(0.0, 0.5),
        width=4,
    )
    for each in OBJECTIVES
]
_BURN = [
    (
        f'max(inwit:objective_bad:ratio1h{{objective="{each.name}"}}) / {each.allowed:g}',
        each.title,
    )
    for each in OBJECTIVES
]
_OBJECTIVES = Row(
    "Objectives, over 30 days",
    [
        *_LEFT,
        lines(
            "Burn rate, over 1 h",
            "How fast the budget goes: at 1 it is used up after exactly 30 days. The line is "
            "where a person is paged.",
            _BURN,
            "short",
            width=12,
            limit=14.4,
        ),
    ],
)


_TRAFFIC = Row(
    "Traffic",
    [
        lines(
            "Answers by status",
            "Answers per second by HTTP status, on the routes that answer for a model. 202 is "
            "held for a person, 429 refused by a rate limit.",
            [(f"sum by (status) (rate({ANSWERS}[$__rate_interval]))", "{{status}}")],
            "reqps",
            stacked=True,
        ),
        lines(
            "Actions",
            "What policies made of responses and of checked candidates, per second.",
            [(_decided(by="action"), "{{action}}")],
            "reqps",
            stacked=True,
            colours=_ACTIONS,
        ),
        lines(
            "Doors",
            "By which way texts come: answers asked for, candidates to check, conversations "
            "that the input stage looks at for LiteLLM.",
            [
                (rate("inwit_responses_total"), "respond"),
                (rate("inwit_checks_total"), "check"),
                (rate("inwit_looks_total"), "look"),
            ],
            "reqps",
        ),
    ],
)


_BY_POLICY = share(_decided(_CHANGED, "policy"), _decided(by="policy"))
_FOUND = Row(
    "What is found",
    [
        lines(
            "Triggers by category",
            "Kinds of harm that judges named, per second.",
            [
                (
                    rate("inwit_triggers_total", "category"),
                    "{{category}}",
                )
            ],
            "cps",
            stacked=True,
        ),
        lines(
            "Not simply allowed, by policy",
            "Share of a policy's responses and checked candidates that were redacted, rewritten, "
            "held or blocked.",
            [(_BY_POLICY, "{{policy}}")],
            "percentunit",
        ),
        lines(
            "Interventions by what made them",
            "Texts that were not simply let pass, per second. `failure` is a judge that was "
            "needed and did not judge.",
            [
                (
                    rate("inwit_interventions_total", "guard, action"),
                    "{{guard}}: {{action}}",
                )
            ],
            "cps",
            stacked=True,
        ),
        lines(
            "Private data masked",
            "Pieces masked in released text, per second, by kind.",
            [(rate("inwit_masked_total", "kind"), "{{kind}}")],
            "cps",
            width=12,
        ),
        lines(
            "Callers' own texts",
            "Requests whose messages were flagged, and retrieved passages by what became of "
            "them, per second.",
            [
                (rate("inwit_inputs_flagged_total"), "input flagged"),
                (
                    rate("inwit_passages_total", "fate"),
                    "passage {{fate}}",
                ),
            ],
            "cps",
            width=12,
        ),
    ],
)


_OVERHEAD = "inwit_overhead_seconds"
_LATENCY = Row(
    "Added latency",
    [
        lines(
            "Added by Inwit",
            "Time that a response spends in Inwit itself. The line is the objective: 99 % of "
            "responses stay under it.",
            [(quantile(rank, _OVERHEAD), f"p{rank * 100:g}") for rank in (0.5, 0.95, 0.99)],
            "s",
            limit=0.05,
        ),
        heat(
            "Added by Inwit, all of it",
            "Responses per second by the time that Inwit added.",
            f"sum by (le) (rate({_OVERHEAD}_bucket[$__rate_interval]))",
            "s",
        ),
        lines(
            "First text of a stream",
            "Time from admission to the first text that left, by how much is held back (median).",
            [(quantile(0.5, "inwit_first_release_seconds", "enforcement"), "{{enforcement}}")],
            "s",
        ),
    ],
)


_ERRORS = Row(
    "Errors and limits",
    [
        lines(
            "Stages that failed",
            "Per second, by stage and by the error as callers are told it.",
            [
                (
                    rate("inwit_stage_errors_total", "stage, error"),
                    "{{stage}}: {{error}}",
                )
            ],
            "cps",
        ),
        lines(
            "Streams by how they ended",
            "Per second. `error` counts against the objective; a caller that is gone does not.",
            [(rate("inwit_streams_total", "end"), "{{end}}")],
            "cps",
            colours={"done": "green", "error": "red"},
        ),
        lines(
            "Refused by rate limits",
            "Requests per second that got 429, by the limit that said so.",
            [
                (
                    rate("inwit_rate_limited_total", "limit"),
                    "{{limit}}",
                )
            ],
            "reqps",
        ),
        lines(
            "In flight",
            "Requests being worked on, and as many as may be, by replica.",
            [
                ("sum by (instance) (inwit_in_flight)", "{{instance}}"),
                ("max(inwit_in_flight_limit)", "limit of each"),
            ],
            "short",
        ),
        lines(
            "Event loop, late by",
            "How late the event loop woke at worst in the last 15 seconds: above the line a "
            "replica is saturated, whatever its CPU figure says.",
            [("max by (instance) (inwit_event_loop_lag_seconds)", "{{instance}}")],
            "s",
            limit=0.25,
        ),
        lines(
            "Dependencies",
            "1 while every replica's last look was answered.",
            [("min by (dependency) (inwit_dependency_up)", "{{dependency}}")],
            "short",
            most=1.1,
        ),
    ],
)


_RUNNING = Row(
    "What is running",
    [
        lines(
            "Replicas by version",
            "Gateways that are scraped, by version of Inwit.",
            [("count by (version) (inwit_build_info == 1)", "{{version}}")],
            "short",
        ),
        lines(
            "Policies in force",
            "Replicas with each digest of a policy. Two digests of one policy for longer than "
            "a rollout: some replicas decide by other rules.",
            [
                (
                    'sum by (policy, digest) (label_replace(inwit_policy_info == 1, "digest", '
                    '"$1", "digest", "(.{8}).*"))',
                    "{{policy}} {{digest}}",
                )
            ],
            "short",
        ),
        lines(
            "Policy folder",
            "Problems for which the folder does not compile, and reloads per second by what "
            "came of them.",
            [
                ("max(inwit_policy_problems)", "problems"),
                (
                    rate("inwit_policy_reloads_total", "outcome"),
                    "{{outcome}}",
                ),
            ],
            "short",
        ),
    ],
)


OVERVIEW = Board(
    "overview",
    "overview",
    "Is it well, and what does it do? The top row is readable in ten seconds.",
    [_GLANCE, _OBJECTIVES, _TRAFFIC, _FOUND, _LATENCY, _ERRORS, _RUNNING],
)
