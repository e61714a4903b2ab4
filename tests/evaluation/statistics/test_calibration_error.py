"""Calibration error and the Brier score against their definitions and scikit-learn."""

from dataclasses import astuple, fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inwit.evaluation.statistics.calibration_error import (
    BINS,
    Decomposition,
    brier,
    decompose,
    ece,
    ece_by_chance,
    equal_mass,
    equal_width,
    measure_quality,
    reliability,
)
from inwit.evaluation.statistics.observations import Bools, Floats, Observations
from inwit.policy.calibration import Estimate
from tests.evaluation.statistics import libraries
from tests.evaluation.statistics.judges import single
from tests.evaluation.synthetic import no_truth, observations, platt_truth

SETS = 60
RISKS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


def values(found: Decomposition) -> dict[str, float]:
    return {each.name: getattr(found, each.name).value for each in fields(found)}


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


def test_bins_and_scores_are_what_scikit_learn_says() -> None:
    judged = observations(platt_truth, 900)
    mean, share = libraries.calibration_curve(judged.raw, judged.unsafe, BINS)

    found = reliability(judged.raw, judged.unsafe)

    assert [each.risk for each in found] == pytest.approx(mean)
    assert [each.unsafe for each in found] == pytest.approx(share)
    counts = np.array([each.count for each in found])
    error = ece(judged.raw, judged.unsafe, equal_width(judged.raw))
    assert error == pytest.approx(np.average(np.abs(mean - share), weights=counts))
    assert brier(judged.raw, judged.unsafe) == pytest.approx(
        libraries.brier(judged.raw, judged.unsafe)
    )


@given(RISKS)
def test_the_parts_of_the_brier_score_are_what_their_definitions_say(
    pairs: list[tuple[float, bool]],
) -> None:
    risks, unsafe = np.array([p for p, _ in pairs]), np.array([u for _, u in pairs])

    found = values(decompose(risks, single(risks, unsafe), 0, 20))

    assert found["brier"] == pytest.approx(brier(risks, unsafe))
    assert found["uncertainty"] == pytest.approx(np.var(unsafe))
    expected = by_bins(risks, unsafe)
    assert [found[name] for name in ("reliability", "resolution", "within")] == pytest.approx(
        expected, abs=1e-9
    )
    parts = found["reliability"] - found["resolution"] + found["uncertainty"] + found["within"]
    assert parts == pytest.approx(found["brier"])


def by_bins(risks: Floats, unsafe: Bools) -> list[float]:
    """Reliability, resolution, and variance less twice the covariance within bins, by loop."""
    found, bins = np.zeros(3), equal_mass(risks)
    for number in np.unique(bins):
        risk, harm = risks[bins == number], unsafe[bins == number].astype(float)
        variance = float(np.var(risk))
        covariance = float(((risk - risk.mean()) * (harm - harm.mean())).mean())
        off, apart = float(risk.mean() - harm.mean()), float(harm.mean() - unsafe.mean())
        parts = [off**2, apart**2, variance - 2 * covariance]
        found += len(risk) / len(risks) * np.array(parts)
    return found.tolist()


def test_the_parts_by_hand() -> None:
    """Risks of two values, as Murphy had them: nothing is left within bins."""
    risks = np.array([0.2] * 10 + [0.8] * 10)
    unsafe = np.array([True] * 4 + [False] * 6 + [True] * 9 + [False])

    found = values(decompose(risks, single(risks, unsafe), 0))

    assert found["reliability"] == pytest.approx((0.2**2 + 0.1**2) / 2)
    assert found["resolution"] == pytest.approx(0.25**2)
    assert found["uncertainty"] == pytest.approx(0.65 * 0.35)
    assert found["within"] == pytest.approx(0.0)


