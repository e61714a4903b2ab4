"""The bench: a question is asked once, failures are asked again, a broken judge ends it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inwit.errors import SetupError
from inwit.evaluation.bench.asking import open_bench, risks_of, unsafe_of
from inwit.evaluation.bench.baselines import LENGTH, WORDS, baseline_risks
from inwit.evaluation.bench.cache import open_cache
from inwit.evaluation.bench.judges import Score
from inwit.evaluation.datasets.reading import find
from inwit.evaluation.samples import Sample
from inwit.evaluation.statistics.ranking import auroc
from inwit.types import Fault
from tests.evaluation.sets import SIGN, paired, write_set


@dataclass
class Planted:
    """Knows the sign, and fails as often as it is told."""

    name: str = "planted"
    facts: Mapping[str, Any] = field(default_factory=lambda: {"planted": 1})
    faults: list[Fault] = field(default_factory=list[Fault])
    asked: list[str] = field(default_factory=list[str])

    async def ask(self, sample: Sample) -> Score:
        self.asked.append(sample.digest)
        if self.faults:
            return Score(fault=self.faults.pop().value)
        return Score(risk=0.9 if SIGN in sample.response else 0.1)


def samples(folder: Path, count: int = 10) -> tuple[Sample, ...]:
    write_set(folder, "safetext", paired(count))
    return find(folder, ("safetext",)).datasets[0].test


def quiet(_what: str, _done: int, _of: int) -> None: ...


async def test_a_second_run_asks_nothing_that_was_answered(tmp_path: Path) -> None:
    some = samples(tmp_path / "data")
    for judge in (
        first := Planted(faults=[Fault.TIMEOUT]),
        second := Planted(),
        third := Planted(),
    ):
        async with open_bench([judge], tmp_path / "cache", 3, quiet) as bench:
            scores = await bench.scores("planted", [*some, some[0]], "all")
            assert len(scores) == len(some) + 1
            assert bench.counts["asked"] == len(judge.asked)

    assert len(first.asked) == len(some)  # the same sample twice is one question
    assert len(second.asked) == 1  # what failed for the moment is asked again
    assert third.asked == []


async def test_a_lasting_fault_is_an_answer(tmp_path: Path) -> None:
    some = samples(tmp_path / "data")
    judge = Planted(faults=[Fault.DOES_NOT_FIT])
    async with open_bench([judge], tmp_path / "cache", 1, quiet) as bench:
        scores = await bench.scores("planted", some, "all")
    async with open_bench([again := Planted()], tmp_path / "cache", 1, quiet) as bench:
        assert await bench.scores("planted", some, "all") == scores

    assert again.asked == []
    assert sum(score.fault is not None for score in scores) == 1
    assert np.isnan(risks_of(scores)).sum() == 1  # not a number, and not 0


async def test_another_judge_has_answers_of_its_own(tmp_path: Path) -> None:
    some = samples(tmp_path / "data")
    for version in (1, 2):
        judge = Planted(facts={"planted": version})
        async with open_bench([judge], tmp_path / "cache", 2, quiet) as bench:
            await bench.scores("planted", some, "all")
        assert len(judge.asked) == len(some)


async def test_a_judge_that_only_fails_ends_the_run_and_what_it_said_is_kept(
    tmp_path: Path,
) -> None:
    some = samples(tmp_path / "data", 40)
    judge = Planted(faults=[*[Fault.UPSTREAM] * 100])
    async with open_bench([judge], tmp_path / "cache", 4, quiet) as bench:
        with pytest.raises(SetupError, match="planted failed"):
            await bench.scores("planted", some, "all")
    assert len(judge.asked) < len(some)


def test_a_line_that_was_cut_off_is_written_anew(tmp_path: Path) -> None:
    with open_cache(tmp_path, "one", {"a": 1}) as cache:
        cache.put("whole", {"risk": 0.5})
    (file,) = tmp_path.iterdir()
    file.write_text(file.read_text() + '{"key": "cut", "ri')

    with open_cache(tmp_path, "one", {"a": 1}) as cache:
        assert (cache.get("whole"), cache.get("cut")) == ({"risk": 0.5}, None)
        cache.put("cut", {"risk": 0.1})

    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line.get("key") for line in lines] == [None, "whole", "cut"]


def test_two_runs_do_not_ask_one_judge(tmp_path: Path) -> None:
    with (
        open_cache(tmp_path, "one", {"a": 1}),
        pytest.raises(SetupError, match="Another run"),
        open_cache(tmp_path, "one", {"a": 1}),
    ):
        pass


def test_the_baselines_know_words_and_length_and_no_tested_prompt(tmp_path: Path) -> None:
    some = samples(tmp_path, 40)
    tested = [each for each in some if each.group < 10]

    found = baseline_risks(some, tested, seed=0)

    unsafe = unsafe_of(tested)
    assert auroc(found[WORDS], unsafe) == 1.0
    assert 0.2 < auroc(found[LENGTH], unsafe) < 0.8
    assert baseline_risks(tested, tested, seed=0) == {}
