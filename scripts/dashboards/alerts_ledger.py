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
        # Longer than the window: one bad minute, whatever came of it, is over by then.
        name="InwitCheckpointsFailing",
        severity="ticket",
        expr=f"max {_BY} (increase(inwit_ledger_checkpoint_failures_total{{"
        f'cause="failed"}}[10m])) > LIMIT',
        limits={"LIMIT": 4},
        pending="15m",
        summary="A gateway goes on failing to look after the ledger's checkpoints.",
        description="{{ $value | humanize }} looks in 10 minutes failed on one gateway. Others may "
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
        name="InwitAnchorFailing",
        severity="ticket",
        expr="max by (namespace, job, anchor) (increase("
        'inwit_ledger_anchor_failures_total{cause="failed"}[30m])) > LIMIT',
        limits={"LIMIT": 8},
        pending="35m",
        summary="A gateway goes on failing to reach an anchor ({{ $labels.anchor }}).",
        description="{{ $value | humanize }} checkpoints in 30 minutes were not taken from one "
        "gateway. Others may send theirs; where none does, InwitAnchorStale follows.",
        dashboard="stores",
    ),
)
