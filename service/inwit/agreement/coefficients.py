"""Coefficients of agreement for nominal rulings, and their intervals. Only the child imports it.

With n_ik people of n_i who gave case i the ruling k, P_i = sum_k n_ik (n_ik - 1) / (n_i (n_i - 1))
is the share of its pairs of people who agree, and each kappa is (P - E) / (1 - E) with P the mean
of P_i. They differ in the agreement E that chance would bring:

- Fleiss (1971): sum_k p_k^2, where p_k is the mean over cases of n_ik / n_i. Cases may have
  different numbers of people.
- Cohen (1960), for many people as by Conger (1980): sum_k p_ak p_bk with each person's own shares,
  its mean over the pairs who met, each as often as they met. For two people it is Cohen's kappa.
- Krippendorff's alpha (2011), 1 - D_o / D_e over the pairable values.

Intervals are percentiles over cases drawn anew (Zapf and others 2016), widened to the number.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from inwit.agreement.report import TOO_FEW, Agreement, Estimate, WhyNot
from inwit.agreement.shares import wilson

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

RESAMPLES = 1000
SEED = 20_260_101
_TAILS = (2.5, 97.5)
_MOST_UNDEFINED = 0.05  # of the resamples
_ZERO = 1e-12
_CHUNK = 2**20  # numbers in one array

Ruled = Sequence[tuple[str, str]]  # who said what on one case; each person once


@dataclass(frozen=True)
class Ratings:
    """Cases with at least two rulings each: one entry per ruling in `case`, `rater`, `label`.

    All three are numbers from 0.
    """

    case: Integers
    rater: Integers
    label: Integers

    @classmethod
    def of(cls, cases: Sequence[Ruled]) -> "Ratings":
        """Cases with fewer than two rulings are left out: they say nothing of agreement."""
        cases = [each for each in cases if len(each) > 1]
        raters = {name: n for n, name in enumerate(sorted({r for each in cases for r, _ in each}))}
        labels = {name: n for n, name in enumerate(sorted({x for each in cases for _, x in each}))}
        entries = [
            (number, raters[rater], labels[label])
            for number, each in enumerate(cases)
            for rater, label in each
        ]
        columns = np.array(entries, dtype=np.int64).reshape(-1, 3).T
        return cls(columns[0], columns[1], columns[2])

    @property
    def cases(self) -> int:
        """How many."""
        return _length(self.case)

    @property
    def raters(self) -> int:
        """How many."""
        return _length(self.rater)

    @property
    def labels(self) -> int:
        """How many."""
        return _length(self.label)

    @cached_property
    def counts(self) -> Floats:
        """How many people gave each case each label: cases by labels."""
        counts = np.zeros((self.cases, self.labels))
        np.add.at(counts, (self.case, self.label), 1.0)
        return counts

    @cached_property
    def pairs(self) -> tuple[Integers, Integers, Integers, Floats]:
        """Of each pair who met: case, both people, and its weight. A case's weights sum to 1."""
        starts = np.searchsorted(self.case, np.arange(self.cases + 1))
        met = [
            (number, self.rater[one], self.rater[other])
            for number, (start, end) in enumerate(pairwise(starts))
            for one, other in combinations(range(start, end), 2)
        ]
        columns = np.array(met, dtype=np.int64).reshape(-1, 3).T
        weights = 1.0 / np.bincount(columns[0], minlength=self.cases)[columns[0]]
        return columns[0], columns[1], columns[2], weights


def _length(numbers: Integers) -> int:
    return int(numbers.max(initial=-1)) + 1


@dataclass(frozen=True, slots=True)
class Coefficients:
    """One number for each row of weights; not a number where chance agreement is certain."""

    percent: Floats
    cohen: Floats
    fleiss: Floats
    alpha: Floats


