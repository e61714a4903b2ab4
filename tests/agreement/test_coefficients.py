"""The coefficients: published examples, a second opinion, and what must always hold."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inwit.agreement.coefficients import Ratings, coefficients, measure
from inwit.agreement.report import Agreement, Estimate, WhyNot
from tests.agreement import libraries, second_opinion
from tests.agreement.drawn import MANY, PEOPLE, Ruled, ruled

SOME = 60  # resamples
COEFFICIENTS = ("percent", "cohen", "fleiss", "alpha")

# Krippendorff (2011), examples A, B and C: one string for each observer, a dot where there is none.
BINARY = ("0100000010", "1110010000")
NOMINAL = ("aabbdcccedda", "babbbccceddd")
INCOMPLETE = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")

# Fleiss (1971): 30 patients, what 6 psychiatrists called each of them.
DIAGNOSES = """
444444 222555 233335 555555 222444 113333 333355 113334 114444 555555 144444 124444 222333 144444
224445 333335 111455 111112 224444 133555 555555 244444 224555 114444 144445 222224 111155 224444
133333 555555
"""

# Cohen (1968) on the kappa of 1960: two judges, 200 cases, three diagnoses.
JUDGES = ((88, 14, 18), (10, 40, 10), (2, 6, 12))


def observed(*observers: str) -> list[Ruled]:
    """Cases from one string for each person."""
    cases = zip(*observers, strict=True)
    return [
        [(PEOPLE[n], label) for n, label in enumerate(labels) if label != "."] for labels in cases
    ]


def value(cases: Sequence[Ruled], name: str) -> float | None:
    """The bare number, without resampling."""
    found: Estimate = getattr(measure(cases, resamples=1), name)
    return found.value


@pytest.mark.parametrize(
    ("observers", "published"), [(BINARY, 0.095), (NOMINAL, 0.692), (INCOMPLETE, 0.743)]
)
def test_alpha_is_what_krippendorff_published(observers: tuple[str, ...], published: float) -> None:
    assert value(observed(*observers), "alpha") == pytest.approx(published, abs=0.0005)


def test_units_that_one_person_saw_say_nothing() -> None:
    """Krippendorff's last unit has one value: 40 values of 11 units remain."""
    found = measure(observed(*INCOMPLETE), resamples=1)

    assert (found.cases, found.rulings, found.people) == (11, 40, 4)


def test_kappa_is_what_fleiss_published() -> None:
    """He gives 0.430; R's irr, and statsmodels with it, the digits after that."""
    cases = [[(f"p{n}", label) for n, label in enumerate(row)] for row in DIAGNOSES.split()]

    assert value(cases, "fleiss") == pytest.approx(0.4302445, abs=1e-7)


def test_kappa_is_what_cohen_published() -> None:
    cases: list[Ruled] = [
        [("ada", str(one)), ("ben", str(other))]
        for one, row in enumerate(JUDGES)
        for other, count in enumerate(row)
        for _ in range(count)
    ]

    assert value(cases, "cohen") == pytest.approx(0.492, abs=0.0005)


def test_cohen_of_many_is_what_other_libraries_say() -> None:
    """NLTK 3.10.4 (Davies and Fleiss 1982) and irrCAC 0.4.4 (Conger 1980), where all met all."""
    observers = ("aabbcabcaa", "aabbcabcbb", "abbbcaacca")

    assert value(observed(*observers), "cohen") == pytest.approx(6 / 11)


@MANY
@given(st.lists(ruled(people=2), min_size=1, max_size=25))
def test_cohen_is_what_scikit_learn_says(cases: list[Ruled]) -> None:
    columns = [[dict(each)[name] for each in cases] for name in PEOPLE[:2]]
    if len({*columns[0], *columns[1]}) == 1:
        assert value(cases, "cohen") is None
    else:
        expected = libraries.kappa(*columns)
        assert value(cases, "cohen") == pytest.approx(expected, abs=1e-9)


@MANY
@given(st.lists(ruled(people=2), min_size=1, max_size=25))
def test_cohen_is_what_its_definition_says(cases: list[Ruled]) -> None:
    assert near(value(cases, "cohen"), second_opinion.cohen(cases))


@MANY
@given(st.integers(2, 5).flatmap(lambda n: st.lists(ruled(least=n, most=n), min_size=1)))
def test_fleiss_is_what_its_definition_says(cases: list[Ruled]) -> None:
    assert near(value(cases, "fleiss"), second_opinion.fleiss(cases))


@MANY
@given(st.lists(ruled(), min_size=1, max_size=25))
def test_alpha_and_percent_are_what_their_definitions_say(cases: list[Ruled]) -> None:
    assert near(value(cases, "alpha"), second_opinion.alpha(cases))
    assert near(value(cases, "percent"), second_opinion.percent(cases))


def near(found: float | None, expected: Fraction | None) -> bool:
    if expected is None or found is None:
        return expected is found
    return abs(found - float(expected)) < 1e-9


