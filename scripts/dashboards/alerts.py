"""An alert as this project writes it, and the rule that comes of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Severity = Literal["page", "ticket"]

RUNBOOKS = "docs/runbooks"


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert. Words in capitals in `expr` are its `limits`, so that tests can move each.

    `page`: a person is woken. `ticket`: it waits for the morning. `pending` is how long it must
    hold, `keep` how long it goes on firing after it does not. The runbook is named as the alert.
    """

    name: str
    severity: Severity
    expr: str
    limits: Mapping[str, float]
    summary: str
    description: str
    dashboard: str
    pending: str = "5m"
    keep: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])

    def rule(self) -> dict[str, Any]:
        """As Prometheus reads it."""
        timing = {"for": self.pending} | ({"keep_firing_for": self.keep} if self.keep else {})
        return {
            "alert": self.name,
            "expr": self.promql(),
            **timing,
            "labels": {"severity": self.severity, **self.labels},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": _under("docs_url", f"{RUNBOOKS}/{self.name}.md"),
                "dashboard_url": _under("grafana_url", f"d/inwit-{self.dashboard}"),
            },
        }

    def promql(self) -> str:
        """The expression with its limits put in."""
        expr = " ".join(self.expr.split())
        for word, value in self.limits.items():
            expr, count = re.subn(rf"\b{word}\b", f"{value:g}", expr)
            assert count, f"{self.name}: {word} is not in its expression"  # noqa: S101
        return expr

    def moved(self, word: str, up: bool) -> "Alert":
        """The same with one limit a little higher or lower; small whole ones by 1."""
        value = self.limits[word]
        small = value == int(value) and value <= 2
        other = value + (1 if up else -1) if small else value * (1.25 if up else 0.8)
        return replace(self, limits={**self.limits, word: other})


def _under(external_label: str, path: str) -> str:
    """The path, under the address that an external label of Prometheus gives, if it does."""
    return f"{{{{ with $externalLabels.{external_label} }}}}{{{{ . }}}}/{{{{ end }}}}{path}"
