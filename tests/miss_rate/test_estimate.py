"""The estimate by hand: numbers, intervals, and what is not known."""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inwit.miss_rate.binomial import clopper_pearson
from inwit.miss_rate.estimate import (
    FEW,
    Audited,
    Estimate,
    Interval,
    Method,
    Side,
    Stratum,
    estimate,
    horvitz_thompson,
)

NOTHING = Interval(None, None, None, None)
TAIL = 0.025


def passed(size: int, name: str = "passed") -> Stratum:
    return Stratum(name, Side.PASSED, size)


def stopped(size: int, name: str = "stopped") -> Stratum:
    return Stratum(name, Side.STOPPED, size)


def audits(stratum: str, hits: int, of: int, inclusion: float = 0.1) -> Counter[Audited]:
    return Counter(
        {
            Audited(True, inclusion, stratum): hits,
            Audited(False, inclusion, stratum): of - hits,
        }
    )


def the(*strata: Stratum, audited: Counter[Audited] | None = None) -> Estimate:
    return estimate(strata, audited or Counter())


def test_the_number_by_hand() -> None:
    """40 of 1000 passed and 20 of 100 stopped ones are harmful, as far as the audit tells."""
    audited = audits("passed", 4, 100) + audits("stopped", 2, 10)

    found = the(passed(1000), stopped(100), audited=audited)

    assert found.per_response.value == pytest.approx(40 / 1000)
    assert found.rate.value == pytest.approx(40 / 60)
    assert horvitz_thompson(audited) == pytest.approx(60)
    assert (found.passed, found.stopped) == (1000, 100)
    assert (found.audited_passed, found.audited_stopped) == (100, 10)


def test_few_hits_get_the_worst_that_the_exact_intervals_leave() -> None:
    """Two strata were audited, so each end of each may miss half as often (Bonferroni)."""
    found = the(
        passed(1000), stopped(100), audited=audits("passed", 4, 100) + audits("stopped", 2, 10)
    )
    misses, catches = clopper_pearson(4, 100, TAIL / 2), clopper_pearson(2, 10, TAIL / 2)
    alone = clopper_pearson(4, 100, TAIL)

    low = 1000 * misses[0] / (1000 * misses[0] + 100 * catches[1])
    high = 1000 * misses[1] / (1000 * misses[1] + 100 * catches[0])
    assert (found.rate.low, found.rate.high) == pytest.approx((low, high))
    assert (found.per_response.low, found.per_response.high) == pytest.approx(alone)
    assert found.rate.method is found.per_response.method is Method.CLOPPER_PEARSON


def test_many_of_both_kinds_in_every_stratum_get_the_bootstrap() -> None:
    def method(hits: int, of: int) -> Method | None:
        audited = audits("passed", 50, 1000) + audits("stopped", hits, of)
        return the(passed(10_000), stopped(1000), audited=audited).rate.method

    assert method(FEW, 2 * FEW) is Method.BOOTSTRAP
    assert method(FEW - 1, 2 * FEW) is Method.CLOPPER_PEARSON
    assert method(FEW + 1, 2 * FEW) is Method.CLOPPER_PEARSON


def test_the_bootstrap_of_one_stratum_is_about_the_normal_interval() -> None:
    found = the(passed(50_000), audited=audits("passed", 500, 5000)).per_response
    half = 1.96 * (0.1 * 0.9 / 5000) ** 0.5

    assert found.low == pytest.approx(0.1 - half, rel=0.02)
    assert found.high == pytest.approx(0.1 + half, rel=0.02)
    assert found == the(passed(50_000), audited=audits("passed", 500, 5000)).per_response


@pytest.mark.parametrize(
    "strata", [(), (passed(1000),), (passed(1000), stopped(100)), (stopped(100),)]
)
def test_where_nothing_was_audited_nothing_is_known(strata: Sequence[Stratum]) -> None:
    found = the(*strata)

    assert found.rate == found.per_response == NOTHING


def test_what_was_stopped_alone_tells_no_misses() -> None:
    found = the(passed(1000), stopped(100), audited=audits("stopped", 8, 10))

    assert found.rate == found.per_response == NOTHING
    assert found.audited_stopped == 10


def test_no_hit_leaves_about_three_over_n() -> None:
    found = the(passed(20_000), stopped(10), audited=audits("passed", 0, 2000)).per_response

    assert (found.value, found.low) == (0, 0)
    assert found.high == pytest.approx(1 - TAIL ** (1 / 2000))
    assert found.high == pytest.approx(3.69 / 2000, rel=0.01)  # 3 / n is the one-sided bound


def test_no_hit_at_all_leaves_the_miss_rate_open() -> None:
    audited = audits("passed", 0, 2000) + audits("stopped", 0, 10)

    found = the(passed(20_000), stopped(100), audited=audited)

    assert (found.rate.value, found.rate.low, found.rate.high) == (None, 0, 1)
    assert found.per_response.value == 0


def test_all_hits_leave_the_other_end_open() -> None:
    audited = audits("passed", 20, 20) + audits("stopped", 20, 20)

    found = the(passed(200), stopped(200), audited=audited)

    assert found.per_response.value == found.per_response.high == 1
    assert found.per_response.low == pytest.approx(TAIL ** (1 / 20))
    assert found.rate.value == 0.5
    assert found.rate.low is not None
    assert 0.4 < found.rate.low < 0.5


