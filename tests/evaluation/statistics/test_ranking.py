"""Ranking figures against their definitions and scikit-learn, and intervals that know prompts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inwit.evaluation.statistics.bootstrap import Resamples, percentiles
from inwit.evaluation.statistics.observations import Bools, Floats, Observations
from inwit.evaluation.statistics.ranking import (
    Curve,
    Ranking,
    auroc,
    average_precision,
    measure_auroc,
)
from tests.evaluation.statistics import libraries
from tests.evaluation.statistics.judges import RISKS, arrays, auroc_of_shift, beyond, shifted
from tests.evaluation.synthetic import no_truth, observations, platt_truth

SETS = 80


def curve(risks: Floats, unsafe: Bools) -> Curve:
    return Ranking.of(risks, unsafe).curve(np.ones((1, len(risks))))


@given(RISKS)
def test_auroc_is_the_share_of_pairs_in_the_right_order(pairs: list[tuple[int, bool]]) -> None:
    risks, unsafe = arrays(pairs)
    wins = [
        1.0 if high > low else 0.5 if high == low else 0.0
        for high in risks[unsafe]
        for low in risks[~unsafe]
    ]

    found = auroc(risks, unsafe)

    assert found == pytest.approx(np.mean(wins)) if wins else np.isnan(found)


@given(RISKS, st.data())
def test_areas_are_what_scikit_learn_says_with_ties_and_weights(
    pairs: list[tuple[int, bool]], data: st.DataObject
) -> None:
    risks, unsafe = arrays(pairs)
    copies = np.array([data.draw(st.integers(1, 3)) for _ in pairs], np.float64)
    weighted = Ranking.of(risks, unsafe).curve(np.stack([np.ones(len(pairs)), copies]))
    if unsafe.all() or not unsafe.any():
        assert np.isnan([weighted.auroc, weighted.average_precision]).all()
        return

    assert auroc(risks, unsafe) == pytest.approx(libraries.auroc(risks, unsafe))
    assert average_precision(risks, unsafe) == pytest.approx(
        libraries.average_precision(risks, unsafe)
    )
    assert weighted.auroc[1] == pytest.approx(libraries.auroc(risks, unsafe, copies))
    assert weighted.average_precision[1] == pytest.approx(
        libraries.average_precision(risks, unsafe, copies)
    )


@given(RISKS, st.data())
def test_a_weight_is_a_number_of_copies(pairs: list[tuple[int, bool]], data: st.DataObject) -> None:
    risks, unsafe = arrays(pairs)
    copies = np.array([data.draw(st.integers(0, 3)) for _ in pairs])
    many = curve(np.repeat(risks, copies), np.repeat(unsafe, copies))

    weighted = Ranking.of(risks, unsafe).curve(copies[None, :].astype(np.float64))

    assert weighted.auroc == pytest.approx(many.auroc, nan_ok=True)
    assert weighted.average_precision == pytest.approx(many.average_precision, nan_ok=True)
    for most in (0.0, 0.3):
        assert weighted.recall_at(most) == pytest.approx(many.recall_at(most), nan_ok=True)


@given(RISKS, st.sampled_from([0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0]))
def test_recall_at_a_rate_is_the_best_point_of_the_roc_curve(
    pairs: list[tuple[int, bool]], most: float
) -> None:
    risks, unsafe = arrays(pairs)
    found = curve(risks, unsafe).recall_at(most)[0]
    if unsafe.all() or not unsafe.any():
        assert np.isnan(found)
    else:
        assert found == pytest.approx(libraries.recall_at(risks, unsafe, most))


def test_a_rate_that_is_met_exactly_is_met() -> None:
    """Five of 100 safe samples are 5 %, whatever floats make of that."""
    risks = np.concatenate([np.full(5, 0.9), np.full(95, 0.1), np.full(10, 0.8)])
    unsafe = np.arange(110) >= 100

    assert curve(risks, unsafe).recall_at(0.05)[0] == 1.0
    assert curve(risks, unsafe).recall_at(0.04)[0] == 0.0


def test_precision_by_hand() -> None:
    """Three steps: one right, one wrong, then a tie of one right and one wrong."""
    risks = np.array([0.9, 0.8, 0.5, 0.5])
    unsafe = np.array([True, False, True, False])

    assert average_precision(risks, unsafe) == pytest.approx(1 / 2 * 1 + 1 / 2 * 2 / 4)
    assert auroc(risks, unsafe) == pytest.approx((2 + 0.5 + 0) / 4)


def test_what_was_not_judged_has_no_rank() -> None:
    raw, unsafe = np.array([0.1, np.nan]), np.array([True, False])

    with pytest.raises(ValueError, match="1 of 2 samples were not judged"):
        auroc(raw, unsafe)
    with pytest.raises(ValueError, match="not judged"):
        measure_auroc(Observations(raw, unsafe, np.arange(2)), 0)


def test_copies_within_a_prompt_add_no_certainty() -> None:
    once = observations(platt_truth, 120)
    prompts = np.arange(120)
    single = Observations(once.raw, once.unsafe, prompts)
    copied = Observations(np.repeat(once.raw, 9), np.repeat(once.unsafe, 9), np.repeat(prompts, 9))
    apart = Observations(copied.raw, copied.unsafe, np.arange(9 * 120))

    honest, fooled = measure_auroc(copied, 0), measure_auroc(apart, 0)

    assert honest == measure_auroc(single, 0)
    assert fooled.high - fooled.low < (honest.high - honest.low) / 2


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    found = [measure_auroc(observations(no_truth, 150, seed), seed) for seed in range(25)]

    assert sum(each.low <= 0.5 <= each.high for each in found) >= 20


def test_the_intervals_of_a_judge_with_signal_hold_the_truth() -> None:
    """Normal risks apart by 1.5: AUROC, AUPRC and recall at 5 % are known."""
    grid = np.linspace(-6, 8, 20_001)
    recall = np.vectorize(beyond)(grid - 1.5)
    # A quarter of the samples is unsafe.
    precision = recall / np.maximum(recall + 3 * np.vectorize(beyond)(grid), 1e-300)
    truths = [auroc_of_shift(1.5), -np.trapezoid(precision, recall), beyond(1.6448536 - 1.5)]
    random, held = np.random.default_rng(5), np.zeros(3)
    for seed in range(SETS):
        each = shifted(random, 240, 1.5, 0.25)
        ranking, resamples = Ranking.of(each.raw, each.unsafe), Resamples.of(each.groups, seed, 400)

        def figures(weights: Floats, ranking: Ranking = ranking) -> Floats:
            drawn = ranking.curve(weights)
            return np.stack([drawn.auroc, drawn.average_precision, drawn.recall_at(0.05)], axis=1)

        points, draws = figures(np.ones((1, 240)))[0], resamples.each(figures)
        found = [percentiles(float(p), d, 0.0, 1.0) for p, d in zip(points, draws.T, strict=True)]
        held += [each.low <= t <= each.high for each, t in zip(found, truths, strict=True)]

    assert (held >= 0.88 * SETS).all(), held
