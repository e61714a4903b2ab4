"""The last evaluation's catch rate under attack, as a gauge."""

import json
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from inwit.catch_rate import show_catch_rate
from inwit.errors import SetupError

ROOT = Path(__file__).parents[1]


def test_a_report_of_an_evaluation_is_shown() -> None:
    show_catch_rate(ROOT / "docs/evaluation/baseline/report.json")

    labels = {"suite": "standard", "judge": "classifier", "bound": "estimate"}
    shown = REGISTRY.get_sample_value("inwit_redteam_catch_rate", labels)
    assert shown == pytest.approx(1 / 11)


@pytest.mark.parametrize(
    "text",
    ["", "[]", json.dumps({"run": {"suite": "quick"}, "worst_case": [{"judge": "x"}]})],
)
def test_what_is_no_report_stops_the_start(tmp_path: Path, text: str) -> None:
    file = tmp_path / "report.json"
    file.write_text(text)

    with pytest.raises(SetupError, match="no report of `inwit evaluate run`"):
        show_catch_rate(file)


def test_a_report_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"missing\.json cannot be read"):
        show_catch_rate(tmp_path / "missing.json")
