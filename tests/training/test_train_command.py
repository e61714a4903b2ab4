"""`inwit train`, as its users type it, where no torch is needed."""

import importlib.util
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from inwit.cli import app
from tests.evaluation.sets import SIGN, paired, write_set


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@pytest.fixture(autouse=True)
def _data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INWIT_DATA_DIR", str(tmp_path / "var"))


@pytest.mark.parametrize("command", [("conscience",), ("align", "--tune", "x")])
def test_without_torch_it_says_how_to_have_it(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec

    def without(name: str, *more: Any) -> Any:
        return None if name == "torch" else find(name, *more)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    result = run("train", *command)

    assert result.exit_code != 0
    assert "torch is not installed. Run `make .venv-train/train.stamp`" in str(result.exception)


def test_pairs_must_come_from_somewhere(tmp_path: Path) -> None:
    result = run("train", "pairs", "--out", str(tmp_path / "pairs.jsonl"))

    assert result.exit_code == 2
    assert "--from-ledger" in result.output


def test_a_ledger_without_edits_gives_none_and_has_it_recorded(tmp_path: Path) -> None:
    assert run("keys", "create", "--name", "n", "--tenant", "acme").exit_code == 0
    file = tmp_path / "pairs.jsonl"

    result = run("train", "pairs", "--from-ledger", "--since", "2026-01-01", "--out", str(file))

    assert result.exit_code == 0, result.output
    assert "0 pairs. Left out: 0 without consent, 0 erased" in result.output
    assert file.read_text() == ""
    assert " entries, 0 breaks" in run("ledger", "verify").output


def test_held_back_samples_are_written_for_this_user_alone(tmp_path: Path) -> None:
    data = write_set(tmp_path / "data", "gptfuzz", paired(60, split_hint="train"))
    file = tmp_path / "held-back.jsonl"

    result = run("train", "held-back", "--data", str(data), "--out", str(file))

    rows = [json.loads(line) for line in file.read_text().splitlines()]
    fuzz = [row for row in rows if row["source"] == "gptfuzz"]
    assert result.exit_code == 0, result.output
    assert f"{len(rows)} samples" in result.output
    assert 0 < len(fuzz) < 30
    assert {row["label"] == "unsafe" for row in fuzz if SIGN in row["response"]} == {True}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert SIGN not in result.output
