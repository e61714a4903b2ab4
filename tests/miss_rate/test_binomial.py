"""The exact interval against scipy, and against what it promises."""

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inwit.miss_rate.binomial import beta_quantile, clopper_pearson, incomplete_beta
from tests.miss_rate.libraries import binomial, exact_interval
from tests.miss_rate.libraries import incomplete_beta as by_scipy

parameters = st.floats(-1, 6).map(lambda power: 10**power)
COUNTS = [(0, 1), (1, 1), (0, 30), (30, 30), (1, 3), (7, 19), (3, 1000), (999, 1000), (50, 200_000)]


@settings(deadline=None)
@given(st.floats(0, 1), parameters, parameters)
def test_the_incomplete_beta_function_is_scipys(x: float, a: float, b: float) -> None:
    assert incomplete_beta(x, a, b) == pytest.approx(by_scipy(x, a, b), rel=1e-6, abs=1e-9)


@settings(deadline=None)
@given(st.floats(0.001, 0.999), st.floats(1, 1000), st.floats(1, 1000))
def test_the_quantile_is_where_the_probability_is_reached(p: float, a: float, b: float) -> None:
    assert by_scipy(beta_quantile(p, a, b), a, b) == pytest.approx(p, abs=1e-7)


@pytest.mark.parametrize(("hits", "of"), COUNTS)
@pytest.mark.parametrize("level", [0.95, 0.99])
def test_the_interval_is_scipys(hits: int, of: int, level: float) -> None:
    expected = exact_interval(hits, of, level)

    assert clopper_pearson(hits, of, (1 - level) / 2) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("of", [1, 10, 1000])
def test_no_hit_bounds_the_share_by_about_three_over_n(of: int) -> None:
    low, one_sided = clopper_pearson(0, of, 0.05)

    assert low == 0
    assert one_sided == pytest.approx(1 - 0.05 ** (1 / of))
    assert one_sided <= 3 / of
    assert clopper_pearson(of, of, 0.05) == (pytest.approx(1 - one_sided), 1)


def test_nothing_asked_is_nothing_known() -> None:
    assert clopper_pearson(0, 0, 0.025) == (0, 1)


@example(1.0, 5e-324)
@settings(deadline=None)
@given(st.floats(0.1, 400), st.floats(0, 1))
def test_fractions_of_a_hit_lie_between_their_neighbours(of: float, share: float) -> None:
    hits = of * share
    low, high = clopper_pearson(hits, of, 0.025)
    fewer, more = clopper_pearson(hits * 0.9, of, 0.025), clopper_pearson(hits, of * 1.1, 0.025)

    assert low <= share + 1e-9
    assert high >= share - 1e-9
    assert fewer[0] <= low + 1e-9
    assert more[1] <= high + 1e-9


@pytest.mark.parametrize("of", [30, 100])
def test_whatever_the_truth_the_interval_holds_it_as_often_as_it_says(of: int) -> None:
    intervals = [clopper_pearson(hits, of, 0.025) for hits in range(of + 1)]
    held = [
        sum(
            probability
            for probability, (low, high) in zip(binomial(of, truth), intervals, strict=True)
            if low <= truth <= high
        )
        for truth in (step / 997 for step in range(1, 997))
    ]

    assert min(held) >= 0.95
    assert min(held) < 0.97  # and not because it is wider than it must be
    assert math.isclose(max(held), 1, abs_tol=0.01)
