"""The dashboards: made by the code, after the rules of Grafana's dashboard-linter.

Grafana itself is not asked here: docs/dashboards.md says what that leaves open.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
from scripts.dashboards.__main__ import DASHBOARDS, ROOT
from scripts.dashboards.boards import Board
from scripts.dashboards.every import BOARDS
from scripts.dashboards.objectives import OBJECTIVES
from scripts.dashboards.rules import render as render_rules

from tests.operate.exposed import (
    PROMETHEUS_OWN,
    VLLM,
    metric_of,
    metrics,
    selectors,
    series,
)

# Of Grafana's own list of units.
UNITS = {"reqps", "cps", "percentunit", "s", "short"}
EVERY_BOARD = pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
# None: a metric that no dashboard shows needs a reason here.
SHOWN_NOWHERE: dict[str, str] = {}


def parsed(board: Board) -> dict[str, Any]:
    return json.loads((DASHBOARDS / f"{board.name}.json").read_text())


def panels(board: Board) -> Iterator[dict[str, Any]]:
    for panel in parsed(board)["panels"]:
        yield from (panel.get("panels") or ()) if panel["type"] == "row" else (panel,)


def queries(board: Board) -> list[str]:
    return [target["expr"] for panel in panels(board) for target in panel["targets"]]


def in_grafana(query: str) -> str:
    """The query as Grafana would send it."""
    query = query.replace("$__rate_interval", "1m").replace("$__range", "3h")
    return re.sub(r"\$\w+", ".*", query.replace('"$1"', '"1"'))


@EVERY_BOARD
def test_what_is_there_is_what_the_code_makes(board: Board) -> None:
    assert (DASHBOARDS / f"{board.name}.json").read_text() == board.render(), "make dashboards"


def test_no_other_dashboard_lies_there() -> None:
    assert {file.stem for file in DASHBOARDS.iterdir()} == {board.name for board in BOARDS}


@EVERY_BOARD
def test_every_panel_has_a_title_a_description_a_unit_and_the_chosen_source(board: Board) -> None:
    for panel in panels(board):
        assert panel["title"], board.name
        assert panel["description"].endswith((".", "%")), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"], panel["title"]


@EVERY_BOARD
def test_panels_are_numbered_and_lie_beside_one_another(board: Board) -> None:
    every = parsed(board)["panels"]
    assert [panel["id"] for panel in every] == list(range(1, len(every) + 1))
    taken: set[tuple[int, int]] = set()
    for panel in every:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells


@EVERY_BOARD
def test_variables_choose_the_source_the_namespace_the_job_and_the_replica(board: Board) -> None:
    by_name = {each["name"]: each for each in parsed(board)["templating"]["list"]}

    assert by_name["datasource"]["type"] == "datasource"
    assert by_name["datasource"]["query"] == "prometheus"
    wanted = {"namespace": ".*", "job": ".+", "instance": ".+"}
    if any("$model_job" in query for query in queries(board)):
        wanted["model_job"] = ".+"
    assert by_name.keys() == {"datasource", *wanted}
    for name, every in wanted.items():
        variable = by_name[name]
        assert variable["datasource"]["uid"] == "${datasource}"
        assert variable["refresh"] == 2, "on a change of the time range"
        assert (variable["multi"], variable["includeAll"]) == (True, True)
        assert variable["allValue"] == every
        inner = re.fullmatch(r"label_values\((.+), \w+\)", variable["query"]["query"])
        assert inner
        promql_parser.parse(in_grafana(inner[1]))


@EVERY_BOARD
def test_every_query_is_promql_of_chosen_gateways(board: Board) -> None:
    for query in queries(board):
        promql_parser.parse(in_grafana(query))
        for name, matched in selectors(query):
            assert {"job", "namespace"} <= matched, query
            if name in series():
                assert "instance" in matched, query


@EVERY_BOARD
def test_rates_are_over_the_rate_interval_and_counters_are_never_shown_raw(board: Board) -> None:
    for query in queries(board):
        for function, window in re.findall(r"(\w+)\([^()]*\[([^\]]+)\]", query):
            allowed = {"rate": {"$__rate_interval"}, "increase": {"$__range"}}
            assert window in allowed.get(function, ()), query
        for name, _ in selectors(query):
            if name.endswith(("_total", "_bucket", "_count")):
                assert re.search(rf"(rate|increase)\({name}\b", query), query


def test_lines_of_what_has_exemplars_ask_for_them_once() -> None:
    asked = {
        (board.name, panel["title"]): [bool(each.get("exemplar")) for each in panel["targets"]]
        for board in BOARDS
        for panel in panels(board)
    }
    assert {place: each for place, each in asked.items() if any(each)} == {
        ("overview", "Added by Inwit"): [False, False, True],
        ("stores", "Stage record"): [False, True],
        ("model", "Stages, median"): [True],
        ("model", "Stages, p99"): [True],
    }


def test_a_line_for_an_alert_is_drawn_beside_nothing_else_than_what_it_is_of() -> None:
    stores = next(board for board in BOARDS if board.name == "stores")
    by_title = {panel["title"]: panel for panel in panels(stores)}
    checkpoints, newest = by_title["Checkpoints"], by_title["Newest checkpoint"]

    (target,) = checkpoints["targets"]
    assert "inwit_ledger_unsigned_seconds" in target["expr"]
    assert checkpoints["fieldConfig"]["defaults"]["thresholds"]["steps"][-1]["value"] == 300
    assert "thresholds" not in newest["fieldConfig"]["defaults"]


@EVERY_BOARD
def test_every_series_asked_for_is_exposed_with_those_labels(board: Board) -> None:
    recorded = set(re.findall(r"record: (\S+)", render_rules()))
    target = {"namespace", "job", "instance"}
    for query in queries(board):
        for name, matched in selectors(query):
            if name in series():
                assert matched - target <= series()[name], query
            else:
                assert name in VLLM | PROMETHEUS_OWN | recorded, query


@EVERY_BOARD
def test_every_label_summed_by_or_named_in_a_legend_is_there(board: Board) -> None:
    known = {label for labels in series().values() for label in labels}
    known |= {"instance", "le", "alertname"}
    for panel in panels(board):
        for target in panel["targets"]:
            by = re.findall(r"by \(([^)]*)\)", target["expr"])
            labels = {label.strip() for each in by for label in each.split(",")}
            assert labels <= known, target["expr"]
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= labels, panel["title"]


def test_every_metric_appears_in_a_dashboard() -> None:
    shown = {
        metric_of(name) for board in BOARDS for q in queries(board) for name, _ in selectors(q)
    }
    missing = metrics().keys() - shown
    assert missing == SHOWN_NOWHERE.keys()


@EVERY_BOARD
def test_it_cannot_be_edited_in_place_and_links_keep_the_time(board: Board) -> None:
    made = parsed(board)
    assert made["editable"] is False
    assert (made["uid"], made["tags"]) == (board.uid, ["inwit"])
    (link,) = made["links"]
    assert (link["keepTime"], link["includeVars"], link["tags"]) == (True, True, ["inwit"])


@EVERY_BOARD
def test_ten_seconds_are_enough_for_the_top_row(board: Board) -> None:
    first, *rest = parsed(board)["panels"]
    assert first["title"] == "In ten seconds"
    top = [panel for panel in rest if panel["gridPos"]["y"] == 1]
    assert 6 <= len(top) <= 8
    assert {panel["type"] for panel in top} == {"stat"}
    assert any(len(p["fieldConfig"]["defaults"]["thresholds"]["steps"]) == 3 for p in top)


def test_the_objective_for_latency_is_a_bound_of_its_histogram() -> None:
    from inwit.telemetry import OVERHEAD

    bounds = OVERHEAD._upper_bounds  # pyright: ignore[reportPrivateUsage]  # said nowhere else
    (latency,) = [each for each in OBJECTIVES if each.name == "latency"]
    (bound,) = re.findall(r'le="([^"]+)"', latency.bad)
    assert float(bound) in bounds


def test_the_page_shows_every_dashboard_with_its_picture_and_question() -> None:
    page = (ROOT / "docs/dashboards.md").read_text()
    for board in BOARDS:
        assert f"images/dashboard-{board.name}.png" in page
        assert board.question in page
        assert (ROOT / f"docs/images/dashboard-{board.name}.png").is_file()
