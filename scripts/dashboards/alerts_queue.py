"""Alerts on people's queue and on what is still to be told to the outside."""

from scripts.dashboards.alerts import Alert

_MAX = "max by (namespace, job)"

QUEUE = (
    Alert(
        name="InwitEscalationsOverdue",
        severity="page",
        expr=f"{_MAX} (inwit_escalations_overdue) > LIMIT",
        limits={"LIMIT": 0},
        summary="Escalations are past their clock and were not ended.",
        description="{{ $value }} escalations are open although their time is over: callers wait "
        "for an outcome that should be there.",
        dashboard="escalations",
    ),
    Alert(
        name="InwitEscalationOldest",
        severity="ticket",
        expr=f"{_MAX} (inwit_escalation_oldest_seconds) > LIMIT",
        limits={"LIMIT": 3600},
        pending="5m",
        summary="An escalation has waited for longer than the clocks of most policies.",
        description="The oldest one is open for {{ $value | humanizeDuration }}.",
        dashboard="escalations",
    ),
    Alert(
        name="InwitEscalationsStuck",
        severity="ticket",
        expr=f'{_MAX} (inwit_escalations_open{{lane="stuck"}}) > LIMIT',
        limits={"LIMIT": 0},
        pending="10m",
        summary="Escalations are stuck: nobody is given them.",
        description="{{ $value }} escalations lost three leases and are given to nobody by "
        "themselves.",
        dashboard="escalations",
    ),
    Alert(
        name="InwitQueueBehind",
        severity="ticket",
        expr=f"{_MAX} (inwit_queue_behind) > LIMIT",
        limits={"LIMIT": 20},
        pending="10m",
        keep="10m",
        summary="The review queue does not hear of changes.",
        description="{{ $value }} changes of cases are in the ledger, and the queue in Redis was "
        "not told of them: reviewers do not get these cases.",
        dashboard="stores",
    ),
    Alert(
        name="InwitDeliveriesLate",
        severity="ticket",
        expr=f"{_MAX} (inwit_delivery_oldest_seconds) > AGE or "
        f"{_MAX} (inwit_deliveries_waiting) > COUNT",
        limits={"AGE": 3600, "COUNT": 100},
        pending="10m",
        keep="10m",
        summary="Outcomes do not reach their callback URLs.",
        description="{{ $value | humanize }}: seconds for which the oldest outcome waits, or the "
        "number of those that wait.",
        dashboard="stores",
    ),
)
