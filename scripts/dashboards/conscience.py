"""Conscience: do the judges judge, do they agree, and what gets through?"""

from scripts.dashboards.boards import Board, Row
from scripts.dashboards.panels import bars, heat, lines, number, worse_above
from scripts.dashboards.queries import or_zero, quantile, rate, share

from inwit.types import Action

_FAILING = share(
    or_zero(rate('inwit_verdicts_total{outcome!="judged"}')),
    rate("inwit_verdicts_total"),
)
_MASS = quantile(0.05, "inwit_label_mass")
# Only of what two judges may disagree on: inputs and windows are not compared.
_COMPARED = '{judge!="conscience", outcome="judged", text=~"candidate|rewrite"}'
_DISAGREE = share(
    or_zero(rate("inwit_disagreements_total")),
    rate(f"inwit_verdicts_total{_COMPARED}"),
)
_GLANCE = Row(
    "In ten seconds",
    [
        number(
            "Verdicts",
            "What judges said, per second, of every text that they were shown.",
            rate("inwit_verdicts_total"),
            "cps",
            width=4,
        ),
        number(
            "Not judged",
            "Share of verdicts that are none: the judge failed, was cut short or did not "
            "answer the question.",
            _FAILING,
            "percentunit",
            worse_above(0.01, 0.05),
            width=4,
        ),
        number(
            "Label mass, p5",
            "Share of the conscience's next token on its two answer words, of the lowest 5 %. "
            "Near 0: the model does not answer the question.",
            _MASS,
            "percentunit",
            [(None, "red"), (0.15, "orange"), (0.5, "green")],
            width=4,
        ),
        number(
            "Uncalibrated policies",
            "Policies whose reviewer has no calibration for their question and framing: the "
            "stricter thresholds hold.",
            "count(min by (policy) (inwit_calibrated) == 0) or vector(0)",
            "short",
            worse_above(1, 1),
            width=4,
            decimals=0,
        ),
        number(
            "Judges disagree",
            "Share of classified candidates and rewrites that one judge passed and the other "
            "flagged.",
            _DISAGREE,
            "percentunit",
            width=4,
        ),
        number(
            "Miss rate, at most",
            "Upper end of the 95 % interval of the share of harmful responses let out in 30 "
            "days, of the worst policy. Few audits make it wide.",
            'max(inwit_miss_rate{bound="high"})',
            "percentunit",
            worse_above(0.1, 0.2),
            width=4,
        ),
    ],
)


_MASS_BUCKETS = rate("inwit_label_mass_bucket", "le")
_VERDICTS = Row(
    "Verdicts",
    [
        lines(
            "Verdicts by outcome",
            "Per second, by judge. All but `judged` says why there is no verdict.",
            [
                (
                    rate("inwit_verdicts_total", "judge, outcome"),
                    "{{judge}}: {{outcome}}",
                )
            ],
            "cps",
            stacked=True,
        ),
        lines(
            "Verdicts by text",
            "Per second, by what the judges were shown.",
            [
                (
                    rate("inwit_verdicts_total", "text"),
                    "{{text}}",
                )
            ],
            "cps",
            stacked=True,
        ),
        heat(
            "Label mass",
            "Reviews per second by the share of the next token that lies on the two answer "
            "words. What falls below the policy's floor is no verdict.",
            _MASS_BUCKETS,
            "percentunit",
        ),
        heat(
            "Risk, by the conscience",
            "Candidates and rewrites per second by risk, as thresholds see it. A healthy model "
            "has most of it at the bottom, and little near the thresholds.",
            rate('inwit_risk_bucket{judge="conscience"}', "le"),
            "percentunit",
        ),
        heat(
            "Risk, by classifiers",
            "The same as independent classifiers see it; they are asked about doubtful texts "
            "most of all.",
            rate('inwit_risk_bucket{judge!="conscience"}', "le"),
            "percentunit",
        ),
        lines(
            "Calibration in force",
            "1 where the reviewer has a calibration for the policy's question and framing.",
            [("min by (policy) (inwit_calibrated)", "{{policy}}")],
            "short",
            most=1.1,
        ),
    ],
)


def _otherwise() -> str:
    """Shadow decisions whose two actions differ; PromQL cannot compare two labels."""
    return " or ".join(
        rate(
            f'inwit_shadow_decisions_total{{action="{each}", shadow_action!="{each}"}}',
            "policy, shadow, action, shadow_action",
        )
        for each in Action
    )


