"""Figures in words bear the decimals that their interval supports, and never lose it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inwit.evaluation import rounding
from inwit.evaluation.results import Figure, SeedsFigure, Shift

SHARES = st.floats(0, 1)


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        (0.4, 0.6, "0.50 [0.40, 0.60]"),  # half is 0.10: two digits
        (0.45, 0.55, "0.50 [0.45, 0.55]"),  # 0.05: one
        (0.1, 0.9, "0.5 [0.1, 0.9]"),
        (0.485, 0.515, "0.500 [0.485, 0.515]"),
        (0.4999, 0.5001, "0.500 [0.500, 0.500]"),  # never more than three decimals
        (0.5, 0.5, "0.500 [0.500, 0.500]"),
    ],
)
def test_the_interval_decides_how_many_decimals_there_are(
    low: float, high: float, told: str
) -> None:
    assert rounding.figure(Figure(value=0.5, low=low, high=high)) == told


@given(SHARES, SHARES, SHARES)
def test_a_figure_stays_within_its_interval_and_near_itself(a: float, b: float, c: float) -> None:
    low, value, high = sorted((a, b, c))
    told = rounding.figure(Figure(value=value, low=low, high=high))

    first, second, third = (float(part.strip("[],")) for part in told.split())
    assert second <= first <= third
    assert abs(first - value) <= 0.05 + 1e-9
    assert abs(first - value) <= max(0.0006, (high - low) / 2)


def test_what_is_not_defined_is_said() -> None:
    assert rounding.figure(None) == rounding.shift(None) == rounding.over_seeds(None)
    assert rounding.figure(None) == "not defined"
    assert rounding.interval(None) == ""


def test_a_difference_has_its_sign() -> None:
    shift = Shift(value=-0.001, low=-0.06, high=0.05, p=0.7, beyond_noise=False)

    assert rounding.shift(shift) == "+0.00 [-0.06, +0.05]"


def test_one_seed_has_no_interval() -> None:
    one = SeedsFigure(mean=0.5, low=None, high=None, seeds=1)
    three = SeedsFigure(mean=0.5, low=0.4, high=0.6, seeds=3)

    assert rounding.over_seeds(one) == "0.50, 1 seed: no interval"
    assert rounding.over_seeds(three) == "0.50 [0.40, 0.60], 3 seeds"


def test_lists_and_counts_read_as_words() -> None:
    assert rounding.listed(["a"]) == "a"
    assert rounding.listed(["a", "b", "c"]) == "a, b and c"
    assert rounding.listed(list("abcd"), most=2) == "a, b and 2 more"
    assert rounding.counted(1, "set") == "1 set"
    assert rounding.counted(1200, "set") == "1,200 sets"
    assert rounding.probability(0.0002) == "p < 0.001"
