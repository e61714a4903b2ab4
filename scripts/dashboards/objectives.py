"""The objectives, in one table, and the recorded series and alerts that come of it."""

from dataclasses import dataclass
from typing import Any

from scripts.dashboards.alerts import Alert, Severity

from inwit.telemetry import ANSWERING_ROUTES

BY = "namespace, job"
_BY = f"by ({BY})"

# With a rate over 5 minutes for every sample, longer windows are sums of it: cheap, and right where
# traffic comes and goes, and replicas with it.
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d", "30d")
_LONG = ("1d", "3d", "30d")
_SECONDS = {"1h": 3600, "6h": 21600, "1d": 86400, "3d": 259200}


def answering_routes() -> str:
    """A pattern of the routes that answer for a model, for a matcher."""
    return "|".join(ANSWERING_ROUTES)


@dataclass(frozen=True, slots=True)
class Objective:
    """`good` of all events are good, over 30 days; `events` and `bad` are PromQL, per second.

    `alert` is what fires when it is missed, `means` what a bad event is.
    """

    name: str
    title: str
    description: str
    good: float
    events: str
    bad: str
    alert: str
    means: str
    dashboard: str

    @property
    def allowed(self) -> float:
        """The share of events that may be bad."""
        return round(1 - self.good, 6)


_ANSWERS = f'inwit_http_requests_total{{route=~"{answering_routes()}"}}'
_FAILED = f'inwit_http_requests_total{{route=~"{answering_routes()}", status=~"5.."}}'

OBJECTIVES = (
    Objective(
        name="availability",
        title="availability",
        description="99.9 % of answers are no 5xx, and no stream that breaks off. A block is a "
        "good answer.",
        good=0.999,
        events=f"sum {_BY} (rate({_ANSWERS}[5m]))",
        bad=f'sum {_BY} (rate({_FAILED}[5m]) or rate(inwit_streams_total{{end="error"}}[5m]))',
        alert="InwitAvailabilityBurn",
        means="5xx, or a stream that broke off",
        dashboard="overview",
    ),
    Objective(
        name="latency",
        title="added latency",
        description="Inwit adds less than 50 ms to 99 % of responses, upstream calls left out.",
        good=0.99,
        events=f"sum {_BY} (rate(inwit_overhead_seconds_count[5m]))",
        bad=f"sum {_BY} (rate(inwit_overhead_seconds_count[5m])) - "
        f'sum {_BY} (rate(inwit_overhead_seconds_bucket{{le="0.05"}}[5m]))',
        alert="InwitAddedLatencyBurn",
        means="over 50 ms in Inwit itself",
        dashboard="overview",
    ),
    Objective(
        name="review",
        title="review coverage",
        description="99.9 % of responses of which text is released, and of checked candidates that "
        "may leave, were reviewed whole, before.",
        good=0.999,
        events=f'sum {_BY} (rate(inwit_responses_total{{action!~"escalate|block"}}[5m]) or '
        "rate(inwit_responses_total"
        '{action=~"escalate|block", enforcement="audit_only"}[5m]) or '
        'rate(inwit_checks_total{action=~"allow|redact"}[5m]))',
        bad=f"sum {_BY} (rate(inwit_unreviewed_releases_total[5m]) or "
        "rate(inwit_released_before_review_total[5m]))",
        alert="InwitReviewCoverageBurn",
        means="released without a whole review before",
        dashboard="conscience",
    ),
)


@dataclass(frozen=True, slots=True)
class Burn:
    """A budget that goes `factor` times too fast, over a long window and a short one."""

    factor: float
    long: str
    short: str
    severity: Severity
    keep: str


BURNS = (
    Burn(14.4, "1h", "5m", "page", "10m"),
    Burn(6, "6h", "30m", "page", "15m"),
    Burn(3, "1d", "2h", "ticket", "1h"),
    Burn(1, "3d", "6h", "ticket", "2h"),
)

# One failure at night is no outage, however few answers there were: so many bad events at least.
LEAST_BAD = 10.0


def recorded() -> list[dict[str, Any]]:
    """The rule groups that record events, bad ones, their share by window, and what is left."""
    events = [
        {"record": record, "expr": expr, "labels": {"objective": each.name}}
        for each in OBJECTIVES
        for record, expr in (
            ("inwit:objective_events:rate5m", each.events),
            ("inwit:objective_bad:rate5m", each.bad),
        )
    ]
    short = [_ratio(window) for window in WINDOWS if window not in _LONG]
    long = [_ratio(window) for window in _LONG]
    left = [
        {
            "record": "inwit:objective_budget_left:ratio30d",
            "expr": "1 - inwit:objective_bad:ratio30d"
            f'{{objective="{each.name}"}} / {each.allowed:g}',
            "labels": {"objective": each.name},
        }
        for each in OBJECTIVES
    ]
    return [
        {"name": "inwit-objectives", "rules": [*events, *short]},
        # Under the 5 minutes after which a sample is stale, or alerts would lose sight of it.
        {"name": "inwit-objectives-long", "interval": "2m", "rules": [*long, *left]},
    ]


def _ratio(window: str) -> dict[str, str]:
    record = f"inwit:objective_bad:ratio{window}"
    events, bad = "inwit:objective_events:rate5m", "inwit:objective_bad:rate5m"
    if window == "5m":
        return {"record": record, "expr": f"clamp_max({bad} / ({events} > 0), 1)"}
    sums = f"sum_over_time({bad}[{window}]) / (sum_over_time({events}[{window}]) > 0)"
    return {"record": record, "expr": f"clamp_max({sums}, 1)"}


def burn_alerts() -> list[Alert]:
    """Four for each objective: two that page, two that make a ticket."""
    return [_burn_alert(each, burn) for each in OBJECTIVES for burn in BURNS]


def _burn_alert(objective: Objective, burn: Burn) -> Alert:
    which = f'{{objective="{objective.name}"}}'
    long, short = (
        f"inwit:objective_bad:ratio{window}{which} > FACTOR * {objective.allowed:g}"
        for window in (burn.long, burn.short)
    )
    count = f"avg_over_time(inwit:objective_bad:rate5m{which}[{burn.long}])"
    return Alert(
        name=objective.alert,
        severity=burn.severity,
        expr=f"{long} and {short} and {count} * {_SECONDS[burn.long]} >= LEAST",
        limits={"FACTOR": burn.factor, "LEAST": LEAST_BAD},
        pending="2m" if burn.severity == "page" else "15m",
        keep=burn.keep,
        summary=f"The budget for {objective.title} goes {burn.factor:g} times too fast.",
        description="{{ $value | humanizePercentage }} of events in "
        f"{burn.long} were bad ({objective.means}); {objective.allowed * 100:g} % may be, over 30 "
        "days.",
        dashboard=objective.dashboard,
        labels={"objective": objective.name, "window": burn.long},
    )
