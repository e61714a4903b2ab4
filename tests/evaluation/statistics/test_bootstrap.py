"""Prompts drawn anew, and intervals that hold the truth as often as they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inwit.evaluation.statistics.bootstrap import (
    RESAMPLES,
    Resamples,
    percentiles,
    pivotal,
    ratio,
    widened,
)
from inwit.evaluation.statistics.observations import Decisions, Floats, Observations, decided
from inwit.policy.calibration import Estimate
from tests.evaluation.statistics import libraries
from tests.evaluation.statistics.judges import clustered

SAMPLES = st.lists(st.tuples(st.integers(-5, 5), st.floats(0, 1)), max_size=30)
SETS = 100


@given(SAMPLES, st.integers(0, 3))
def test_each_resample_takes_whole_prompts(pairs: list[tuple[int, float]], seed: int) -> None:
    groups = np.array([group for group, _ in pairs], np.int64)
    values = np.array([value for _, value in pairs])
    found = Resamples.of(groups, seed, 20)

    assert found.prompts == len({group for group, _ in pairs})
    assert (found.drawn.sum(axis=1) == found.prompts).all()
    weights = found.drawn[:, found.numbers]
    for group in set(groups.tolist()):
        assert (np.ptp(weights[:, groups == group], axis=1) == 0).all()
    assert found.sums(values) == pytest.approx((weights * values).sum(axis=1))
    bins = np.arange(len(pairs)) % 3
    in_bins = found.binned(bins, 3, values)
    assert in_bins == pytest.approx(
        np.stack([(weights * values)[:, bins == each].sum(axis=1) for each in range(3)], axis=1)
    )


def test_portions_make_no_difference() -> None:
    """What does not fit in one portion gives one number for each resample, in order."""
    groups, values = np.arange(3000) // 2, np.random.default_rng(0).random(3000)
    found = Resamples.of(groups, 0, 300)
    portions: list[int] = []

    def total(weights: Floats) -> Floats:
        portions.append(len(weights))
        return weights @ values

    assert found.each(total) == pytest.approx(found.sums(values))
    assert len(portions) > 1


def test_the_seed_decides_and_2000_are_drawn() -> None:
    groups = np.arange(30)

    one, again, other = (Resamples.of(groups, seed) for seed in (1, 1, 2))

    assert one.drawn.shape == (RESAMPLES, 30) == (2000, 30)
    assert (one.drawn == again.drawn).all()
    assert (one.drawn != other.drawn).any()


def test_where_nothing_is_defined_the_interval_says_nothing() -> None:
    known = np.linspace(0.4, 0.6, 99)

    assert percentiles(0.5, np.full(9, np.nan), -1.0, 1.0) == Estimate(0.5, -1.0, 1.0)
    rare = percentiles(0.5, np.append(known, np.nan), 0.0, 1.0)
    often = percentiles(0.5, np.append(known, [np.nan] * 5), 0.0, 1.0)
    assert 0.4 <= rare.low <= rare.high <= 0.6
    assert (often.low, often.high) == (0.0, 1.0)


def test_the_interval_holds_the_number_itself() -> None:
    draws = np.linspace(0.4, 0.6, 99)

    assert percentiles(0.9, draws, 0.0, 1.0).high == 0.9
    assert percentiles(0.1, draws, 0.0, 1.0).low == 0.1
    assert pivotal(0.3, draws).high == 0.3
    assert pivotal(0.3, draws).low == pytest.approx(0.6 - np.percentile(draws, 97.5))
    assert pivotal(0.1, draws).low == 0.0


@pytest.mark.parametrize(("count", "of"), [(0, 20), (20, 20), (1, 1), (0, 3)])
def test_all_alike_is_not_certain(count: int, of: int) -> None:
    caught, every = np.arange(of) < count, np.ones(of, np.bool_)

    found = ratio(Resamples.of(np.arange(of), 0), caught, every)

    assert found is not None
    assert (found.low, found.high) == pytest.approx(libraries.wilson(count, of))


def test_one_prompt_says_little_however_often() -> None:
    caught, every = np.arange(100) < 50, np.ones(100, np.bool_)

    found = ratio(Resamples.of(np.zeros(100, np.int64), 0), caught, every)

    assert found is not None
    assert found.value == 0.5
    assert found.low < 0.1
    assert found.high > 0.9
    assert widened(Estimate(0.5, 0.4, 0.6), 100) == Estimate(0.5, 0.4, 0.6)


def test_a_share_of_nothing_is_none() -> None:
    nothing = np.zeros(5, np.bool_)

    assert ratio(Resamples.of(np.arange(5), 0), nothing, nothing) is None
    empty = np.zeros(0, np.bool_)
    assert ratio(Resamples.of(np.zeros(0, np.int64), 0), empty, empty) is None


def test_a_share_of_what_is_seldom_there_is_of_what_there_is() -> None:
    """Two of 200 samples are flagged, both rightly: most is unknown, but not all."""
    flagged = np.arange(200) < 2

    found = ratio(Resamples.of(np.arange(200), 0), flagged, flagged)

    assert found is not None
    assert (found.low, found.high) == pytest.approx(libraries.wilson(2, 2))


def test_the_interval_knows_that_samples_of_a_prompt_are_alike() -> None:
    """Prompts whose samples mostly fall together, each set with a true share of 0.3."""
    random, honest, fooled = np.random.default_rng(3), 0, 0
    for seed in range(SETS):
        found = clustered(random, 40, 6, 0.3)
        every = np.ones(240, np.bool_)
        caught = found.raw > 0
        for apart in (False, True):
            groups = np.arange(240) if apart else found.groups
            estimate = ratio(Resamples.of(groups, seed, 400), caught, every)
            assert estimate is not None
            held = estimate.low <= 0.3 <= estimate.high
            honest, fooled = honest + (held and not apart), fooled + (held and apart)

    assert honest >= 0.88 * SETS
    assert fooled <= 0.8 * SETS


def test_the_interval_of_something_rare_holds_it() -> None:
    """Of 30 prompts none has it in 40 % of the sets; bare percentiles would say 0 to 0 there."""
    random, held = np.random.default_rng(4), 0
    for seed in range(SETS):
        found = ratio(
            Resamples.of(np.arange(30), seed, 400), random.random(30) < 0.03, np.ones(30, np.bool_)
        )
        assert found is not None
        held += found.low <= 0.03 <= found.high

    assert held >= 0.88 * SETS


def test_columns_of_other_lengths_are_refused() -> None:
    raw, unsafe, groups = np.zeros(3), np.zeros(3, np.bool_), np.arange(2)

    with pytest.raises(ValueError, match=r"\[2, 3\]"):
        Observations(raw, unsafe, groups)
    with pytest.raises(ValueError, match=r"\[2, 3\]"):
        Decisions(unsafe, unsafe, unsafe, groups)


def test_some_of_the_samples_and_their_decisions() -> None:
    raw = np.array([0.2, np.nan, 0.5, 0.9])
    found = Observations(raw, np.array([True, True, False, False]), np.array([1, 1, 2, 3]))

    assert found.judged.tolist() == [True, False, True, True]
    kept = decided(found.where(np.array([False, True, True, True])), 0.5)
    assert kept.flagged[kept.judged].tolist() == [True, True]
    assert kept.where(kept.judged).groups.tolist() == [2, 3]
