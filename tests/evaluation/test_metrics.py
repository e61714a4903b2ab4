"""Metrics against their definitions, and intervals that know prompts."""

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inwit.evaluation.metrics import (
    Bools,
    Floats,
    Observations,
    auroc,
    brier,
    ece,
    equal_mass,
    equal_width,
    measure_auroc,
    measure_quality,
)
from tests.evaluation.synthetic import no_truth, observations, platt_truth

RISKS = st.lists(st.tuples(st.integers(0, 10), st.booleans()), min_size=2, max_size=30)


def arrays(pairs: list[tuple[int, bool]]) -> tuple[Floats, Bools]:
    return np.array([risk / 10 for risk, _ in pairs]), np.array([unsafe for _, unsafe in pairs])


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
def test_a_weight_is_a_number_of_copies(pairs: list[tuple[int, bool]], data: st.DataObject) -> None:
    risks, unsafe = arrays(pairs)
    copies = np.array([data.draw(st.integers(1, 3)) for _ in pairs])
    many = (np.repeat(risks, copies), np.repeat(unsafe, copies))

    weighted = auroc(risks, unsafe, copies.astype(np.float64))

    assert weighted == pytest.approx(auroc(*many), nan_ok=True)


def test_ece_by_hand() -> None:
    """Two bins: one off by .1 with 3 of 4 samples, one off by .5 with the fourth."""
    risks = np.array([0.1, 0.1, 0.1, 0.5])
    unsafe = np.array([False, False, False, True])

    assert ece(risks, unsafe, equal_width(risks)) == pytest.approx(0.75 * 0.1 + 0.25 * 0.5)
    assert brier(risks, unsafe) == pytest.approx((3 * 0.01 + 0.25) / 4)


def test_bins_hold_the_ends_and_keep_ties_together() -> None:
    assert equal_width(np.array([0.0, 1 / 15, 1.0])).tolist() == [0, 1, 14]
    ties = np.array([0.2] * 50 + [0.8] * 50)
    assert len(set(equal_mass(ties)[:50].tolist())) == 1
    even = np.bincount(equal_mass(np.linspace(0, 1, 150)))
    assert (len(even), even.min(), even.max()) == (15, 10, 10)


def test_copies_within_a_prompt_add_no_certainty() -> None:
    once = observations(platt_truth, 120)
    prompts = np.arange(120)
    single = Observations(once.raw, once.unsafe, prompts)
    copied = Observations(np.repeat(once.raw, 9), np.repeat(once.unsafe, 9), np.repeat(prompts, 9))
    apart = Observations(copied.raw, copied.unsafe, np.arange(9 * 120))

    honest, fooled = measure_auroc(copied, 0), measure_auroc(apart, 0)

    assert honest == measure_auroc(single, 0)
    whole, part = (measure_quality(each.raw, each, 0) for each in (copied, single))
    for name in ("brier", "ece", "ece_adaptive"):
        one, other = getattr(whole, name), getattr(part, name)
        assert astuple(one) == pytest.approx(astuple(other))
    assert fooled.high - fooled.low < (honest.high - honest.low) / 2


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    found = [measure_auroc(observations(no_truth, 150, seed), seed) for seed in range(25)]

    assert sum(each.low <= 0.5 <= each.high for each in found) >= 20


def test_the_interval_of_a_mean_is_about_the_normal_one() -> None:
    judged = observations(platt_truth, 1000)
    alone = Observations(judged.raw, judged.unsafe, np.arange(1000))

    found = measure_quality(judged.raw, alone, 0).brier

    error = np.std((judged.raw - judged.unsafe) ** 2) / np.sqrt(1000)
    assert found.value == brier(judged.raw, judged.unsafe)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.1)


def test_the_calibration_error_of_a_calibrated_judge_reaches_down_to_nothing() -> None:
    judged = observations(platt_truth, 900, seed=5)

    after = measure_quality(platt_truth(judged.raw), judged, 0)
    before = measure_quality(judged.raw, judged, 0)

    assert after.ece.low == 0.0
    assert before.ece.low > 0.02
    assert before.ece_adaptive.low > 0.02
    assert after.brier.value < before.brier.value
    for estimate in (before.brier, before.ece, after.ece, after.ece_adaptive):
        assert estimate.low <= estimate.value <= estimate.high