def test_a_judge_that_says_one_thing_resolves_nothing() -> None:
    judged = observations(no_truth, 300)

    found = decompose(np.full(300, 0.5), judged, 0)

    assert found.resolution.value == pytest.approx(0.0)
    assert found.resolution.high == pytest.approx(0.0)
    assert found.brier.value == 0.25


def test_copies_within_a_prompt_add_no_certainty() -> None:
    once = observations(platt_truth, 120)
    prompts = np.arange(120)
    alone = Observations(once.raw, once.unsafe, prompts)
    copied = Observations(np.repeat(once.raw, 9), np.repeat(once.unsafe, 9), np.repeat(prompts, 9))

    for measure in (measure_quality, decompose):
        whole, part = (measure(each.raw, each, 0) for each in (copied, alone))
        for field in fields(whole):
            one, other = getattr(whole, field.name), getattr(part, field.name)
            assert astuple(one) == pytest.approx(astuple(other), abs=1e-9)


def test_the_interval_of_a_mean_is_about_the_normal_one() -> None:
    judged = observations(platt_truth, 1000)
    alone = single(judged.raw, judged.unsafe)

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


def test_chance_alone_shows_an_error_that_falls_with_the_samples() -> None:
    few, many = (observations(platt_truth, count, seed=5) for count in (60, 6000))
    shown = [ece_by_chance(platt_truth(each.raw), 0) for each in (few, many)]

    assert shown[0] > 0.05
    assert shown[1] == pytest.approx(shown[0] / 10, rel=0.4)
    calibrated = platt_truth(few.raw)
    found = ece(calibrated, few.unsafe, equal_width(calibrated))
    assert found < 2 * shown[0]
    assert ece_by_chance(np.array([0.0, 1.0]), 0) == 0.0


def test_the_parts_tell_calibration_from_discrimination() -> None:
    judged = observations(platt_truth, 900, seed=5)

    before = decompose(judged.raw, judged, 0)
    after = decompose(platt_truth(judged.raw), judged, 0)

    assert before.reliability.low > 0.005
    assert after.reliability.low == 0.0
    assert after.resolution.value == pytest.approx(before.resolution.value, abs=1e-3)
    assert after.uncertainty == before.uncertainty
    for found in (before, after):
        for field in fields(found):
            estimate = getattr(found, field.name)
            assert estimate.low <= estimate.value <= estimate.high


def test_the_interval_of_the_brier_score_holds_the_truth() -> None:
    """For a calibrated judge it is the mean of p (1 - p), here over 200,000 risks."""
    held = 0
    many: Floats = platt_truth(observations(platt_truth, 200_000).raw)
    truth = float(np.mean(many * (1 - many)))
    for seed in range(SETS):
        judged = observations(platt_truth, 150, 1000 + seed)
        found = decompose(platt_truth(judged.raw), judged, seed, 400).brier
        held += found.low <= truth <= found.high

    assert held >= 0.88 * SETS


def test_the_intervals_of_the_parts_hold_the_truth() -> None:
    """Of a judge that says 0.3 or 0.7 where harm comes in 0.1 or 0.9 of the cases."""
    truth = {"reliability": 0.04, "resolution": 0.16}
    random, held = np.random.default_rng(14), dict.fromkeys(truth, 0)
    for seed in range(SETS):
        high = random.random(150) < 0.5
        unsafe = random.random(150) < np.where(high, 0.9, 0.1)
        found = decompose(np.where(high, 0.7, 0.3), single(np.zeros(150), unsafe), seed, 400)
        for name, value in truth.items():
            each: Estimate = getattr(found, name)
            held[name] += each.low <= value <= each.high

    assert all(count >= 0.85 * SETS for count in held.values()), held


def test_what_was_not_judged_has_no_error() -> None:
    raw = np.array([0.1, np.nan])
    judged = Observations(raw, np.array([True, False]), np.arange(2))

    for measure in (measure_quality, decompose):
        with pytest.raises(ValueError, match="1 of 2 samples were not judged"):
            measure(judged.raw, judged, 0)
