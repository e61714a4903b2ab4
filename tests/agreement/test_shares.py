"""Shares and Wilson's interval."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inwit.agreement.report import Share
from inwit.agreement.shares import share, wilson
from tests.agreement import libraries
from tests.agreement.drawn import MANY


@MANY
@given(st.integers(1, 5000).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_wilson_is_what_scipy_says(drawn: tuple[int, int]) -> None:
    count, of = drawn

    assert wilson(count, of) == pytest.approx(libraries.wilson(count, of), abs=1e-9)


@MANY
@given(st.integers(1, 10**6), st.floats(0, 1))
def test_the_interval_holds_the_share_and_stays_in_bounds(of: int, rate: float) -> None:
    low, high = wilson(rate * of, of)

    assert 0 <= low <= rate * of / of <= high <= 1
    assert low < high


def test_no_share_of_nothing() -> None:
    assert share(0, 0) == Share(0, 0, None, None, None, too_few=True)


def test_none_of_ten_is_not_never() -> None:
    found = share(0, 10)

    assert (found.rate, found.low) == (0, 0)
    assert found.high == pytest.approx(0.2775, abs=1e-4)
    assert found.too_few
    assert not share(0, 20).too_few
