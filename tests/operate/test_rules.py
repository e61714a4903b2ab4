"""The rules: made by the code, each alert with a runbook, asking for what is there."""

import json
import re
from typing import Any

import promql_parser
import pytest
import yaml
from scripts.dashboards.__main__ import ROOT, RULES
from scripts.dashboards.alerts import Alert
from scripts.dashboards.every import BOARDS
from scripts.dashboards.objectives import BURNS, OBJECTIVES
from scripts.dashboards.rules import GROUPS, render
from typer.testing import CliRunner

from inwit.cli import app
from inwit.config import Settings
from tests.operate.exposed import PROMETHEUS_OWN, selectors, series

RUNBOOKS = ROOT / "docs/runbooks"
ALERTS = [alert for group in GROUPS.values() for alert in group]
NAMES = sorted({alert.name for alert in ALERTS})
EVERY_ALERT = pytest.mark.parametrize(
    "alert", ALERTS, ids=lambda alert: "-".join([alert.name, *alert.labels.values()])
)
SECTIONS = [
    "## What it means for users",
    "## Look",
    "## Do",
    "## It worked when",
]


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_what_is_there_is_what_the_code_makes() -> None:
    assert RULES.read_text() == render(), "make dashboards"


def test_every_rule_asks_for_what_is_exposed_or_recorded() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    target = {"namespace", "job", "instance"}
    for rule in rules():
        promql_parser.parse(rule["expr"])
        for name, matched in selectors(rule["expr"]):
            if name in series():
                assert matched - target <= series()[name], rule["expr"]
            else:
                assert name in recorded | PROMETHEUS_OWN, rule["expr"]


@EVERY_ALERT
def test_every_alert_says_what_how_bad_and_where_to_read(alert: Alert) -> None:
    annotations = alert.rule()["annotations"]
    assert alert.severity in ("page", "ticket")
    assert annotations.keys() == {"summary", "description", "runbook_url", "dashboard_url"}
    assert "{{ $value" in annotations["description"], "with its value"
    assert annotations["summary"].endswith(".")
    assert annotations["runbook_url"].endswith(f"docs/runbooks/{alert.name}.md")
    assert alert.dashboard in {board.name for board in BOARDS}
    for label in re.findall(r"\$labels\.(\w+)", str(annotations)):
        known = re.search(rf"by \([^)]*\b{label}\b[^)]*\)", alert.expr)
        kept = known or alert.expr.startswith(("up", "(inwit:"))  # as they are scraped or recorded
        assert kept, f"{alert.name}: {label} is lost"


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    pages = {page.stem for page in RUNBOOKS.glob("Inwit*.md")}
    assert pages == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_runbook_says_what_to_look_at_and_what_to_do(name: str) -> None:
    page = (RUNBOOKS / f"{name}.md").read_text()
    assert page.startswith(f"# {name}\n")
    headings = re.findall(r"^## .*$", page, re.MULTILINE)
    assert headings == SECTIONS
    severities = {alert.severity for alert in ALERTS if alert.name == name}
    for severity in severities:
        assert severity in page.split("##")[0].lower(), f"{name} does not say: {severity}"


@pytest.mark.parametrize("name", NAMES)
def test_what_a_runbook_asks_prometheus_is_exposed(name: str) -> None:
    page = (RUNBOOKS / f"{name}.md").read_text()
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    asked = re.findall(r"```promql\n(.*?)```", page, re.DOTALL)
    assert asked, "no query to look with"
    for query in (line for block in asked for line in block.splitlines() if line.strip()):
        promql_parser.parse(query)
        for series_name, _ in selectors(query):
            assert series_name in series().keys() | recorded | PROMETHEUS_OWN, query


def test_the_lists_name_every_alert_with_its_severity() -> None:
    for list_of_all in (ROOT / "docs/dashboards.md", RUNBOOKS / "README.md"):
        page = list_of_all.read_text()
        for alert in ALERTS:
            row = re.search(rf"^\| .*\b{alert.name}\b.*$", page, re.MULTILINE)
            assert row, f"{list_of_all}: {alert.name}"
            assert alert.severity in row[0], f"{list_of_all}: {alert.name}"


def test_objectives_burn_fast_ones_page_and_slow_ones_make_tickets() -> None:
    found = {(burn.factor, burn.long, burn.short, burn.severity) for burn in BURNS}
    assert found == {
        (14.4, "1h", "5m", "page"),
        (6, "6h", "30m", "page"),
        (3, "1d", "2h", "ticket"),
        (1, "3d", "6h", "ticket"),
    }
    assert {each.name: each.good for each in OBJECTIVES} == {
        "availability": 0.999,
        "latency": 0.99,
        "review": 0.999,
    }


def test_every_command_in_a_runbook_exists() -> None:
    commands = {
        " ".join(words)
        for page in RUNBOOKS.glob("*.md")
        for words in re.findall(r"`inwit ([a-z]+) ?([a-z]+)?", page.read_text())
    }
    assert commands
    for command in sorted(commands):
        shown = CliRunner().invoke(app, [*command.split(), "--help"])
        assert shown.exit_code == 0, f"inwit {command}"


def test_every_setting_in_a_runbook_exists() -> None:
    for page in RUNBOOKS.glob("*.md"):
        for name in re.findall(r"INWIT_([A-Z_]+)", page.read_text()):
            assert name.lower() in Settings.model_fields, f"{page.name}: INWIT_{name}"


def test_every_panel_in_a_runbook_exists() -> None:
    titles = {panel["title"] for board in BOARDS for panel in json.loads(board.render())["panels"]}
    for page in RUNBOOKS.glob("Inwit*.md"):
        for name in re.findall(r"(?<!\*)\*([A-Z][^*]+)\*(?!\*)", page.read_text()):
            assert any(title.startswith(name) for title in titles), f"{page.name}: {name}"
