"""Alerts on what the product is for: that everything is judged, and that judges judge well."""

from scripts.dashboards.alerts import Alert

_BY = "by (namespace, job, policy)"
_BY_JUDGE = "by (namespace, job, policy, judge)"


def _never_flags(guard: str, judge: str, least: int) -> Alert:
    """A judge that passes all of so many texts in a day has stopped to look."""
    judged = f'inwit_verdicts_total{{judge{judge}"conscience", outcome="judged", text="candidate"}}'
    return Alert(
        name="InwitJudgeNeverFlags",
        severity="ticket",
        expr=f"sum {_BY} (increase({judged}[1d])) > LEAST unless "
        f'sum {_BY} (increase(inwit_interventions_total{{guard="{guard}"}}[1d])) > 0',
        limits={"LEAST": least},
        pending="1h",
        summary=f"The {guard} flags nothing, under policy {{{{ $labels.policy }}}}.",
        description=f"The {guard} judged {{{{ $value | humanize }}}} candidates in a day, and not "
        "one of them made the policy act. It may say No to everything.",
        dashboard="conscience",
        labels={"guard": guard},
    )


def _out_of_band() -> Alert:
    now, before = "inwit:not_allowed:ratio1h", "inwit:not_allowed:ratio1h offset 1w"
    count = "inwit:decided:increase1h"
    above = f"{now} > UPPER * ({before}) + MARGIN"
    below = f"{now} < LOWER * ({before}) - MARGIN"
    return Alert(
        name="InwitTriggerRateOutOfBand",
        severity="ticket",
        expr=f"({above} or {below}) and {count} >= LEAST and ({count} offset 1w) >= LEAST",
        limits={"UPPER": 2, "LOWER": 0.5, "MARGIN": 0.02, "LEAST": 200},
        pending="15m",
        keep="30m",
        summary="Policy {{ $labels.policy }} acts on more or fewer texts than a week ago.",
        description="{{ $value | humanizePercentage }} of texts in the last hour were not simply "
        "allowed: more than twice, or less than half, of the same hour a week ago, by over two "
        "points.",
        dashboard="overview",
    )


REVIEW = (
    Alert(
        name="InwitReleasedUnreviewed",
        severity="ticket",
        expr=f"sum {_BY} (increase(inwit_unreviewed_releases_total[15m]) or "
        "increase(inwit_released_before_review_total[15m])) > LIMIT",
        limits={"LIMIT": 0},
        pending="0m",
        keep="30m",
        summary="Policy {{ $labels.policy }} lets out what was not reviewed.",
        description="About {{ $value | humanize }} responses and checked candidates in 15 minutes "
        "were let out without a whole review before, as the policy allows.",
        dashboard="conscience",
    ),
    Alert(
        name="InwitVerdictsFailing",
        severity="page",
        expr="sum by (namespace, job, judge) "
        '(rate(inwit_verdicts_total{outcome!="judged"}[10m])) '
        "/ sum by (namespace, job, judge) (rate(inwit_verdicts_total[10m])) > SHARE "
        'and sum by (namespace, job, judge) (increase(inwit_verdicts_total{outcome!="judged"}'
        "[10m])) >= LEAST",
        limits={"SHARE": 0.05, "LEAST": 10},
        keep="10m",
        summary="{{ $labels.judge }} often gives no verdict.",
        description="{{ $value | humanizePercentage }} of its verdicts in 10 minutes are none: it "
        "failed, was cut short, or did not answer the question. Policies block then, as a rule.",
        dashboard="conscience",
    ),
    Alert(
        name="InwitJudgeSilent",
        severity="page",
        expr=f"sum {_BY} (increase(inwit_responses_total[30m]) or "
        "increase(inwit_checks_total[30m])) > LEAST unless "
        f'sum {_BY} (increase(inwit_verdicts_total{{judge="conscience", outcome="judged"}}[30m])) '
        "> 0",
        limits={"LEAST": 50},
        summary="The conscience judges nothing under policy {{ $labels.policy }}.",
        description="{{ $value | humanize }} responses and checks were decided in 30 minutes, and "
        "the conscience judged none of them.",
        dashboard="conscience",
        labels={"judge": "conscience"},
    ),
    Alert(
        name="InwitJudgeSilent",
        severity="page",
        expr=f'sum {_BY_JUDGE} (increase(inwit_verdicts_total{{judge!="conscience"}}[30m])) '
        f"> LEAST unless sum {_BY_JUDGE} "
        '(increase(inwit_verdicts_total{outcome="judged"}[30m])) > 0',
        limits={"LEAST": 50},
        summary="{{ $labels.judge }} judges nothing under policy {{ $labels.policy }}.",
        description="It was asked {{ $value | humanize }} times in 30 minutes and gave no verdict.",
        dashboard="conscience",
    ),
    _never_flags("conscience", "=", 2000),
    _never_flags("classifier", "!=", 500),
    _out_of_band(),
    Alert(
        name="InwitCalibrationMissing",
        severity="ticket",
        expr=f"min {_BY} (inwit_calibrated) < LIMIT",
        limits={"LIMIT": 1},
        pending="1h",
        summary="No calibration for policy {{ $labels.policy }}.",
        description="inwit_calibrated is {{ $value }}: what reviews has no calibration for the "
        "policy's question and framing, so the stricter thresholds hold.",
        dashboard="conscience",
    ),
    Alert(
        name="InwitMissRateHigh",
        severity="ticket",
        expr="max by (namespace, job, policy, source) "
        '(inwit_miss_rate{bound="high"}) > LIMIT '
        "and on (namespace, job, policy, source) max by (namespace, job, policy, source) "
        '(inwit_miss_rate{bound="low"}) > FOUND',
        limits={"LIMIT": 0.2, "FOUND": 0.001},
        pending="6h",
        summary="Policy {{ $labels.policy }} may let out much of what is harmful.",
        description="Up to {{ $value | humanizePercentage }} of the harmful responses of 30 days "
        "were let out (upper end of the 95 % interval, by {{ $labels.source }}); misses were "
        "found.",
        dashboard="conscience",
    ),
    Alert(
        name="InwitClassifierBreakerOpen",
        severity="ticket",
        expr="max by (namespace, job, classifier) (inwit_classifier_breaker_state) >= LIMIT",
        limits={"LIMIT": 2},
        pending="2m",
        keep="10m",
        summary="Classifier {{ $labels.classifier }} is not asked: its circuit breaker is open.",
        description="State {{ $value }} (2 is open) for 2 minutes: it failed too often, and the "
        "next in the policy's order is asked instead, if there is one.",
        dashboard="model",
    ),
)


def recorded() -> list[dict[str, object]]:
    """The share of texts that were not simply allowed, by policy and hour, for the band."""
    both = "increase(inwit_responses_total{0}[1h]) or increase(inwit_checks_total{0}[1h])"
    acted = both.format('{action!="allow"}')
    rules = [
        {
            "record": "inwit:decided:increase1h",
            "expr": f"sum {_BY} ({both.format('')})",
        },
        {
            "record": "inwit:not_allowed:ratio1h",
            "expr": f"sum {_BY} ({acted}) / (inwit:decided:increase1h > 0)",
        },
    ]
    return [{"name": "inwit-band", "rules": rules}]