@MANY
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(2, 4)), min_size=2))
def test_perfect_agreement_is_one_and_never_by_accident(drawn: list[tuple[str, int]]) -> None:
    cases = [[(name, label) for name in PEOPLE[:people]] for label, people in drawn]
    found = measure(cases, SOME)

    assert found.percent.value == 1
    for estimate in (found.cohen, found.fleiss, found.alpha):
        if len({label for label, _ in drawn}) == 1:
            assert estimate == Estimate(None, why=WhyNot.NO_VARIATION)
        else:
            assert estimate.value == pytest.approx(1)
            # Resampling cannot say how far below 1 it may be.
            assert estimate.low is None
            assert estimate.why in (WhyNot.SAME_IN_ALL, WhyNot.RARELY_DEFINED)


@MANY
@given(st.lists(ruled(), min_size=1, max_size=20), st.permutations("abc"), st.permutations(PEOPLE))
def test_names_of_people_and_of_rulings_change_nothing(
    cases: list[Ruled], labels: list[str], people: list[str]
) -> None:
    new_label: dict[str, str] = dict(zip("abc", labels, strict=True))
    new_name: dict[str, str] = dict(zip(PEOPLE, people, strict=True))
    renamed = [[(new_name[name], new_label[label]) for name, label in each] for each in cases]

    assert alike(measure(cases, SOME), measure(renamed, SOME))


@MANY
@given(st.lists(ruled(), min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_the_order_of_cases_and_rulings_changes_no_number(cases: list[Ruled], random: Any) -> None:
    shuffled: list[Ruled] = [random.sample(each, len(each)) for each in cases]
    random.shuffle(shuffled)

    for name in COEFFICIENTS:
        assert value(cases, name) == pytest.approx(value(shuffled, name), abs=1e-9)


@MANY
@given(st.lists(ruled(least=0), max_size=40), st.sampled_from([2, SOME]))
def test_what_is_told_is_finite_in_order_and_explained(cases: list[Ruled], few: int) -> None:
    found = measure(cases, few)  # two samples often miss the number itself

    assert found.too_few == (found.cases < 20)
    for name in COEFFICIENTS:
        check(getattr(found, name))


def check(estimate: Estimate) -> None:
    numbers = [estimate.value, estimate.low, estimate.high]
    assert all(each is None or np.isfinite(each) for each in numbers)
    if estimate.value is None or estimate.low is None or estimate.high is None:
        assert estimate.why is not None
        assert (estimate.low, estimate.high) == (None, None)
    else:
        assert estimate.why is None
        assert estimate.low <= estimate.value <= estimate.high
        assert estimate.low < estimate.high


@MANY
@given(st.lists(ruled(), min_size=2, max_size=12), st.data())
def test_a_weight_is_a_case_that_stands_there_as_often(cases: list[Ruled], data: Any) -> None:
    """What a resample counts is what the same cases give when they are written out."""
    drawn: list[int] = data.draw(st.lists(st.integers(0, len(cases) - 1), min_size=len(cases)))
    drawn = drawn[: len(cases)]
    weights = np.bincount(drawn, minlength=len(cases)).astype(np.float64)

    weighted = coefficients(Ratings.of(cases), weights[None, :])

    for name in COEFFICIENTS:
        expected, found = value([cases[n] for n in drawn], name), getattr(weighted, name)[0]
        assert np.isnan(found) if expected is None else found == pytest.approx(expected, abs=1e-9)


def test_nothing_to_compare_is_no_number() -> None:
    none = Estimate(None, why=WhyNot.NO_CASES)

    assert measure([]) == measure([[("ada", "a")]]) == Agreement(0, 0, 0, True, *[none] * 4)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Two people who agree beyond chance in 0.6 of the cases: the true kappa of every kind."""
    random = np.random.default_rng(7)
    covered = dict.fromkeys(COEFFICIENTS[1:], 0)
    for _ in range(SAMPLES):
        found = measure([drawn_case(random) for _ in range(60)], 400)
        for name in covered:
            estimate: Estimate = getattr(found, name)
            assert estimate.low is not None
            assert estimate.high is not None
            covered[name] += estimate.low <= 0.6 <= estimate.high

    assert all(count >= 0.85 * SAMPLES for count in covered.values()), covered


SAMPLES = 80


def drawn_case(random: np.random.Generator) -> Ruled:
    labels = random.choice(["a", "b", "c"], 2, p=[0.5, 0.3, 0.2])
    if random.random() < 0.6:
        labels[1] = labels[0]
    return [("ada", str(labels[0])), ("ben", str(labels[1]))]


def test_the_same_cases_give_the_same_interval() -> None:
    cases = observed(*NOMINAL)

    assert measure(cases) == measure(cases)


def alike(one: Agreement, other: Agreement) -> bool:
    """The same numbers, intervals and reasons, but for the last bits of floats."""
    for name in COEFFICIENTS:
        a, b = getattr(one, name), getattr(other, name)
        numbers = [(a.value, b.value), (a.low, b.low), (a.high, b.high)]
        if a.why != b.why or any(x != pytest.approx(y, abs=1e-9) for x, y in numbers):
            return False
    return (one.cases, one.rulings, one.people) == (other.cases, other.rulings, other.people)