def coefficients(ratings: Ratings, weights: Floats) -> Coefficients:
    """The coefficients where each case counts `weights` times: rows of one number per case.

    Each row sums to the number of cases.
    """
    counts, cases = ratings.counts, ratings.cases
    people = counts.sum(axis=1)
    agreeing = (counts * (counts - 1)).sum(axis=1) / (people * (people - 1))
    percent = weights @ agreeing / cases
    by_chance = ((weights @ (counts / people[:, None]) / cases) ** 2).sum(axis=1)
    values, by_label = weights @ people, weights @ counts
    observed = 1 - weights @ (people * agreeing) / values
    expected = 1 - (by_label * (by_label - 1)).sum(axis=1) / (values * (values - 1))
    return Coefficients(
        percent=percent,
        cohen=_beyond(percent, _chance_of_pairs(ratings, weights)),
        fleiss=_beyond(percent, by_chance),
        alpha=1 - observed / np.where(expected > _ZERO, expected, np.nan),
    )


def _beyond(percent: Floats, by_chance: Floats) -> Floats:
    room = 1 - by_chance
    return (percent - by_chance) / np.where(room > _ZERO, room, np.nan)


def _chance_of_pairs(ratings: Ratings, weights: Floats) -> Floats:
    """The mean over pairs who met of the agreement that their own shares bring by chance."""
    rows, cells = len(weights), ratings.raters * ratings.labels
    cell = ratings.rater * ratings.labels + ratings.label
    places = (np.arange(rows)[:, None] * cells + cell).ravel()
    given = np.bincount(places, weights[:, ratings.case].ravel(), rows * cells)
    given = given.reshape(rows, ratings.raters, ratings.labels)
    shares = given / np.maximum(given.sum(axis=2, keepdims=True), _ZERO)
    case, one, other, weight = ratings.pairs
    together = (shares @ shares.transpose(0, 2, 1))[:, one, other]
    return (together * weights[:, case] * weight).sum(axis=1) / ratings.cases


def measure(cases: Sequence[Ruled], resamples: int = RESAMPLES) -> Agreement:
    """All coefficients with their intervals."""
    ratings = Ratings.of(cases)
    count = ratings.cases
    if count == 0:
        none = Estimate(None, why=WhyNot.NO_CASES)
        return Agreement(0, 0, 0, True, none, none, none, none)
    point = coefficients(ratings, np.ones((1, count)))
    drawn = [coefficients(ratings, weights) for weights in _resamples(ratings, resamples)]
    percent = float(point.percent[0])
    low, high = wilson(percent * count, count)
    return Agreement(
        cases=count,
        rulings=len(ratings.case),
        people=ratings.raters,
        too_few=count < TOO_FEW,
        percent=Estimate(percent, low, high),
        cohen=estimate_of(point.cohen, [each.cohen for each in drawn]),
        fleiss=estimate_of(point.fleiss, [each.fleiss for each in drawn]),
        alpha=estimate_of(point.alpha, [each.alpha for each in drawn]),
    )


def _resamples(ratings: Ratings, resamples: int) -> Iterator[Floats]:
    """How often each resample drew each case, in portions that fit in memory."""
    cases = ratings.cases
    widest = max(len(ratings.case), len(ratings.pairs[0]), ratings.raters**2)
    at_once = max(1, _CHUNK // widest)
    random = np.random.default_rng(SEED)
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        drawn = random.integers(cases, size=(rows, cases)) + np.arange(rows)[:, None] * cases
        weights = np.bincount(drawn.ravel(), minlength=rows * cases)
        yield weights.reshape(rows, cases).astype(np.float64)


def estimate_of(point: Floats, drawn: Sequence[Floats]) -> Estimate:
    """A coefficient with its interval from resamples, or the reason why one of them is missing."""
    value, draws = float(point[0]), np.concatenate(drawn)
    if np.isnan(value):
        return Estimate(None, why=WhyNot.NO_VARIATION)
    defined = draws[~np.isnan(draws)]
    if len(defined) < (1 - _MOST_UNDEFINED) * len(draws):
        return Estimate(value, why=WhyNot.RARELY_DEFINED)
    low, high = (float(each) for each in np.percentile(defined, _TAILS))
    if high - low < _ZERO:
        return Estimate(value, why=WhyNot.SAME_IN_ALL)
    return Estimate(value, min(low, value), max(high, value))
