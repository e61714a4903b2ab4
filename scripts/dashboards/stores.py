"""Ledger and stores: is every decision recorded, and do the stores keep up?"""

from scripts.dashboards.boards import Board, Row
from scripts.dashboards.panels import heat, lines, number, worse_above
from scripts.dashboards.queries import dependencies_down, quantile, rate, share

_COMMIT = "inwit_ledger_commit_seconds"


_GLANCE = Row(
    "In ten seconds",
    [
        number(
            "Commit, p99",
            "Time of a ledger commit, the slowest 1 %. Nothing is released before it.",
            quantile(0.99, _COMMIT),
            "s",
            worse_above(0.1, 0.25),
        ),
        number(
            "Commits that failed",
            "In the time shown. Nothing of them was released.",
            "sum(increase(inwit_ledger_failures_total[$__range]))",
            "short",
            worse_above(0.5, 5),
            decimals=0,
        ),
        number(
            "Work for a commit",
            "Entries in one commit, on average: many mean that requests share it.",
            share(rate("inwit_ledger_entries_total"), rate(f"{_COMMIT}_count")),
            "short",
            decimals=1,
        ),
        number(
            "Wait for a commit",
            "Work that waits now, of all replicas.",
            "sum(inwit_ledger_waiting)",
            "short",
            worse_above(100, 500),
            decimals=0,
        ),
        number(
            "Queue behind",
            "Changes of cases that the queue in Redis was not told of yet.",
            "max(inwit_queue_behind)",
            "short",
            worse_above(10, 100),
            decimals=0,
        ),
        number(
            "Oldest outcome not sent",
            "Age of the oldest outcome that its callback URL has not got.",
            "max(inwit_delivery_oldest_seconds)",
            "s",
            worse_above(600, 3600),
        ),
        number(
            "Dependencies down",
            "That did not answer the last look of some replica.",
            dependencies_down(),
            "short",
            worse_above(1, 1),
            decimals=0,
        ),
        number(
            "Telemetry dropped",
            "Spans and log events in the time shown that no collector took.",
            "sum(increase(inwit_telemetry_dropped_total[$__range]))",
            "short",
            worse_above(1, 1000),
            decimals=0,
        ),
    ],
)


_LEDGER = Row(
    "The ledger",
    [
        lines(
            "Commit",
            "Time of a commit, which may hold the entries of many requests. The line is where "
            "the alert fires.",
            [(quantile(rank, _COMMIT), f"p{rank * 100:g}") for rank in (0.5, 0.95, 0.99)],
            "s",
            limit=0.25,
        ),
        heat(
            "Commit, all of it",
            "Commits per second by the time that they took.",
            f"sum by (le) (rate({_COMMIT}_bucket[$__rate_interval]))",
            "s",
        ),
        lines(
            "Commits and entries",
            "Per second. The gap between them is what group commit saves.",
            [
                (rate(f"{_COMMIT}_count"), "commits"),
                (rate("inwit_ledger_entries_total"), "entries"),
                (rate("inwit_ledger_failures_total"), "failed commits"),
            ],
            "cps",
            colours={"failed commits": "red"},
        ),
        lines(
            "Wait for a commit",
            "Work that waits, by replica. It grows where the database is slower than requests "
            "come.",
            [("sum by (instance) (inwit_ledger_waiting)", "{{instance}}")],
            "short",
        ),
        lines(
            "Stage record",
            "Time that a request waits for its record (p50 and p99).",
            [
                (
                    quantile(rank, 'inwit_stage_duration_seconds{stage="record"}'),
                    f"p{rank * 100:g}",
                )
                for rank in (0.5, 0.99)
            ],
            "s",
        ),
    ],
)


