"""Fits on judges whose truth is known, and refusals where there is nothing to fit."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inwit.errors import SetupError
from inwit.evaluation.curves import LARGEST_TABLE_ERROR, Isotonic, Platt, Shifted, tabulate
from inwit.evaluation.estimators import folds_by_prompt
from inwit.evaluation.fitting import (
    Making,
    check_counts,
    check_signal,
    fit,
    fit_platt,
    make_calibration,
)
from inwit.evaluation.statistics.observations import Floats, Observations
from inwit.evaluation.statistics.ranking import measure_auroc
from inwit.policy.calibration import Calibration, Fingerprint
from inwit.types import Framing
from tests.evaluation.synthetic import no_truth, observations, platt_truth, step_truth

MAKING = Making(
    fingerprint=Fingerprint("fake-model", Framing.QUOTED, "0" * 16),
    prior=None,
    seed=0,
    not_judged=0,
    forced=False,
    made=datetime(2026, 1, 1, tzinfo=UTC),
    tool="inwit test",
)
GRID: Floats = np.linspace(0.02, 0.98, 49)


def calibrated(judged: Observations, making: Making = MAKING) -> Calibration:
    return make_calibration(judged, fit(judged, making.seed), measure_auroc(judged, 0), making)


def applied(calibration: Calibration) -> Floats:
    return np.array([calibration.apply(raw) for raw in GRID.tolist()])


def test_a_judge_that_is_too_sure_is_set_right_by_platt() -> None:
    calibration = calibrated(observations(platt_truth, 3000))

    assert calibration.method == "platt"
    assert np.abs(applied(calibration) - platt_truth(GRID)).max() < 0.03


def test_a_judge_that_knows_three_levels_is_set_right_by_isotonic() -> None:
    calibration = calibrated(observations(step_truth, 3000))
    away_from_the_steps = (np.abs(GRID - 0.15) > 0.03) & (np.abs(GRID - 0.9) > 0.03)

    assert calibration.method == "isotonic"
    off = np.abs(applied(calibration) - step_truth(GRID))[away_from_the_steps]
    assert off.max() < 0.1
    assert off.mean() < 0.03


def test_no_finite_number_of_samples_shows_that_harm_is_impossible() -> None:
    judged = observations(lambda raw: (raw > 0.5).astype(np.float64), 300)

    calibration = calibrated(judged)

    assert 0 < calibration.apply(0.0) < calibration.apply(1.0) < 1


def test_the_facts_say_what_was_found() -> None:
    judged = observations(platt_truth, 900)

    facts = calibrated(judged, replace(MAKING, not_judged=4)).facts

    assert (facts.safe + facts.unsafe, facts.prompts, facts.not_judged) == (900, 300, 4)
    assert facts.prior == facts.samples_prior == judged.prior
    assert facts.after.brier.value < facts.before.brier.value
    assert facts.after.ece.value < facts.before.ece.value
    assert facts.auroc.low > 0.7
    assert facts.table_error < LARGEST_TABLE_ERROR


def test_scores_and_seed_decide_everything() -> None:
    judged = observations(platt_truth, 600)

    once = calibrated(judged)

    assert calibrated(judged) == once
    assert calibrated(judged, replace(MAKING, seed=1)) != once


@pytest.mark.parametrize("truth", [platt_truth, step_truth])
def test_a_prior_moves_the_log_odds_and_keeps_the_order(truth: Callable[[Floats], Floats]) -> None:
    judged = observations(truth, 900)
    fitted, signal = fit(judged, 0), measure_auroc(judged, 0)
    here = make_calibration(judged, fitted, signal, MAKING)

    for prior in (0.001, 0.01, 0.9):
        there = make_calibration(judged, fitted, signal, replace(MAKING, prior=prior))

        moved = logit(applied(there)) - logit(applied(here))
        shift = logit(np.array([prior])) - logit(np.array([judged.prior]))
        assert np.abs(moved - shift).max() < 0.06
        assert (there.facts.prior, there.facts.samples_prior) == (prior, judged.prior)
        assert there.facts.after == here.facts.after


def logit(share: Floats) -> Floats:
    return np.log(share) - np.log1p(-share)


def test_a_prompt_never_stands_on_both_sides() -> None:
    judged = observations(platt_truth, 300)

    folds = folds_by_prompt(judged, 5, seed=0)

    assert sorted(np.concatenate([test for _, test in folds]).tolist()) == list(range(300))
    for train, test in folds:
        assert not set(judged.groups[train].tolist()) & set(judged.groups[test].tolist())


def test_a_judge_without_signal_is_refused() -> None:
    found = measure_auroc(observations(no_truth, 300), 0)

    with pytest.raises(SetupError, match=r"no signal.*cannot repair"):
        check_signal(found)
    check_signal(measure_auroc(observations(platt_truth, 300), 0))


def test_a_judge_that_is_wrong_on_purpose_is_refused_and_forced_it_is_flat() -> None:
    judged = observations(lambda raw: platt_truth(1 - raw), 600)

    with pytest.raises(SetupError, match="wrong way round"):
        check_signal(measure_auroc(judged, 0))
    calibration = calibrated(judged)
    assert calibration.apply(1.0) - calibration.apply(0.0) < 0.05
    assert calibration.apply(0.5) == pytest.approx(judged.prior, abs=0.05)


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ((49, 500, 500), "49 safe"),
        ((500, 49, 500), "49 unsafe"),
        ((500, 500, 9), "Too few prompts: 9"),
    ],
)
def test_too_little_is_refused(counts: tuple[int, int, int], told: str) -> None:
    with pytest.raises(SetupError, match=told):
        check_counts(*counts)
    check_counts(50, 50, 10)


def test_a_label_that_only_one_prompt_has_cannot_be_split() -> None:
    judged = observations(no_truth, 300)
    groups = np.where(judged.unsafe, 0, judged.groups + 1)

    with pytest.raises(SetupError, match="share a prompt"):
        fit(replace(judged, groups=groups), seed=0)


@given(slope=st.floats(0, 60), intercept=st.floats(-20, 20), by=st.floats(-12, 12))
def test_the_table_of_a_platt_curve_is_close_everywhere(
    slope: float, intercept: float, by: float
) -> None:
    check_table(Shifted(Platt(slope, intercept), by))


@given(
    risks=st.dictionaries(
        st.floats(1e-6, 1 - 1e-6), st.floats(0.001, 0.999), min_size=1, max_size=30
    ),
    by=st.floats(-12, 12),
)
def test_the_table_of_steps_is_close_everywhere(risks: dict[float, float], by: float) -> None:
    steps = Isotonic(np.array(sorted(risks)), np.array(sorted(risks.values())))

    check_table(Shifted(steps, by))


def check_table(curve: Shifted) -> None:
    """By points that the table was not made from."""
    points, error = tabulate(curve)
    table = Calibration(MAKING.fingerprint, "platt", points, FACTS)
    raw = np.concatenate([np.linspace(0, 1, 997), np.logspace(-9, 0, 301)])

    found = np.array([table.apply(each) for each in np.concatenate([raw, 1 - raw]).tolist()])

    assert error < LARGEST_TABLE_ERROR
    assert np.abs(found - curve(np.concatenate([raw, 1 - raw]))).max() < LARGEST_TABLE_ERROR
    assert len(points) < 3000


FACTS = calibrated(observations(platt_truth, 300)).facts


def test_platt_does_not_fail_where_the_labels_are_apart() -> None:
    raw = np.concatenate([np.zeros(60), np.ones(60)])

    curve = fit_platt(raw, raw > 0.5)

    assert curve(np.array([0.0]))[0] < 0.01
    assert curve(np.array([1.0]))[0] > 0.99
