"""A dashboard: its variables, its links to the others, its rows of panels."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model
from scripts.dashboards.panels import DATASOURCE, Panel
from scripts.dashboards.queries import selected

TAG = "inwit"


@dataclass(frozen=True, slots=True)
class Row:
    """A titled row; `folded` ones are opened by a click, and ask for nothing until then."""

    title: str
    panels: Sequence[Panel]
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard. `name` is its file and its address, `question` what it answers."""

    name: str
    title: str
    question: str
    rows: Sequence[Row]
    model_server: bool = False

    @property
    def uid(self) -> str:
        """Its address in Grafana: /d/UID."""
        return f"inwit-{self.name}"

    def render(self) -> str:
        """The JSON that Grafana reads."""
        made = (
            build.Dashboard(f"Inwit: {self.title}")
            .uid(self.uid)
            .description(self.question)
            .tags([TAG])
            .readonly()
            .tooltip(model.DashboardCursorSync.CROSSHAIR)
            .refresh("30s")
            .time("now-3h", "now")
            .timezone("browser")
            .link(_links())
            .annotation(_policy_changes())
        )
        for variable in self._variables():
            made = made.with_variable(variable)
        for row in self.rows:
            made = _with_row(made, row)
        return _json(json.loads(JSONEncoder().encode(made.build())))

    def _variables(self) -> Sequence[Any]:
        label = build.DatasourceVariable("datasource").label("Data source").type("prometheus")
        job = 'inwit_build_info{namespace=~"$namespace"}'
        found = [
            label.current(model.VariableOption(text="Prometheus", value="prometheus")),
            _query("namespace", "Namespace", "label_values(inwit_build_info, namespace)", ".*"),
            _query("job", "Job", f"label_values({job}, job)", ".+"),
            _query(
                "instance",
                "Instance",
                'label_values(inwit_build_info{namespace=~"$namespace", job=~"$job"}, instance)',
                ".+",
            ),
        ]
        if self.model_server:
            served = 'vllm:num_requests_running{namespace=~"$namespace"}'
            found.append(_query("model_job", "Model's job", f"label_values({served}, job)", ".+"))
        return found


def _query(name: str, label: str, query: str, every: str) -> build.QueryVariable:
    # "All" is a pattern, so that a new replica is in it at once; `.*` also where there is no label.
    return (
        build.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query({"query": query, "refId": f"Variable-{name}"})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(every)
        .current(model.VariableOption(text=["All"], value=["$__all"]))
    )


def _links() -> build.DashboardLink:
    return (
        build.DashboardLink("Inwit")
        .type(model.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .keep_time(True)
        .include_vars(True)
        .as_dropdown(False)
        .target_blank(False)
        .tooltip("The other dashboards, for the same time and the same gateways")
        .icon("external link")
        .url("")
    )


def _policy_changes() -> build.AnnotationQuery:
    reloads = selected('inwit_policy_reloads_total{outcome="ok"}')
    return (
        build.AnnotationQuery()
        .name("Policies changed")
        .datasource(DATASOURCE)
        .enable(True)
        .icon_color("purple")
        .expr(f"sum(changes({reloads}[1m])) > 0")
    )


def _with_row(made: build.Dashboard, row: Row) -> build.Dashboard:
    head = build.Row(row.title)
    if not row.folded:
        made = made.with_row(head)
        for panel in row.panels:
            made = made.with_panel(panel)
        return made
    head = head.collapsed(True)
    for panel in row.panels:
        head = head.with_panel(panel)
    return made.with_row(head)


def _json(board: dict[str, Any]) -> str:
    """With what the SDK writes and Grafana does not know taken out, and panels numbered."""
    board.pop("style", None)
    for variable in board["templating"]["list"]:
        for key in ("auto", "auto_count", "auto_min", "id"):
            variable.pop(key, None)
    number = 0
    for panel in board["panels"]:
        for each in (panel, *(panel.get("panels") or ())):
            number += 1
            each["id"] = number
    return json.dumps(board, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