_SECOND = Row(
    "The second judge",
    [
        bars(
            "Why the classifier was asked",
            "Reasons in the time shown; one candidate may have several. `sample` is the random "
            "slice.",
            "sort_desc(sum by (reason) (increase(inwit_classifier_asked_total[$__range])))",
            "short",
            "{{reason}}",
        ),
        lines(
            "Disagreements",
            "Candidates per second that one judge passed and the other flagged: conscience "
            "first, classifier second. `pass_fail` is what the conscience misses.",
            [
                (
                    rate("inwit_disagreements_total", "policy, pair"),
                    "{{policy}}: {{pair}}",
                )
            ],
            "cps",
        ),
        lines(
            "Explanations",
            "Calls for the categories of a risk, per second. All but `named` leave the "
            "decision to the risk alone.",
            [
                (
                    rate("inwit_explanations_total", "status"),
                    "{{status}}",
                )
            ],
            "cps",
        ),
        lines(
            "Rewrites",
            "Rounds of rewriting per second. `cosmetic` ones keep the harm and are blocked.",
            [
                (
                    rate("inwit_rewrites_total", "outcome"),
                    "{{outcome}}",
                )
            ],
            "cps",
        ),
        lines(
            "Shadow policies that would differ",
            "Candidates per second for which a shadow policy would have acted otherwise: "
            "the action in force, then the shadow's.",
            [(_otherwise(), "{{policy}} {{action}}, {{shadow}} {{shadow_action}}")],
            "cps",
        ),
        lines(
            "Left out of shadows",
            "Candidates per second that no shadow judged, since too many were under way: the "
            "comparison beside is of a part only.",
            [
                (
                    rate("inwit_shadows_left_out_total", "policy, shadow"),
                    "{{policy}}, {{shadow}}",
                )
            ],
            "cps",
        ),
    ],
)


_BOUND = 'max by (policy, source) (inwit_miss_rate{{bound="{}"}})'
_THROUGH = Row(
    "What gets through",
    [
        lines(
            "Miss rate and its 95 % interval",
            "Share of the harmful responses of the last 30 days that were let out, by who says "
            "what is harmful. Wide means few audits, not much harm.",
            [
                (_BOUND.format("high"), "{{policy}} by {{source}}: high"),
                (_BOUND.format("estimate"), "{{policy}} by {{source}}"),
                (_BOUND.format("low"), "{{policy}} by {{source}}: low"),
            ],
            "percentunit",
            width=12,
            most=1,
        ),
        lines(
            "Released without a whole review",
            "Responses and checked candidates per second that a policy lets out although a judge "
            "failed, and streams of which text left before any review.",
            [
                (
                    rate("inwit_unreviewed_releases_total", "policy, version"),
                    "{{policy}} {{version}}: not reviewed",
                ),
                (
                    rate("inwit_released_before_review_total", "policy"),
                    "{{policy}}: before review",
                ),
            ],
            "cps",
            width=12,
        ),
        lines(
            "Windows of streams",
            "Windows per second by what their review said; `not_reviewed` ones keep waiting.",
            [(rate("inwit_windows_total", "outcome"), "{{outcome}}")],
            "cps",
        ),
        lines(
            "Text withdrawn again",
            "Streams per second whose text was withdrawn after a part of it had left.",
            [
                (
                    rate("inwit_retractions_total", "policy, enforcement"),
                    "{{policy}}: {{enforcement}}",
                )
            ],
            "cps",
        ),
        lines(
            "Streams cut before their decision",
            "Per second, after text had left, by why.",
            [
                (
                    rate("inwit_cuts_total", "policy, reason"),
                    "{{policy}}: {{reason}}",
                )
            ],
            "cps",
        ),
        bars(
            "Caught under the worst attack",
            "Share of harmful responses that were flagged under the attack that hides most, in "
            "the evaluation that the gateway was given (INWIT_EVALUATION_REPORT), with its "
            "95 % interval. It is not of today's traffic.",
            "max by (suite, judge, bound) (inwit_redteam_catch_rate)",
            "percentunit",
            "{{suite}}, {{judge}}: {{bound}}",
        ),
    ],
)


CONSCIENCE = Board(
    "conscience",
    "conscience",
    "Do the judges judge, do they agree, and what gets through?",
    [_GLANCE, _VERDICTS, _SECOND, _THROUGH],
)
