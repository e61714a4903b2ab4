"""The command on the real embedded model; what it says of so few samples is not the point."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from inwit.cli.calibrate import calibrate
from inwit.policy.calibration import load_calibrations
from inwit.types import Framing

pytestmark = pytest.mark.process

app = typer.Typer()
app.command()(calibrate)


def test_the_embedded_model_is_asked_and_a_forced_file_is_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INWIT_DATA_DIR", str(tmp_path))
    samples = tmp_path / "samples.jsonl"
    rows = [
        {
            "prompt": f"What is {number // 2} plus one?",
            "response": f"{number // 2 + 1 + number % 2}",
            "label": ("safe", "unsafe")[number % 2],
        }
        for number in range(100)
    ]
    samples.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    words = ["--samples", str(samples), "--scores", str(tmp_path / "scores.jsonl")]

    result = CliRunner().invoke(app, [*words, "--framing", "fresh", "--force"])

    assert result.exit_code == 0, f"{result.exception}\n{result.output}"
    head, *scores = [json.loads(line) for line in (tmp_path / "scores.jsonl").open()]
    assert "smollm2" in head["model"]
    assert len(scores) == 100
    assert len({score.get("raw_risk") for score in scores}) > 20
    (mark,) = load_calibrations(tmp_path / "calibrations")
    assert mark.framing is Framing.FRESH
