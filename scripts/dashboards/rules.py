"""deploy/prometheus/rules.yaml: what Prometheus records, and when it alerts."""

from collections.abc import Sequence
from typing import Any

import yaml
from scripts.dashboards import alerts_review, objectives
from scripts.dashboards.alerts import Alert
from scripts.dashboards.alerts_ledger import LEDGER
from scripts.dashboards.alerts_queue import QUEUE
from scripts.dashboards.alerts_review import REVIEW
from scripts.dashboards.alerts_service import SERVICE

_HEAD = """\
# Made by `make dashboards` from scripts/dashboards; edit there. docs/dashboards.md has the alerts.
# The gateways are job `inwit`. External labels docs_url and grafana_url make links of the paths.
"""

GROUPS: dict[str, Sequence[Alert]] = {
    "inwit-burn": objectives.burn_alerts(),
    "inwit-review": REVIEW,
    "inwit-queue": QUEUE,
    "inwit-service": SERVICE,
    "inwit-ledger": LEDGER,
}


def recorded() -> list[dict[str, Any]]:
    """The groups that record what alerts and dashboards read."""
    return [*objectives.recorded(), *alerts_review.recorded()]


def render() -> str:
    """The file."""
    alerting = [
        {"name": name, "rules": [alert.rule() for alert in alerts]}
        for name, alerts in GROUPS.items()
    ]
    return _HEAD + dump([*recorded(), *alerting])


def dump(groups: Sequence[dict[str, Any]]) -> str:
    """Groups of rules as Prometheus reads them."""
    return yaml.safe_dump({"groups": list(groups)}, sort_keys=False, width=1000)