_PROOFS = Row(
    "Proofs",
    [
        lines(
            "Checkpoints",
            "How long the oldest entry has waited for one; 0 while none waits. The line is where "
            "the alert fires.",
            [("max(inwit_ledger_unsigned_seconds)", "oldest entry without one")],
            "s",
            limit=300,
        ),
        lines(
            "Newest checkpoint",
            "Its age. While nothing is written it goes up to an hour, and nothing is wrong.",
            [("min(inwit_ledger_checkpoint_age_seconds)", "newest")],
            "s",
        ),
        lines(
            "Looks without a checkpoint",
            "Per second. `changed`: the ledger is not what was signed before.",
            [(rate("inwit_ledger_checkpoint_failures_total", "cause"), "{{cause}}")],
            "cps",
            colours={"changed": "red"},
        ),
        lines(
            "Anchors",
            "Age of the newest checkpoint that each kind of anchor holds while newer ones are "
            "there.",
            [("max by (anchor) (inwit_ledger_anchor_age_seconds)", "{{anchor}}")],
            "s",
            limit=3600,
        ),
        lines(
            "Checkpoints not taken",
            "Per second, by kind of anchor. `changed`: it holds another one.",
            [
                (
                    rate("inwit_ledger_anchor_failures_total", "anchor, cause"),
                    "{{anchor}}: {{cause}}",
                )
            ],
            "cps",
        ),
        lines(
            "Not taken in a row",
            "From the gateway that is worst, by kind of anchor; 0 as soon as one is taken. The "
            "line is where the alert fires.",
            [("max by (anchor) (inwit_ledger_anchor_failures_in_a_row)", "{{anchor}}")],
            "short",
            limit=2,
        ),
    ],
)


_OUTBOX = Row(
    "What is still to be told",
    [
        lines(
            "Queue behind, and mended",
            "Changes that the queue in Redis was not told of yet, and cases for which it was "
            "made equal to the ledger, per second.",
            [
                ("max(inwit_queue_behind)", "behind"),
                (rate("inwit_queue_repairs_total"), "repairs per second"),
            ],
            "short",
        ),
        lines(
            "Outcomes not sent",
            "Outcomes that still have to reach their callback URL.",
            [("max(inwit_deliveries_waiting)", "wait")],
            "short",
        ),
        lines(
            "Oldest outcome not sent",
            "Its age. The line is where the alert fires.",
            [("max(inwit_delivery_oldest_seconds)", "oldest")],
            "s",
            limit=3600,
        ),
    ],
)


_DEPENDENCIES = Row(
    "Dependencies and telemetry",
    [
        lines(
            "Answered the last look",
            "1 while every replica was answered.",
            [("min by (dependency) (inwit_dependency_up)", "{{dependency}}")],
            "short",
            most=1.1,
        ),
        lines(
            "Time to answer a look",
            "Of Redis, the database and the model server (p95).",
            [(quantile(0.95, "inwit_dependency_look_seconds", "dependency"), "{{dependency}}")],
            "s",
        ),
        lines(
            "Rate limits counted elsewhere",
            "Times per second that counting went over: to `local` when Redis was lost, to "
            "`shared` when it was back.",
            [
                (
                    rate("inwit_rate_limit_switches_total", "to"),
                    "{{to}}",
                )
            ],
            "cps",
        ),
        lines(
            "Telemetry sent",
            "Spans and log events per second that the collector took.",
            [
                (
                    rate("inwit_telemetry_exported_total", "signal"),
                    "{{signal}}",
                )
            ],
            "cps",
            width=12,
        ),
        lines(
            "Telemetry dropped",
            "Spans and log events per second that were given up. No request waits for them.",
            [
                (
                    rate("inwit_telemetry_dropped_total", "signal"),
                    "{{signal}}",
                )
            ],
            "cps",
            width=12,
        ),
    ],
)


STORES = Board(
    "stores",
    "ledger and stores",
    "Is every decision recorded, and do the stores keep up?",
    [_GLANCE, _LEDGER, _PROOFS, _OUTBOX, _DEPENDENCIES],
)
