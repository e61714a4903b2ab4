"""Agreement of raters: the coefficients of `inwit.agreement`, with intervals that know prompts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inwit.agreement.coefficients import measure
from inwit.agreement.report import Agreement, Estimate, WhyNot
from inwit.evaluation.statistics.raters import measure_raters
from tests.evaluation.statistics import libraries

SOME = 60  # resamples
SETS = 50
NAMES = ("percent", "cohen", "fleiss", "alpha")
# Krippendorff (2011), example C: one string for each observer, a dot where there is none.
INCOMPLETE = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")
Items = list[list[str | None]]
ITEMS = st.lists(
    st.lists(st.sampled_from(["a", "b", "c", None]), min_size=3, max_size=3), max_size=25
)


def observed(*observers: str) -> Items:
    """Items from one string for each rater."""
    columns = zip(*observers, strict=True)
    return [[None if label == "." else label for label in labels] for labels in columns]


def alone(items: Items, resamples: int = SOME) -> Agreement:
    """Each item with a prompt of its own."""
    return measure_raters(items, np.arange(len(items)), 0, resamples)


@given(ITEMS)
def test_the_numbers_are_those_of_rulings(items: Items) -> None:
    rulings = [
        [(str(place), label) for place, label in enumerate(each) if label is not None]
        for each in items
    ]

    found, expected = alone(items), measure(rulings, SOME)

    assert (found.cases, found.rulings, found.people, found.too_few) == (
        expected.cases,
        expected.rulings,
        expected.people,
        expected.too_few,
    )
    for name in NAMES:
        one, other = getattr(found, name), getattr(expected, name)
        assert one.value == pytest.approx(other.value, abs=1e-9)
        if one.low is not None and one.high is not None:
            assert one.low <= one.value <= one.high


def test_alpha_is_what_krippendorff_published() -> None:
    found = alone(observed(*INCOMPLETE))

    assert found.alpha.value == pytest.approx(0.743, abs=0.0005)
    assert (found.cases, found.rulings, found.people) == (11, 40, 4)


@given(st.lists(st.lists(st.sampled_from("abc."), min_size=6, max_size=6), min_size=2, max_size=4))
@settings(max_examples=50)
def test_alpha_is_what_the_krippendorff_package_says(observers: list[list[str]]) -> None:
    package = pytest.importorskip("krippendorff")
    found = alone(observed(*("".join(each) for each in observers))).alpha.value
    if found is None:
        return
    places = {"a": 0.0, "b": 1.0, "c": 2.0, ".": float("nan")}
    columns = [[places[label] for label in each] for each in observers]

    assert found == pytest.approx(libraries.alpha(package, columns))


@given(st.text("ab", min_size=2, max_size=20), st.data())
def test_cohen_is_what_scikit_learn_says(one: str, data: st.DataObject) -> None:
    other = data.draw(st.text("ab", min_size=len(one), max_size=len(one)))
    found = alone(observed(one, other)).cohen
    if len({*one, *other}) == 1:
        assert found == Estimate(None, why=WhyNot.NO_VARIATION)
    else:
        assert found.value == pytest.approx(libraries.kappa(list(one), list(other)), abs=1e-9)


def test_copies_within_a_prompt_add_no_certainty() -> None:
    items = observed("aabbcabcaabbca" * 3, "aabbcabcbbabca" * 3)
    groups = np.arange(len(items))
    copied = measure_raters([x for x in items for _ in range(5)], np.repeat(groups, 5), 0)

    found = measure_raters(items, groups, 0)

    for name in ("percent", "cohen", "fleiss"):
        one, other = getattr(copied, name), getattr(found, name)
        assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))
    apart = measure_raters([x for x in items for _ in range(5)], np.arange(5 * len(items)), 0)
    assert width(apart.alpha) < 0.6 * width(copied.alpha)


def width(estimate: Estimate) -> float:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.high - estimate.low


def test_items_of_one_label_are_left_out_with_their_prompts() -> None:
    items, groups = observed("aabbcabcaa", "aabbcabcbb"), np.repeat(np.arange(5), 2)

    found = measure_raters([["a", None], *items], np.concatenate([[9], groups]), 0)

    assert found == measure_raters(items, groups, 0)


def test_prompts_of_many_items_count_as_many() -> None:
    """One prompt in two agrees, with 1 item or with 9: resamples hold what was drawn, not more."""
    items = observed("abababababababababab", "babbabababababababab")
    groups = np.array([0, 1] + [2] * 9 + [3] * 9)

    found = measure_raters(items, groups, 0)

    for name in NAMES:
        each: Estimate = getattr(found, name)
        assert each.high is not None
        assert each.high <= 1 + 1e-9


def test_what_cannot_be_told_is_explained() -> None:
    none = Estimate(None, why=WhyNot.NO_CASES)
    assert alone([]) == alone([["a", None]]) == Agreement(0, 0, 0, True, *[none] * 4)

    same, perfect = alone([["a", "a"]] * 30), alone([["a", "a"], ["b", "b"]] * 15)

    assert same.alpha == same.cohen == Estimate(None, why=WhyNot.NO_VARIATION)
    assert perfect.alpha == Estimate(1.0, why=WhyNot.SAME_IN_ALL)
    assert perfect.percent.low == pytest.approx(libraries.wilson(30, 30)[0])
    one_prompt = measure_raters([["a", "a"], ["a", "b"]] * 20, np.zeros(40, np.int64), 0)
    assert one_prompt.alpha.why is WhyNot.SAME_IN_ALL
    assert width(one_prompt.percent) > 0.8
    assert alone(observed("a" * 39 + "b", "a" * 39 + "b")).alpha.why is WhyNot.RARELY_DEFINED


def test_groups_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="1 items, and 2 groups"):
        measure_raters([["a", "b"]], np.arange(2), 0)


def test_the_interval_holds_the_truth_where_prompts_have_many_items() -> None:
    """Two raters who agree beyond chance in 0.6 of the prompts, on all items of one or on none."""
    random, held = np.random.default_rng(11), dict.fromkeys(NAMES[1:], 0)
    groups = np.repeat(np.arange(50), 3)
    for seed in range(SETS):
        labels = random.choice(["a", "b", "c"], (150, 2), p=[0.5, 0.3, 0.2])
        agree = (random.random(50) < 0.6)[groups]
        labels[agree, 1] = labels[agree, 0]
        found = measure_raters([[*map(str, each)] for each in labels], groups, seed, 300)
        for name in held:
            each: Estimate = getattr(found, name)
            assert each.low is not None
            assert each.high is not None
            held[name] += each.low <= 0.6 <= each.high

    assert all(count >= 0.86 * SETS for count in held.values()), held
