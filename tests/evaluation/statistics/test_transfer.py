"""Recall under attack, the worst case, and what evades one judge tried on another."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inwit.evaluation.statistics.bootstrap import Resamples, ratio
from inwit.evaluation.statistics.observations import Integers
from inwit.evaluation.statistics.transfer import Attacked, Transfer, resist, transfers
from tests.evaluation.statistics import libraries

SOME = 40  # resamples
SETS = 80


@st.composite
def attacked(draw: st.DrawFn, judges: int = 2) -> list[Attacked]:
    """Judges tried on the same attacks and samples."""
    attacks, samples = draw(st.integers(0, 4)), draw(st.integers(1, 8))
    bits = st.lists(st.booleans(), min_size=samples, max_size=samples)
    return [
        Attacked(
            np.array(draw(bits), np.bool_),
            np.array([draw(bits) for _ in range(attacks)], np.bool_).reshape(attacks, samples),
        )
        for _ in range(judges)
    ]


@given(attacked(judges=1))
def test_the_worst_case_is_a_sample_caught_in_every_form(judges: list[Attacked]) -> None:
    judge = judges[0]
    samples = len(judge.plain)

    found = resist(judge, np.arange(samples), 0, SOME)

    assert found.plain is not None
    assert found.worst is not None
    assert found.plain.value == pytest.approx(judge.plain.mean())
    forms = [found.plain.value]
    for each, caught in zip(found.under, judge.caught, strict=True):
        assert each is not None
        assert each.value == pytest.approx(caught.mean())
        forms.append(each.value)
    always = [judge.plain[n] and all(row[n] for row in judge.caught) for n in range(samples)]
    assert found.worst.value == pytest.approx(np.mean(always))
    assert found.worst.value <= min(forms) + 1e-9


@given(attacked())
def test_a_cell_is_what_its_definition_says(judges: list[Attacked]) -> None:
    one, other = judges
    (attacks, _), samples = one.caught.shape, len(one.plain)

    groups: Integers = np.arange(samples, dtype=np.int64)
    found = transfers({"one": one, "other": other}, groups, 0, SOME)

    cell = found["one", "other"]
    evaders = [
        [a for a in range(attacks) if one.plain[n] and not one.caught[a, n]] for n in range(samples)
    ]
    through = [any(not other.caught[a, n] for a in evaders[n]) for n in range(samples)]
    found_any = [n for n in range(samples) if evaders[n]]
    assert cell.samples == len(found_any)
    if not found_any:
        assert cell == Transfer(0, None, None)
        return
    assert cell.evades is not None
    assert cell.plain is not None
    assert cell.evades.value == pytest.approx(np.mean([through[n] for n in found_any]))
    assert cell.plain.value == pytest.approx(np.mean([not other.plain[n] for n in found_any]))
    itself = found["one", "one"]
    assert itself.evades is not None
    assert itself.plain is not None
    assert (itself.evades.value, itself.plain.value) == (1.0, 0.0)


def test_a_matrix_by_hand() -> None:
    """Attacks 0 and 1; sample 3 evades `keen` by no attack but is missed plain by `slow`."""
    keen = Attacked(
        np.array([True, True, True, True]),
        np.array([[False, True, False, True], [True, False, True, True]]),
    )
    slow = Attacked(
        np.array([True, False, True, False]),
        np.array([[False, False, True, False], [True, True, False, False]]),
    )

    found = transfers({"keen": keen, "slow": slow}, np.arange(4), 0)

    cell, back = found["keen", "slow"], found["slow", "keen"]
    assert cell.samples == 3
    assert cell.evades is not None
    assert cell.plain is not None
    # Sample 0 by attack 0. Samples 1 and 2 evade the two by different attacks.
    assert cell.evades.value == pytest.approx(1 / 3)
    assert cell.plain.value == pytest.approx(1 / 3)
    assert (back.samples, round(back.evades.value, 3) if back.evades else None) == (2, 0.5)


def test_judges_with_nothing_in_common_share_nothing() -> None:
    half = np.arange(100) < 50
    every = np.ones(100, np.bool_)
    one, other = Attacked(every, half[None]), Attacked(every, ~half[None])

    found = transfers({"one": one, "other": other}, np.arange(100), 0)

    apart = found["one", "other"].evades
    assert apart is not None
    assert (apart.value, apart.high) == pytest.approx((0.0, libraries.wilson(0, 50)[1]))


def test_copies_within_a_prompt_add_no_certainty() -> None:
    random = np.random.default_rng(12)
    judge = Attacked(random.random(60) < 0.9, random.random((3, 60)) < 0.7)
    copied = Attacked(np.repeat(judge.plain, 6), np.repeat(judge.caught, 6, axis=1))
    groups = np.arange(60)

    assert resist(judge, groups, 0) == resist(copied, np.repeat(groups, 6), 0)


def test_the_interval_of_the_worst_case_holds_the_truth() -> None:
    """Three attacks, each evading on its own in 0.2 of the prompts: 0.8 ** 3 are always caught."""
    random, held = np.random.default_rng(13), 0
    groups = np.repeat(np.arange(50), 2)
    for seed in range(SETS):
        caught = np.repeat(random.random((3, 50)) < 0.8, 2, axis=1)
        found = resist(Attacked(np.ones(100, np.bool_), caught), groups, seed, 400).worst
        assert found is not None
        held += found.low <= 0.8**3 <= found.high

    assert held >= 0.88 * SETS


def test_shapes_that_do_not_fit_are_refused() -> None:
    plain = np.ones(3, np.bool_)
    with pytest.raises(ValueError, match="do not fit"):
        Attacked(plain, np.ones((2, 4), np.bool_))
    one, other = Attacked(plain, np.ones((2, 3), np.bool_)), Attacked(plain, plain[None])
    with pytest.raises(ValueError, match="the same attacks"):
        transfers({"one": one, "other": other}, np.arange(3), 0)
    with pytest.raises(ValueError, match="the same attacks"):
        transfers({"one": one}, np.arange(4), 0)


def test_no_samples_is_no_recall() -> None:
    none = np.zeros(0, np.bool_)

    found = resist(Attacked(none, np.zeros((2, 0), np.bool_)), np.zeros(0, np.int64), 0)

    assert (found.plain, found.under, found.worst) == (None, (None, None), None)
    assert ratio(Resamples.of(np.arange(2), 0), np.zeros(2), np.zeros(2)) is None
