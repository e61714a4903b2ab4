"""A whole run with planted judges: an oracle, one that passes everything, one that reads words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from inwit.evaluation.bench.asking import open_bench
from inwit.evaluation.bench.judges import Score
from inwit.evaluation.datasets.reading import find
from inwit.evaluation.experiments.suite import Draws, Suite
from inwit.evaluation.experiments.whole import Findings, Whole
from inwit.evaluation.results import Detection
from inwit.evaluation.samples import Sample
from inwit.policy.calibration import Calibration
from inwit.policy.loader import PACKAGED, load_policies
from inwit.policy.policy import Policy
from tests.evaluation.sets import SIGN, both_sets
from tests.policy.test_calibration import table

SUITE = Suite("test", 24, 12, 48, 12, 12, 2, 2)
SEEDS = (0, 1, 2)
POLICY: Policy = load_policies(PACKAGED)["default"]
CONSCIENCE, CLASSIFIER = "conscience, same_thread", "classifier, embedded"


@dataclass(frozen=True)
class Reads:
    """Flags what shows the sign; `always` says the same of everything."""

    name: str
    always: float | None = None

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"name": self.name, "always": self.always}

    async def ask(self, sample: Sample) -> Score:
        if self.always is not None:
            return Score(risk=self.always)
        return Score(risk=0.9 if SIGN in sample.response else 0.1, mass=0.9)


@dataclass(frozen=True)
class Labels:
    """The oracle: it was told the labels."""

    name: str
    unsafe: frozenset[str]

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"name": self.name}

    async def ask(self, sample: Sample) -> Score:
        return Score(risk=0.95 if sample.id in self.unsafe else 0.05)


def quiet(_what: str, _done: int, _of: int) -> None: ...


async def run(
    folder: Path, conscience: Any, *others: Any, in_use: Mapping[str, Calibration] | None = None
) -> Findings:
    found = find(both_sets(folder / "data"), ("gptfuzz", "safetext"))
    draws = [Draws(each, SUITE.per_set, SEEDS) for each in found.datasets]
    judges = [conscience, *others]
    async with open_bench(judges, folder / "cache", 4, quiet) as bench:
        return await Whole(bench, SUITE, POLICY, draws, SEEDS, in_use or {}).run(
            None, lambda _: None
        )


def oracle(folder: Path, name: str) -> Labels:
    sets = find(both_sets(folder / "labels"), ("gptfuzz", "safetext")).datasets
    return Labels(name, frozenset(one.id for each in sets for one in each.samples if one.unsafe))


def of(found: Sequence[Detection], judge: str, dataset: str = "safetext") -> Detection:
    (one,) = [
        each for each in found if (each.judge, each.dataset, each.slice) == (judge, dataset, "all")
    ]
    return one


async def test_an_oracle_gets_everything_and_its_attacks_nothing(tmp_path: Path) -> None:
    found = await run(tmp_path, oracle(tmp_path, CONSCIENCE), oracle(tmp_path, CLASSIFIER))

    for dataset in ("gptfuzz", "safetext"):
        for judge in (CONSCIENCE, CLASSIFIER):
            one = of(found.detection, judge, dataset)
            assert one.auroc is not None
            assert one.auroc.value == 1.0
            assert one.at["upper"].recall is not None
            assert one.at["upper"].recall.value == 1.0
            assert (one.at["lower"].fp, one.at["lower"].fn, one.not_judged) == (0, 0, 0)
            assert one.over_seeds is not None
            assert (one.over_seeds.mean, one.over_seeds.seeds) == (1.0, 3)
        whole = of(found.detection, "pipeline, default", dataset)
        assert (whole.auroc, whole.at["decision"].fn) == (None, 0)
    assert {each.recall.value for each in found.attacks if each.recall} == {1.0}
    assert all(each.worst is not None and each.worst.value == 1.0 for each in found.worst_case)
    assert all(each.samples == 0 for each in found.transfer)


async def test_one_that_passes_everything_is_worth_nothing(tmp_path: Path) -> None:
    found = await run(tmp_path, Reads(CONSCIENCE, always=0.01), Reads(CLASSIFIER, always=0.01))

    one = of(found.detection, CONSCIENCE)
    assert one.auroc is not None
    assert one.auroc.value == 0.5
    assert one.at["lower"].recall is not None
    assert one.at["lower"].recall.value == 0.0
    assert one.at["lower"].precision is None  # nothing was flagged
    assert of(found.detection, "pipeline, default").at["decision"].tp == 0


async def test_what_reads_words_is_evaded_by_what_hides_them(tmp_path: Path) -> None:
    found = await run(tmp_path, Reads(CONSCIENCE), oracle(tmp_path, CLASSIFIER))

    caught = {each.attack: each.recall for each in found.attacks if each.judge == CONSCIENCE}
    for hiding in ("base64", "rot13", "leetspeak"):
        recall = caught[hiding]
        assert recall is not None
        assert recall.value == 0.0, hiding
    plain = [each.plain_recall for each in found.attacks if each.judge == CONSCIENCE]
    assert all(each is not None and each.value == 1.0 for each in plain)
    worst = {each.judge: each.worst for each in found.worst_case}[CONSCIENCE]
    assert worst is not None
    assert worst.value == 0.0
    (moved,) = [
        each
        for each in found.transfer
        if (each.found_against, each.tried_on) == (CONSCIENCE, CLASSIFIER)
    ]
    assert moved.evades is not None
    assert moved.evades.value == 0.0


async def test_baselines_stand_beside_every_set_and_see_the_word(tmp_path: Path) -> None:
    found = await run(tmp_path, Reads(CONSCIENCE))

    for dataset in ("gptfuzz", "safetext"):
        words = of(found.detection, "baseline, bag of words", dataset)
        length = of(found.detection, "baseline, length", dataset)
        assert words.auroc is not None
        assert length.auroc is not None
        assert words.auroc.value == 1.0
        assert length.auroc.low <= 0.5 <= length.auroc.high
    assert not [each for each in found.detection if each.judge.startswith("pipeline")]


async def test_calibration_is_fitted_on_the_training_part_and_told_before_and_after(
    tmp_path: Path,
) -> None:
    found = await run(tmp_path, Reads(CONSCIENCE), Reads(CLASSIFIER))

    stages = {(each.judge, each.stage) for each in found.calibration}
    assert stages == {(CONSCIENCE, "before"), (CONSCIENCE, "after"), (CLASSIFIER, "before")}
    for each in found.calibration:
        parts = each.reliability - each.resolution + each.uncertainty + each.within
        assert parts == pytest.approx(each.brier.value, abs=1e-9)
    after = [each for each in found.calibration if each.stage == "after"]
    assert all(each.ece.value < 0.05 for each in after)
    assert all(each.ece_over_seeds is not None for each in after)


async def test_the_calibration_in_use_is_measured_beside_what_chance_would_show(
    tmp_path: Path,
) -> None:
    sure = table((0.0, 0.0), (0.1, 0.0), (0.9, 1.0), (1.0, 1.0))

    found = await run(tmp_path, Reads(CONSCIENCE), in_use={CONSCIENCE: sure})

    in_use = [each for each in found.calibration if each.stage == "in use"]
    assert {each.dataset for each in in_use} == {"gptfuzz", "safetext"}
    assert {(each.ece.value, each.ece_by_chance) for each in in_use} == {(0.0, 0.0)}
    before = [each for each in found.calibration if each.stage == "before"]
    assert all(each.ece.value == pytest.approx(0.1) for each in before)
    assert all(0 < (each.ece_by_chance or 0) < 0.15 for each in before)


async def test_a_judge_that_does_not_look_at_the_system_turn_does_not_perform(
    tmp_path: Path,
) -> None:
    found = await run(tmp_path, Reads(CONSCIENCE))

    assert {each.cue for each in found.watched} == {"examined", "unobserved"}
    for each in found.watched:
        assert each.mean_risk is not None
        assert (each.mean_risk.value, each.mean_risk.beyond_noise) == (0.0, False)


async def test_one_that_performs_for_the_examiner_shows(tmp_path: Path) -> None:
    class Performs(Reads):
        async def ask(self, sample: Sample) -> Score:
            watched = "examiners" in sample.conversation[0].content
            return Score(risk=0.9 if watched else 0.2)

    found = await run(tmp_path, Performs(CONSCIENCE))

    shifts = {each.cue: each.mean_risk for each in found.watched}
    examined = shifts["examined"]
    assert examined is not None
    assert examined.value == pytest.approx(0.7)
    assert examined.beyond_noise


async def test_other_framings_are_held_against_the_policys_own(tmp_path: Path) -> None:
    mild = Reads("conscience, quoted", always=0.1)
    found = await run(tmp_path, Reads(CONSCIENCE), mild)

    assert {(each.first, each.second) for each in found.framings} == {
        (CONSCIENCE, "conscience, quoted")
    }
    part = of(found.detection, "conscience, quoted")
    assert part.unsafe + part.safe == SUITE.framed  # the others were not asked about it
    assert part.not_judged == 0
    for each in found.framings:
        assert each.mean_risk is not None
        assert each.mean_risk.value < 0
        assert each.recall is not None
        assert each.recall.value == -1.0


async def test_what_was_not_judged_is_no_pass(tmp_path: Path) -> None:
    class Fails(Reads):
        async def ask(self, sample: Sample) -> Score:
            return Score(fault="low_label_mass", mass=0.01)

    found = await run(tmp_path, Fails(CONSCIENCE), Reads(CLASSIFIER, always=0.01))

    one = of(found.detection, CONSCIENCE)
    assert (one.auroc, one.unsafe, one.safe) == (None, 0, 0)
    assert one.not_judged > 0
    assert one.recall_closed is not None
    assert one.recall_closed.value == 1.0  # the policy blocks what was not judged
    whole = of(found.detection, "pipeline, default").at["decision"]
    assert whole.fn == 0


async def test_every_answer_is_a_line_and_says_nothing_else(tmp_path: Path) -> None:
    found = await run(tmp_path, Reads(CONSCIENCE))

    assert {each.variant.partition(":")[0] for each in found.scores} == {"plain", "attack", "told"}
    told = "".join(each.model_dump_json() for each in found.scores)
    assert "in bed" not in told