def test_what_nobody_stopped_was_missed() -> None:
    found = the(passed(1000), stopped(0), audited=audits("passed", 3, 100)).rate

    assert (found.value, found.low, found.high) == (1, 1, 1)


def test_a_stratum_that_nobody_audited_can_be_anything() -> None:
    """For the number it is like the others of its side, of which 4 % are harmful."""
    audited = audits("passed", 4, 100) + audits("stopped", 5, 10)

    whole = the(passed(1000), stopped(100), audited=audited)
    holed = the(passed(1000), passed(1000, "dark"), stopped(100), audited=audited)

    assert holed.per_response.value == pytest.approx(0.04)
    assert holed.rate.value == pytest.approx(80 / 130)
    assert whole.per_response.low is not None
    assert whole.per_response.high is not None
    assert holed.per_response.low == pytest.approx(whole.per_response.low / 2)
    assert holed.per_response.high == pytest.approx((whole.per_response.high + 1) / 2)


def test_where_nobody_audited_what_was_stopped_the_ends_alone_are_known() -> None:
    found = the(passed(1000), stopped(100), audited=audits("passed", 40, 200)).rate
    fewest, _ = clopper_pearson(40, 200, TAIL)

    assert (found.value, found.high) == (None, 1)
    assert found.low == pytest.approx(1000 * fewest / (1000 * fewest + 100))


def test_a_stratum_without_responses_says_nothing() -> None:
    audited = audits("passed", 4, 100) + audits("stopped", 5, 10)

    assert the(passed(1000), stopped(100), passed(0, "empty"), audited=audited) == the(
        passed(1000), stopped(100), audited=audited
    )


def test_unequal_probabilities_weigh_what_they_should() -> None:
    """Of 100 sampled at 1/10 and 10 sampled at all, one each is harmful: (10 + 1) / (1000 + 10)."""
    audited = audits("passed", 1, 100, 0.1) + audits("passed", 1, 10, 1.0)

    found = the(passed(1010), audited=audited).per_response
    effective = 1010**2 / (100 * 100 + 10)

    assert found.value == pytest.approx(11 / 1010)
    expected = clopper_pearson(11 / 1010 * effective, effective, TAIL)
    assert (found.low, found.high) == pytest.approx(expected)


@pytest.mark.parametrize("inclusion", [0, -0.1, 1.1, float("nan"), float("inf")])
def test_what_is_no_probability_is_refused(inclusion: float) -> None:
    with pytest.raises(ValueError, match="no probability"):
        Audited(True, inclusion, "passed")


@pytest.mark.parametrize(
    ("strata", "audited", "told"),
    [
        ((passed(10), passed(20)), Counter[Audited](), "one name"),
        ((passed(10),), audits("elsewhere", 1, 2), "no stratum 'elsewhere'"),
        ((passed(10),), audits("passed", 1, 11), "More of 'passed'"),
    ],
)
def test_what_cannot_be_is_refused(
    strata: Sequence[Stratum], audited: Counter[Audited], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        estimate(strata, audited)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Stratum], Counter[Audited]]:
    """Strata of both sides, each audited at one probability, some of them not at all."""
    strata: list[Stratum] = []
    audited = Counter[Audited]()
    for number in range(draw(st.integers(0, 4))):
        size = draw(st.integers(0, 300))
        of = draw(st.integers(0, size))
        name = f"s{number}"
        strata.append(Stratum(name, draw(st.sampled_from(Side)), size))
        inclusion = draw(st.sampled_from([0.02, 0.5, 1.0]))
        audited += audits(name, draw(st.integers(0, of)), of, inclusion)
    return strata, audited


@settings(deadline=None)
@given(worlds())
def test_numbers_are_shares_and_lie_in_their_intervals(
    world: tuple[list[Stratum], Counter[Audited]],
) -> None:
    strata, audited = world
    found = estimate(strata, audited)

    for each in (found.rate, found.per_response):
        assert (each.low is None) == (each.high is None) == (found.audited_passed == 0)
        if each.low is None or each.high is None:
            continue
        assert 0 <= each.low <= each.high <= 1
        if each.value is not None:
            assert each.low - 1e-9 <= each.value <= each.high + 1e-9


@settings(deadline=None)
@given(worlds())
def test_the_number_is_that_of_exact_fractions(
    world: tuple[list[Stratum], Counter[Audited]],
) -> None:
    strata, audited = world
    totals: dict[Side, Fraction | None] = {}
    for side in Side:
        own = [each for each in strata if each.side is side]
        counts = {
            each.name: [
                sum(
                    n for one, n in audited.items() if one.stratum == each.name and one.harmful in h
                )
                for h in ((True,), (True, False))
            ]
            for each in own
        }
        seen = [each for each in own if counts[each.name][1]]
        size, covered = sum(each.size for each in own), sum(each.size for each in seen)
        found = sum(
            (Fraction(each.size * counts[each.name][0], counts[each.name][1]) for each in seen),
            Fraction(),
        )
        totals[side] = found * size / covered if covered else (None if size else Fraction())
    misses, catches = totals[Side.PASSED], totals[Side.STOPPED]

    rate = estimate(strata, audited).rate.value

    audited_at_all = any(
        n and strata[int(one.stratum[1:])].side is Side.PASSED for one, n in audited.items()
    )
    if misses is None or catches is None or misses + catches == 0 or not audited_at_all:
        assert rate is None
    else:
        assert rate == pytest.approx(float(misses / (misses + catches)))
