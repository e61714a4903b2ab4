"""Alerts on the proofs of the ledger: checkpoints, and the places that keep them."""

from scripts.dashboards.alerts import Alert

_BY = "by (namespace, job)"

LEDGER = (
    Alert(
        name="InwitLedgerChanged",
        severity="page",
        expr=f"sum {_BY} (increase(inwit_ledger_checkpoint_failures_total{{"
        f'cause="changed"}}[15m])) > LIMIT or sum {_BY} '
        '(increase(inwit_ledger_anchor_failures_total{cause="changed"}[15m])) > LIMIT',
        limits={"LIMIT": 0},
        pending="1m",
        keep="1h",
        summary="The ledger is not what was signed before.",
        description="{{ $value | humanize }} looks in 15 minutes met entries, a checkpoint or an "
        "anchor that contradict it. Nothing more is signed; requests are still recorded.",
        dashboard="stores",
    ),
    Alert(
        name="InwitCheckpointStale",
        severity="ticket",
        expr=f"max {_BY} (inwit_ledger_unsigned_seconds) > LIMIT",
        limits={"LIMIT": 300},
        pending="5m",
        summary="Entries of the ledger wait for a checkpoint.",
        description="The oldest has waited {{ $value | humanizeDuration }}. Until it is signed, "
        "nothing proves that it was not changed.",
        dashboard="stores",
    ),
    Alert(
        # As long a window as the longest INWIT_CHECKPOINT_MS (10 minutes) needs for some looks, and
        # longer than it: one bad minute, whatever came of it, is over by then.
        name="InwitCheckpointsFailing",
        severity="ticket",
        expr=f"max {_BY} (increase(inwit_ledger_checkpoint_failures_total{{"
        f'cause="failed"}}[1h])) > LIMIT',
        limits={"LIMIT": 4},
        pending="65m",
        summary="A gateway goes on failing to look after the ledger's checkpoints.",
        description="{{ $value | humanize }} looks in an hour failed on one gateway. Others may "
        "sign in its place; where none does, nothing proves what comes.",
        dashboard="stores",
    ),
    Alert(
        name="InwitAnchorStale",
        severity="ticket",
        expr="max by (namespace, job, anchor) (inwit_ledger_anchor_age_seconds) > LIMIT",
        limits={"LIMIT": 3600},
        pending="5m",
        summary="An anchor ({{ $labels.anchor }}) does not get the ledger's checkpoints.",
        description="What it holds is {{ $value | humanizeDuration }} old: whoever has both the "
        "database and the key could have changed what came since.",
        dashboard="stores",
    ),
    Alert(
        # In a row, and not in a window: INWIT_ANCHOR_MS may be a tenth of a second, or a day.
        name="InwitAnchorFailing",
        severity="ticket",
        expr="max by (namespace, job, anchor) (inwit_ledger_anchor_failures_in_a_row) > LIMIT",
        limits={"LIMIT": 2},
        pending="1h",
        summary="A gateway goes on failing to reach an anchor ({{ $labels.anchor }}).",
        description="The last {{ $value | humanize }} checkpoints that one gateway sent were not "
        "taken. Others may send theirs; where none does, InwitAnchorStale follows.",
        dashboard="stores",
    ),
)
