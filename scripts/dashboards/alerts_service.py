"""Alerts on the gateway itself and on what it leans on."""

from scripts.dashboards.alerts import Alert

_BY = "by (namespace, job)"
_BY_REPLICA = "by (namespace, job, instance)"
_JOB = 'job="inwit"'

SERVICE = (
    Alert(
        name="InwitTargetDown",
        severity="ticket",
        expr=f"up{{{_JOB}}} < LIMIT",
        limits={"LIMIT": 1},
        summary="{{ $labels.instance }} cannot be scraped.",
        description="up is {{ $value }}: this replica answers no scrape, and nothing is known of "
        "it.",
        dashboard="overview",
    ),
    Alert(
        name="InwitAbsent",
        severity="page",
        # An installation whose replicas are all down, or whose targets went; or there is none.
        expr=f"max {_BY} (up{{{_JOB}}}) < LIMIT "
        f"or (group {_BY} (last_over_time(up{{{_JOB}}}[1h])) "
        f"unless group {_BY} (up{{{_JOB}}})) "
        f"or on (job) absent(up{{{_JOB}}})",
        limits={"LIMIT": 1},
        pending="5m",
        summary="No gateway can be scraped{{ with $labels.namespace }} in {{ . }}{{ end }}.",
        description="No replica of job inwit answers a scrape (0: their targets are down, 1: they "
        "are gone; it is {{ $value }}). Users may get nothing, and no other alert on them can "
        "fire. Where another installation is scraped this ends one hour after the targets went, "
        "though they are still gone: resolved is then no proof that they are back.",
        dashboard="overview",
    ),
    Alert(
        name="InwitDependencyDown",
        severity="page",
        expr="min by (namespace, job, dependency) (inwit_dependency_up) < LIMIT",
        limits={"LIMIT": 1},
        pending="2m",
        keep="5m",
        summary="{{ $labels.dependency }} does not answer.",
        description="Some replica's looks at it fail (inwit_dependency_up is {{ $value }}). "
        "/readyz says what that means for callers.",
        dashboard="stores",
    ),
    Alert(
        name="InwitLedgerFailing",
        severity="page",
        expr=f"sum {_BY} (increase(inwit_ledger_failures_total[5m])) > LIMIT",
        limits={"LIMIT": 2},
        pending="1m",
        keep="10m",
        summary="The ledger cannot record: nothing is released.",
        description="About {{ $value | humanize }} commits failed in 5 minutes; their callers got "
        "503.",
        dashboard="stores",
    ),
    Alert(
        name="InwitLedgerSlow",
        severity="ticket",
        expr="histogram_quantile(0.99, sum by (namespace, job, le) "
        "(rate(inwit_ledger_commit_seconds_bucket[10m]))) > LIMIT",
        limits={"LIMIT": 0.25},
        pending="10m",
        keep="10m",
        summary="Commits to the ledger are slow.",
        description="The slowest 1 % take {{ $value | humanizeDuration }} or more; every response "
        "waits for its own.",
        dashboard="stores",
    ),
    Alert(
        name="InwitPolicyFolderRefused",
        severity="ticket",
        expr=f"max {_BY} (inwit_policy_problems) > LIMIT",
        limits={"LIMIT": 0},
        summary="The policy folder does not compile.",
        description="{{ $value }} problems: the policies from before stay in force, and the change "
        "does not count.",
        dashboard="overview",
    ),
    Alert(
        name="InwitPolicyDigestsDiffer",
        severity="ticket",
        expr="count by (namespace, job, policy) (count by (namespace, job, policy, digest) "
        "(inwit_policy_info == 1)) > LIMIT",
        limits={"LIMIT": 1},
        pending="10m",
        summary="Replicas decide by different versions of policy {{ $labels.policy }}.",
        description="{{ $value }} digests of it are in force at once.",
        dashboard="overview",
    ),
    Alert(
        name="InwitEventLoopSaturated",
        severity="ticket",
        expr=f"max {_BY_REPLICA} (inwit_event_loop_lag_seconds) > LIMIT",
        limits={"LIMIT": 0.25},
        keep="10m",
        summary="{{ $labels.instance }} is saturated.",
        description="Its event loop wakes {{ $value | humanizeDuration }} late: every request in "
        "it waits so long, again and again.",
        dashboard="overview",
    ),
    Alert(
        name="InwitInFlightNearLimit",
        severity="ticket",
        expr=f"max {_BY_REPLICA} (inwit_in_flight) / max {_BY_REPLICA} (inwit_in_flight_limit) "
        "> SHARE",
        limits={"SHARE": 0.8},
        keep="10m",
        summary="{{ $labels.instance }} works on nearly as many requests as it may.",
        description="{{ $value | humanizePercentage }} of its limit; past that callers get 503.",
        dashboard="overview",
    ),
    Alert(
        name="InwitTelemetryDropped",
        severity="ticket",
        expr="sum by (namespace, job, signal) (increase(inwit_telemetry_dropped_total[15m])) "
        "> LIMIT",
        limits={"LIMIT": 100},
        pending="10m",
        summary="Traces or logs are lost on the way to the collector.",
        description="About {{ $value | humanize }} {{ $labels.signal }} were given up in 15 "
        "minutes. Requests do not wait for them; the ledger has everything.",
        dashboard="stores",
    ),
)
