"""The mean over seeds and its interval."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inwit.evaluation.statistics.seeds import OverSeeds, over_seeds
from tests.evaluation.statistics import libraries

SETS = 400


@given(st.lists(st.integers(0, 100).map(lambda n: n / 100), min_size=2, max_size=12))
def test_the_interval_is_the_one_of_scipy(figures: list[float]) -> None:
    found = over_seeds(figures)

    assert found.mean == pytest.approx(np.mean(figures))
    assert found.deviation == pytest.approx(np.std(figures, ddof=1))
    if len(set(figures)) > 1:
        assert (found.low, found.high) == pytest.approx(libraries.student(figures))
    else:
        assert (found.low, found.high) == pytest.approx((figures[0], figures[0]))


def test_three_seeds_by_hand() -> None:
    """Standard deviation 0.1, and 4.303 on two degrees of freedom."""
    found = over_seeds([0.4, 0.5, 0.6])

    half = 4.3027 * 0.1 / 3**0.5
    assert (found.low, found.high) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-4)


def test_one_seed_has_no_interval_and_none_no_mean() -> None:
    assert over_seeds([0.7]) == OverSeeds(0.7, None, None, None, 1, 0)
    assert over_seeds([None, 0.7, None]) == OverSeeds(0.7, None, None, None, 1, 2)
    assert over_seeds([None]) == OverSeeds(None, None, None, None, 0, 1)
    assert over_seeds([]) == OverSeeds(None, None, None, None, 0, 0)


def test_runs_without_a_figure_are_counted_and_change_nothing() -> None:
    found, with_gaps = over_seeds([0.1, 0.4]), over_seeds([0.1, None, 0.4])

    assert (with_gaps.seeds, with_gaps.undefined) == (2, 1)
    assert (with_gaps.mean, with_gaps.low) == (found.mean, found.low)


def test_the_interval_of_few_seeds_holds_the_truth() -> None:
    """Of four seeds; percentiles of four figures would hold it in 7 of 8 sets at most."""
    held, random = 0, np.random.default_rng(10)
    for _ in range(SETS):
        found = over_seeds(random.normal(0.8, 0.02, 4).tolist())
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.8 <= found.high

    assert held >= 0.925 * SETS
