"""Escalations: does a person rule in time, and are there enough of them?"""

from scripts.dashboards.boards import Board, Row
from scripts.dashboards.panels import bars, heat, lines, number, worse_above
from scripts.dashboards.queries import quantile, rate, share

# What all replicas read from the same ledger: the largest, never the sum.
_LANE = 'max(inwit_escalations_open{{lane="{}"}})'


_GLANCE = Row(
    "In ten seconds",
    [
        number(
            "Wait for a person",
            "Escalations that nobody has claimed, those of seniors included.",
            'sum(max by (lane) (inwit_escalations_open{lane=~"pending|senior"}))',
            "short",
            decimals=0,
        ),
        number(
            "Being worked on",
            "Escalations that somebody holds.",
            _LANE.format("claimed"),
            "short",
            decimals=0,
        ),
        number(
            "Stuck",
            "Escalations whose leases ran out three times: nobody is given them by itself.",
            _LANE.format("stuck"),
            "short",
            worse_above(1, 5),
            decimals=0,
        ),
        number(
            "Oldest",
            "Age of the oldest escalation that is open.",
            "max(inwit_escalation_oldest_seconds)",
            "s",
            worse_above(900, 3600),
        ),
        number(
            "Overdue",
            "Escalations that are open although their clock has run out. It should be 0 at "
            "all times.",
            "max(inwit_escalations_overdue)",
            "short",
            worse_above(1, 1),
            decimals=0,
        ),
        number(
            "People working",
            "People who hold a lease on a case now.",
            "max(inwit_reviewers_working)",
            "short",
            decimals=0,
        ),
        number(
            "Nobody ruled",
            "Share of the escalations that ended in the time shown by their clock, and not by "
            "a person.",
            share(
                "sum(increase(inwit_escalation_wait_seconds_count"
                '{ending="nobody_ruled"}[$__range])) or vector(0)',
                "sum(increase(inwit_escalation_wait_seconds_count[$__range]))",
            ),
            "percentunit",
            worse_above(0.05, 0.2),
        ),
        number(
            "Outcomes not sent",
            "Outcomes that still have to reach their callback URL.",
            "max(inwit_deliveries_waiting)",
            "short",
            worse_above(20, 100),
            decimals=0,
        ),
    ],
)


_QUEUE = Row(
    "The queue",
    [
        lines(
            "Open, by lane",
            "Escalations that wait, are held, or are stuck.",
            [("max by (lane) (inwit_escalations_open)", "{{lane}}")],
            "short",
            stacked=True,
            colours={"stuck": "red", "claimed": "green"},
        ),
        lines(
            "Oldest, and overdue",
            "Age of the oldest open escalation. The line is where the alert fires: past both "
            "clocks, as policies have them.",
            [("max(inwit_escalation_oldest_seconds)", "oldest")],
            "s",
            limit=3600,
        ),
        lines(
            "Past their clock",
            "Escalations open although their clock has run out.",
            [("max(inwit_escalations_overdue)", "overdue")],
            "short",
        ),
        lines(
            "Time to a claim",
            "From an escalation to each claim of it.",
            [
                (quantile(rank, "inwit_escalation_claim_seconds"), f"p{rank * 100:g}")
                for rank in (0.5, 0.95)
            ],
            "s",
        ),
        lines(
            "Time to the end",
            "From an escalation to its end (p95), by whether a person ruled.",
            [(quantile(0.95, "inwit_escalation_wait_seconds", "ending"), "{{ending}}")],
            "s",
        ),
        heat(
            "Time to a ruling, all of it",
            "Escalations per second by the time that they took.",
            "sum by (le) (rate(inwit_escalation_wait_seconds_bucket"
            '{ending="ruled"}[$__rate_interval]))',
            "s",
        ),
    ],
)


_AGREEMENT = share(
    'sum by (against) (increase(inwit_agreements_total{agreed="true"}[$__range])) '
    "or 0 * sum by (against) (increase(inwit_agreements_total[$__range]))",
    "sum by (against) (increase(inwit_agreements_total[$__range]))",
)
_PEOPLE = Row(
    "People",
    [
        lines(
            "Rulings",
            "What people said, per second; late ones release nothing.",
            [
                (
                    rate("inwit_rulings_total", "ruling, late"),
                    "{{ruling}}, late {{late}}",
                )
            ],
            "cps",
            stacked=True,
        ),
        lines(
            "Ends of escalations",
            "Per second, by whether a person ruled. `nobody_ruled` is a user who waited for "
            "nothing.",
            [
                (
                    rate("inwit_escalation_wait_seconds_count", "ending"),
                    "{{ending}}",
                )
            ],
            "cps",
            colours={"ruled": "green", "nobody_ruled": "red"},
        ),
        lines(
            "People working",
            "People who hold a lease now, beside the cases that wait for one.",
            [
                ("max(inwit_reviewers_working)", "people"),
                ('sum(max by (lane) (inwit_escalations_open{lane=~"pending|senior"}))', "wait"),
            ],
            "short",
        ),
        bars(
            "Agreement",
            "Share of rulings that agree in the time shown: with a golden case's known answer "
            "(`golden`), with the second reviewer (`second`).",
            _AGREEMENT,
            "percentunit",
            "{{against}}",
        ),
        lines(
            "Leases that ran out",
            "Per second: somebody took a case and never ruled on it.",
            [(rate("inwit_leases_expired_total"), "lost")],
            "cps",
        ),
        lines(
            "Outcomes sent",
            "Attempts per second to reach a callback URL, by what came of them.",
            [
                (
                    rate("inwit_deliveries_total", "outcome"),
                    "{{outcome}}",
                )
            ],
            "cps",
        ),
    ],
)


ESCALATIONS = Board(
    "escalations",
    "escalations",
    "Does a person rule in time, and are there enough of them?",
    [_GLANCE, _QUEUE, _PEOPLE],
)
