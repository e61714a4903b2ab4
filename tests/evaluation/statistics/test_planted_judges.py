"""Judges that are planted, and the figures they must get."""

import numpy as np
import pytest

from inwit.evaluation.statistics.calibration_error import decompose, measure_quality
from inwit.evaluation.statistics.detection import Detection, detect
from inwit.evaluation.statistics.observations import Bools, Floats, Integers, Observations
from inwit.evaluation.statistics.paired import paired_difference

# 400 prompts with two responses each, a third of them unsafe.
COUNT = 800
GROUPS: Integers = np.repeat(np.arange(COUNT // 2), 2)
UNSAFE: Bools = np.random.default_rng(20).random(COUNT) < 1 / 3
PRIOR = float(UNSAFE.mean())
# Characters: the unsafe responses are the longer ones, all of them.
LENGTHS: Floats = np.where(UNSAFE, 500.0, 100.0) + np.arange(COUNT, dtype=np.float64) % 300
THRESHOLDS = {"lower": 0.3, "upper": 0.7}


def judged_by(risks: Floats) -> Observations:
    return Observations(risks, UNSAFE, GROUPS)


def told(risks: Floats) -> Detection:
    return detect(judged_by(risks), THRESHOLDS, 0)


def test_one_that_calls_everything_safe_catches_nothing() -> None:
    found = told(np.zeros(COUNT))

    assert str(found.auroc) == "0.500 [0.500, 0.500]"
    assert found.auprc is not None
    assert found.auprc.value == pytest.approx(PRIOR)
    for each in found.at.values():
        assert each.precision is None  # nothing is flagged
        assert each.recall is not None
        assert each.false_positive_rate is not None
        assert each.f1 is not None
        assert (each.recall.value, each.false_positive_rate.value, each.f1.value) == (0, 0, 0)
        assert (each.tp, each.fp) == (0, 0)
        assert 0 < each.recall.high < 0.05
    assert [each.value for each in found.recall_at.values() if each is not None] == [0, 0]
    # And looks well calibrated where harm is rare: the share of harm is all its error.
    assert measure_quality(np.zeros(COUNT), judged_by(np.zeros(COUNT)), 0).ece.value == (
        pytest.approx(PRIOR)
    )


def test_one_that_says_one_number_ranks_nothing_and_may_be_calibrated() -> None:
    risks = np.full(COUNT, PRIOR)

    found, parts = told(risks), decompose(risks, judged_by(risks), 0)

    assert str(found.auroc) == "0.500 [0.500, 0.500]"
    assert found.at["lower"].recall is not None
    assert found.at["lower"].precision is not None
    assert found.at["lower"].recall.value == 1
    assert found.at["lower"].precision.value == pytest.approx(PRIOR)
    assert measure_quality(risks, judged_by(risks), 0).ece.value == pytest.approx(0, abs=1e-9)
    assert parts.reliability.value == pytest.approx(0, abs=1e-9)
    assert parts.resolution.value == pytest.approx(0, abs=1e-9)
    assert parts.brier.value == pytest.approx(parts.uncertainty.value)


def test_one_that_guesses_is_about_chance() -> None:
    found = told(np.random.default_rng(21).random(COUNT))

    assert found.auroc is not None
    assert found.auprc is not None
    assert found.auroc.low < 0.5 < found.auroc.high
    assert found.auprc.low < PRIOR < found.auprc.high
    lower = found.at["lower"]
    assert lower.recall is not None
    assert lower.false_positive_rate is not None
    assert lower.precision is not None
    assert lower.recall.low < 0.7 < lower.recall.high
    assert lower.false_positive_rate.low < 0.7 < lower.false_positive_rate.high
    assert lower.precision.low < PRIOR < lower.precision.high


def test_an_oracle_gets_everything_right_and_is_not_called_certain() -> None:
    found = told(UNSAFE.astype(np.float64))

    assert found.auroc is not None
    assert found.auprc is not None
    assert (found.auroc.value, found.auprc.value) == (1, 1)
    assert 0.97 < found.auroc.low < 1
    for each in found.at.values():
        assert (each.fp, each.fn) == (0, 0)
        for figure in (each.precision, each.recall, each.f1):
            assert figure is not None
            assert (figure.value, figure.high) == (1, 1)
            assert 0.97 < figure.low < 1
        assert each.false_positive_rate is not None
        assert each.false_positive_rate.value == 0
    assert [x.value for x in found.recall_at.values() if x is not None] == [1, 1]
    parts = decompose(UNSAFE.astype(np.float64), judged_by(LENGTHS), 0)
    assert parts.brier.value == parts.reliability.value == 0
    assert parts.resolution.value == pytest.approx(parts.uncertainty.value)


def test_the_opposite_of_an_oracle_gets_everything_wrong() -> None:
    found = told((~UNSAFE).astype(np.float64))

    assert found.auroc is not None
    assert found.auroc.value == 0
    assert found.at["upper"].recall is not None
    assert found.at["upper"].recall.value == 0
    assert found.at["upper"].fp == int((~UNSAFE).sum())


def test_one_that_measures_length_is_an_oracle_where_length_is_the_label() -> None:
    """The trap: by length alone, and perfect. Only a baseline beside it shows that."""
    long = told(LENGTHS)
    short = detect(judged_by(-LENGTHS), THRESHOLDS, 0)

    assert long.auroc is not None
    assert short.auroc is not None
    assert (long.auroc.value, short.auroc.value) == (1, 0)
    # Characters are no risks: all of them are above any threshold of a policy.
    assert (long.at["upper"].fn, long.at["upper"].tn) == (0, 0)


def test_one_that_measures_length_is_lost_where_length_says_nothing() -> None:
    shuffled = np.random.default_rng(25).permutation(LENGTHS)

    found = told(shuffled)

    assert found.auroc is not None
    assert found.auroc.low < 0.5 < found.auroc.high


def test_the_oracle_is_better_than_one_that_guesses_beyond_noise() -> None:
    guess, oracle = np.random.default_rng(23).random(COUNT), UNSAFE.astype(np.float64)

    found = paired_difference(judged_by(guess), judged_by(oracle), 0, (0.7, 0.7))
    again = paired_difference(
        judged_by(guess), judged_by(np.random.default_rng(24).random(COUNT)), 0, (0.7, 0.7)
    )

    assert found.auroc is not None
    assert found.recall is not None
    assert found.false_positive_rate is not None
    assert again.auroc is not None
    assert found.auroc.beyond_noise
    assert found.recall.low > 0
    assert found.false_positive_rate.high < 0
    assert not again.auroc.beyond_noise
