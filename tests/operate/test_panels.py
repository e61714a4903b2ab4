"""What panels say of figures made up for them: promtool asks their queries as Grafana does."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from scripts.dashboards.__main__ import DASHBOARDS

from tests.operate.programs import program
from tests.operate.test_dashboards import in_grafana

pytestmark = pytest.mark.operate

_PROMTOOL_S = 300
_LAST = "10m"
_STEADY = "0+60x10"  # one a second


def query_of(board: str, title: str) -> str:
    """The one query of a panel."""
    panels = json.loads((DASHBOARDS / f"{board}.json").read_text())["panels"]
    (panel,) = [each for each in panels if each["title"] == title]
    (target,) = panel["targets"]
    return target["expr"]


def check(
    folder: Path,
    query: str,
    figures: Mapping[str, str],
    *expected: tuple[str, float],
) -> None:
    """Hold its answer after ten minutes of these figures against labels and values.

    Raises:
        AssertionError: it is another one, as promtool prints it.
    """
    samples = [{"labels": labels, "value": value} for labels, value in expected]
    test: dict[str, Any] = {
        "interval": "1m",
        "input_series": [{"series": key, "values": values} for key, values in figures.items()],
        "promql_expr_test": [{"expr": query, "eval_time": _LAST, "exp_samples": samples}],
    }
    file = folder / "panel.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [], "tests": [test]}))
    ran = subprocess.run(
        [program("promtool"), "test", "rules", str(file)],
        capture_output=True,
        text=True,
        timeout=_PROMTOOL_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def shown(query: str) -> str:
    """With everything chosen, over windows that this test's figures fill."""
    return in_grafana(query.replace("$__rate_interval", "5m").replace("$__range", "10m"))


def ours(metric: str, replica: str = "a", **labels: str) -> str:
    """A series of a replica."""
    where = {"job": "inwit", "namespace": "one", "instance": replica} | labels
    return f"{metric}{{{', '.join(f'{key}={value!r}' for key, value in where.items())}}}"


def up(replica: str, dependency: str) -> str:
    return ours("inwit_dependency_up", replica, dependency=dependency)


@pytest.mark.parametrize(
    ("board", "title"), [("overview", "Down"), ("stores", "Dependencies down")]
)
@pytest.mark.parametrize(
    ("figures", "down"),
    [
        ({up(each, "redis"): "0x10" for each in "abcd"} | {up("a", "model"): "1x10"}, 1),
        ({up("a", "redis"): "0x10", up("b", "redis"): "1x10", up("b", "model"): "0x10"}, 2),
        ({up("a", "redis"): "1x10", up("a", "model"): "1x10"}, 0),
    ],
    ids=["one-for-all", "two-for-some", "none"],
)
def test_a_dependency_that_is_down_counts_once(
    tmp_path: Path, board: str, title: str, figures: Mapping[str, str], down: float
) -> None:
    check(tmp_path, shown(query_of(board, title)), figures, ("{}", down))


def verdicts(judge: str, text: str = "candidate", outcome: str = "judged") -> str:
    labels = {"judge": judge, "text": text, "outcome": outcome}
    return ours("inwit_verdicts_total", policy="default", version="1", **labels)


HEALTHY = {verdicts("conscience"): "0+600x10", verdicts("guard"): _STEADY}
FAILED = {verdicts("conscience", outcome="timeout"): "0+660x10"}


@pytest.mark.parametrize(("more", "share"), [({}, 0), (FAILED, 0.5)], ids=["healthy", "failing"])
def test_not_judged_is_0_where_all_is_judged(
    tmp_path: Path, more: Mapping[str, str], share: float
) -> None:
    query = shown(query_of("conscience", "Not judged"))
    check(tmp_path, query, {**HEALTHY, **more}, ("{}", share))


def test_judges_that_agree_disagree_on_0(tmp_path: Path) -> None:
    query = shown(query_of("conscience", "Judges disagree"))
    check(tmp_path, query, HEALTHY, ("{}", 0))


def test_disagreement_is_a_share_of_what_both_judges_saw(tmp_path: Path) -> None:
    figures = HEALTHY | {
        verdicts("guard", "rewrite"): _STEADY,
        verdicts("guard", "input"): "0+600x10",
        verdicts("guard", "window"): "0+600x10",
        verdicts("guard", outcome="timeout"): "0+600x10",
        ours("inwit_disagreements_total", policy="default", pair="pass_fail"): "0+60x10",
    }
    query = shown(query_of("conscience", "Judges disagree"))
    check(tmp_path, query, figures, ("{}", 0.5))


def alert(name: str, **labels: str) -> str:
    return ours("ALERTS", alertname=name, alertstate="firing", **labels)


FIRING = {
    **{alert("InwitAvailabilityBurn", window=each): "1x10" for each in ("1h", "6h", "1d", "3d")},
    alert("InwitLedgerSlow"): "1x10",
    alert("InwitAnchorStale", namespace="two"): "1x10",
    'ALERTS{alertname="InwitAbsent", alertstate="firing", job="inwit"}': "1x10",
    'ALERTS{alertname="Other", alertstate="firing", job="inwit", namespace="one"}': "1x10",
}


@pytest.mark.parametrize(
    ("chosen", "firing"), [(".*", 4), ("one", 3), ("two", 2), ("(one|two)", 4), ("three", 1)]
)
def test_alerts_that_fire_are_those_of_the_namespace_each_name_once(
    tmp_path: Path, chosen: str, firing: float
) -> None:
    query = query_of("overview", "Alerts firing").replace("$namespace", chosen)
    check(tmp_path, shown(query), FIRING, ("{}", firing))


def test_a_place_where_nothing_fires(tmp_path: Path) -> None:
    check(tmp_path, shown(query_of("overview", "Alerts firing")), HEALTHY, ("{}", 0))
