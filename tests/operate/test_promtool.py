"""promtool on the rules: its own unit tests hold, and fail as soon as a limit is another one."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from scripts.dashboards.__main__ import ROOT, RULES
from scripts.dashboards.alerts import Alert
from scripts.dashboards.rules import GROUPS, dump, recorded

from tests.operate.programs import program

pytestmark = pytest.mark.operate

TESTS = ROOT / "deploy/prometheus/tests"
ALERTS = [alert for group in GROUPS.values() for alert in group]
PROMTOOL_S = 300


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program("promtool"), *arguments],
        capture_output=True,
        text=True,
        timeout=PROMTOOL_S,
        check=False,
    )


def about(case: dict[str, Any], alert: Alert) -> bool:
    """Whether a case of a test expects something of this alert."""
    for each in case.get("alert_rule_test", ()):
        if each["alertname"] == alert.name:
            return True
    for each in case.get("promql_expr_test", ()):
        (pattern,) = re.findall(r'alertname=~?"([^"]*)"', each["expr"])
        windows = re.findall(r'window="([^"]*)"', each["expr"])
        window = alert.labels.get("window")
        if re.fullmatch(pattern, alert.name) and (window is None or window in windows):
            return True
    return False


def write(folder: Path, file: Path, cases: list[dict[str, Any]], moved: Alert, at: int) -> Path:
    """A test with these cases, beside the rules that matter for them, with one alert moved."""
    groups = [each for each in recorded() if reads(moved, each)]
    alerts = [*ALERTS[:at], moved, *ALERTS[at + 1 :]]
    alerting = {"name": "alerts", "rules": [each.rule() for each in alerts]}
    (folder / "rules.yaml").write_text(dump([*groups, alerting]))
    changed = {
        "rule_files": ["rules.yaml"],
        "group_eval_order": [*(group["name"] for group in groups), "alerts"],
        "tests": cases,
    }
    test = folder / file.name
    test.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | changed))
    return test


def reads(alert: Alert, group: dict[str, Any]) -> bool:
    """Whether it needs what this group records, or what another one makes of that."""
    prefix = "inwit:objective" if group["name"].startswith("inwit-objectives") else "inwit:not_all"
    return prefix in alert.expr


def test_the_rules_are_sound() -> None:
    checked = promtool("check", "rules", str(RULES))
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("file", sorted(TESTS.glob("*.yaml")), ids=lambda file: file.stem)
def test_alerts_fire_and_stay_quiet_as_the_tests_say(file: Path) -> None:
    tested = promtool("test", "rules", str(file))
    assert tested.returncode == 0, tested.stdout + tested.stderr


MOVED = [
    pytest.param(
        number,
        word,
        up,
        id="-".join([alert.name, *alert.labels.values(), word, "up" if up else "down"]),
    )
    for number, alert in enumerate(ALERTS)
    for word in alert.limits
    for up in (True, False)
]


def first_failure(number: int, alert: Alert, folder: Path) -> str | None:
    """What promtool says of the first test about an alert that fails with it in its place."""
    for file in sorted(TESTS.glob("*.yaml")):
        cases = [each for each in yaml.safe_load(file.read_text())["tests"] if about(each, alert)]
        if cases:
            tested = promtool("test", "rules", str(write(folder, file, cases, alert, number)))
            if tested.returncode != 0:
                return tested.stdout + tested.stderr
    return None


@pytest.mark.parametrize("number", range(len(ALERTS)))
def test_as_it_is_each_alert_fails_none(number: int, tmp_path: Path) -> None:
    assert first_failure(number, ALERTS[number], tmp_path) is None


@pytest.mark.parametrize(("number", "word", "up"), MOVED)
def test_a_limit_that_is_moved_fails_a_test(
    number: int, word: str, up: bool, tmp_path: Path
) -> None:
    moved = ALERTS[number].moved(word, up)
    failure = first_failure(number, moved, tmp_path)
    assert failure, f"nothing noticed {moved.name}: {moved.promql()}"
    assert "exp:" in failure, f"failed for another reason: {failure}"


def test_prometheus_takes_the_configuration_with_the_rules(tmp_path: Path) -> None:
    for name in ("prometheus.yml", "rules.yaml"):
        shutil.copy(ROOT / "deploy/prometheus" / name, tmp_path)
    checked = promtool("check", "config", str(tmp_path / "prometheus.yml"))
    assert checked.returncode == 0, checked.stdout + checked.stderr
