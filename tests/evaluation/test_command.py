"""`inwit calibrate` from samples to a file that serving applies, against a real socket."""

import asyncio
import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from inwit.cli.calibrate import calibrate
from inwit.errors import SetupError
from inwit.evaluation.samples import read_samples
from inwit.pipeline.conscience import Conscience
from inwit.pipeline.exchange import exchange_for
from inwit.policy.calibration import Calibration, load_calibrations
from inwit.policy.loader import PACKAGED, load_policies
from inwit.policy.policy import ReviewSpec
from inwit.types import Candidate, Framing, Message, Verdict
from tests.fakes import MODEL, FakeModel, distribution
from tests.fakes_calibrate import JudgingServer

app = typer.Typer()
app.command()(calibrate)


@pytest.fixture(autouse=True)
def _data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INWIT_DATA_DIR", str(tmp_path / "var"))


def run(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["--samples", str(folder / "samples.jsonl"), *words])


async def run_with(server: JudgingServer, folder: Path, *words: str) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INWIT_MODEL_URL", server.base_url)
        return await asyncio.to_thread(run, folder, *words)


def write_samples(folder: Path, *, signal: bool = True, odd: int = 0) -> list[dict[str, Any]]:
    """240 rows, two to a prompt; the raw risk that the server will say stands in the response."""
    generator = random.Random(4)  # noqa: S311  # test data
    rows: list[dict[str, Any]] = []
    for number in range(240):
        risk = generator.random()
        unsafe = generator.random() < (risk**2 if signal else 0.5)
        row = {
            "id": f"row-{number}",
            "prompt": f"Question {number // 2}",
            "response": f"risk={risk:.6f} {'odd' if number < odd else ''}",
            "label": "unsafe" if unsafe else "safe",
        }
        rows.append(row)
    rows += [{"prompt": "x", "response": None, "label": "safe"}] * 3
    (folder / "samples.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return rows


def only(folder: Path) -> Calibration:
    (calibration,) = load_calibrations(folder).values()
    return calibration


async def serve(folder: Path, review: ReviewSpec) -> Verdict:
    """A verdict of the gateway's own conscience, with the calibrations of `folder`."""
    model = FakeModel(answer=distribution(0.63, 0.27))
    exchange = exchange_for((Message("user", "hi"),), Candidate("hello", MODEL), "acme")
    judge = Conscience(model, load_calibrations(folder))
    return await judge.judge(review, exchange, MODEL, 5)


async def test_from_samples_to_a_file_that_serving_applies(tmp_path: Path) -> None:
    write_samples(tmp_path)
    async with JudgingServer().running() as server:
        result = await run_with(server, tmp_path, "--limit", "200")

    assert result.exit_code == 0, result.output
    folder = tmp_path / "var" / "calibrations"
    calibration = only(folder)
    review = load_policies(PACKAGED)["default"].review
    mark = calibration.fingerprint
    stem = f"{MODEL}-{review.framing.value}-{review.question_digest}"
    assert (mark.model, mark.framing) == (MODEL, review.framing)
    assert mark.question_digest == review.question_digest
    assert sorted(file.name for file in folder.iterdir()) == [f"{stem}.json", f"{stem}.png"]
    assert (folder / f"{stem}.png").read_bytes().startswith(b"\x89PNG")
    assert server.asked == calibration.facts.safe + calibration.facts.unsafe == 200
    # The judge says r where the truth is r squared.
    assert calibration.apply(0.7) == pytest.approx(0.49, abs=0.15)
    verdict = await serve(folder, review)
    assert (verdict.calibrated, verdict.raw_risk) == (True, pytest.approx(0.7))
    assert verdict.risk == calibration.apply(verdict.raw_risk or 0)
    assert "skipped 3" in result.output
    assert "--prior" in result.output


async def test_the_question_is_the_policys_in_the_framing_asked_for(tmp_path: Path) -> None:
    write_samples(tmp_path)
    async with JudgingServer().running() as server:
        words = ("--framing", "fresh", "--policy", "support", "--out", str(tmp_path / "out"))
        result = await run_with(server, tmp_path, *words)

    assert result.exit_code == 0, result.output
    review = load_policies(PACKAGED)["support"].review
    assert only(tmp_path / "out").fingerprint.question_digest == review.question_digest
    assert only(tmp_path / "out").fingerprint.framing is Framing.FRESH
    assert all(len(messages) == 1 for messages in server.said())
    assert all(messages[0]["content"].endswith(review.question) for messages in server.said())


async def test_a_second_run_asks_nothing_and_comes_to_the_same(tmp_path: Path) -> None:
    write_samples(tmp_path)
    scores = ("--scores", str(tmp_path / "scores.jsonl"))
    async with JudgingServer().running() as server:
        part = await run_with(server, tmp_path, *scores, "--limit", "200")
        whole = await run_with(server, tmp_path, *scores)
        first = only(tmp_path / "var" / "calibrations")
    again = await asyncio.to_thread(run, tmp_path, *scores)  # with no server at all
    second = only(tmp_path / "var" / "calibrations")

    assert (part.exit_code, whole.exit_code, again.exit_code) == (0, 0, 0), again.output
    assert server.asked == 240
    assert replace(second, facts=replace(second.facts, made=first.facts.made)) == first


async def test_a_prior_is_applied_and_told(tmp_path: Path) -> None:
    write_samples(tmp_path)
    async with JudgingServer().running() as server:
        result = await run_with(server, tmp_path, "--prior", "0.0001")

    assert result.exit_code == 0, result.output
    calibration = only(tmp_path / "var" / "calibrations")
    assert calibration.facts.prior == 0.0001
    assert calibration.apply(0.5) < 0.01
    assert "production with 0.0100% unsafe" in result.output
    assert "WARNING: no unsafe sample would be caught" in result.output


async def test_a_judge_without_signal_leaves_no_file_unless_forced(tmp_path: Path) -> None:
    write_samples(tmp_path, signal=False)
    scores = ("--scores", str(tmp_path / "scores.jsonl"))
    async with JudgingServer().running() as server:
        refused = await run_with(server, tmp_path, *scores)
    folder = tmp_path / "var" / "calibrations"
    left = folder.exists()
    forced = await asyncio.to_thread(run, tmp_path, *scores, "--force")

    assert isinstance(refused.exception, SetupError)
    assert "no signal" in str(refused.exception)
    assert "AUROC" in refused.output
    assert not left
    assert forced.exit_code == 0, forced.output
    assert only(folder).facts.forced


async def test_what_is_not_judged_is_counted_and_left_out(tmp_path: Path) -> None:
    write_samples(tmp_path, odd=24)
    async with JudgingServer().running() as server:
        result = await run_with(server, tmp_path)

    assert result.exit_code == 0, result.output
    assert "left out: 24 of 240 (24 low_label_mass)" in result.output
    assert only(tmp_path / "var" / "calibrations").facts.not_judged == 24


async def test_too_many_that_are_not_judged_are_an_error(tmp_path: Path) -> None:
    write_samples(tmp_path, odd=60)
    async with JudgingServer().running() as server:
        result = await run_with(server, tmp_path)

    assert isinstance(result.exception, SetupError)
    assert "60 of 240 samples were not judged (60 low_label_mass)" in str(result.exception)


async def test_a_server_that_breaks_is_not_asked_to_the_end(tmp_path: Path) -> None:
    write_samples(tmp_path, odd=240)
    async with JudgingServer(odd="error_500").running() as server:
        result = await run_with(server, tmp_path)

    assert isinstance(result.exception, SetupError)
    assert "could not be judged" in str(result.exception)
    assert server.asked < 40


async def test_a_server_without_logprobs_is_refused_at_once(tmp_path: Path) -> None:
    write_samples(tmp_path)
    async with JudgingServer(review="no_logprobs").running() as server:
        result = await run_with(server, tmp_path)

    assert isinstance(result.exception, SetupError)
    assert "log-probabilities" in str(result.exception)
    assert server.asked == 0


async def test_too_few_samples_are_refused_before_anyone_is_asked(tmp_path: Path) -> None:
    write_samples(tmp_path)
    async with JudgingServer().running() as server:
        result = await run_with(server, tmp_path, "--limit", "60")

    assert isinstance(result.exception, SetupError)
    assert "Too few samples" in str(result.exception)
    assert server.bodies == []


async def test_a_model_that_is_not_served_is_named(tmp_path: Path) -> None:
    write_samples(tmp_path)
    async with JudgingServer().running() as server:
        result = await run_with(server, tmp_path, "--model", "another")

    assert "'another'" in str(result.exception)
    assert server.asked == 0


async def test_a_models_name_is_no_path_and_no_formula(tmp_path: Path) -> None:
    write_samples(tmp_path)
    name = "../$x_{$\\evil$/model"
    async with JudgingServer(model=name).running() as server:
        result = await run_with(server, tmp_path)

    assert result.exit_code == 0, result.output
    (file,) = (tmp_path / "var" / "calibrations").glob("*.json")
    assert only(file.parent).fingerprint.model == name
    assert file.name.startswith("__x_")


async def test_nothing_of_a_sample_is_printed(tmp_path: Path) -> None:
    write_samples(tmp_path)
    async with JudgingServer().running() as server:
        result = await run_with(server, tmp_path)

    assert "Question" not in result.output + result.stderr
    assert "risk=" not in result.output + result.stderr


@pytest.mark.parametrize("prior", ["0", "1", "-1", "nan"])
def test_a_prior_that_is_none_is_refused(tmp_path: Path, prior: str) -> None:
    write_samples(tmp_path)

    result = run(tmp_path, "--prior", prior)

    assert result.exit_code == 2
    assert "--prior" in result.output


def test_a_policy_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    write_samples(tmp_path)

    result = run(tmp_path, "--policy", "nope")

    assert result.exit_code == 2
    assert "support" in result.output


async def test_a_place_that_is_no_folder_is_named(tmp_path: Path) -> None:
    rows = write_samples(tmp_path)
    async with JudgingServer().running() as server:
        result = await run_with(server, tmp_path, "--out", str(tmp_path / "samples.jsonl"))

    assert isinstance(result.exception, SetupError)
    assert "--out must be a folder" in str(result.exception)
    assert len(read_samples(tmp_path / "samples.jsonl").samples) == len(rows) - 3


@pytest.mark.parametrize("module", ["sklearn", "matplotlib"])
def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)

    result = run(tmp_path)

    assert isinstance(result.exception, SetupError)
    assert "inwit[evaluate]" in str(result.exception)


def test_serving_and_the_other_commands_import_none_of_it() -> None:
    code = (
        "import sys, inwit.cli, inwit.serve, inwit.cli.calibrate; "
        "found = {'sklearn', 'matplotlib', 'scipy', 'inwit.evaluation'} & set(sys.modules); "
        "sys.exit(f'imported: {found}' if found else 0)"
    )

    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    assert ended.returncode == 0, ended.stderr
