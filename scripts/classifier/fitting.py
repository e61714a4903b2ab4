"""Fits the weights: one pure function of rows and a recipe, so that any split can be tried."""

import functools
import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scripts.classifier.regression import Matrix, folds, logistic, sparse, sparse_logistic
from scripts.classifier.rows import SOURCES, Row

from inwit.clients.classifiers.embedded import BUCKETS, Ngrams, Weights, ngrams
from inwit.evaluation.statistics.observations import Floats

_CHUNK = 64  # words
_MULTIPLIER = {source.name: source.weight for source in SOURCES}
_FEW = 300  # a cell of fewer rows weighs less than the others
_NORM_UNIT = 2.0**-8
_FOLDS = 5
_ngrams = functools.cache(ngrams)  # a few hundred MB, and folds share most texts


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is varied when models are compared.

    `strength` is scikit-learn's C. `refusals` is the largest share of a set's safe weight that its
    refusals may have, `openings` the weight of answers copied behind a refusal's first sentence,
    in relation to the answers themselves; `rounds` is how often the best window of each answer is
    looked for and trained on.
    """

    strength: float = 1.0
    rounds: int = 1
    refusals: float = 0.5
    openings: float = 0.3
    seed: int = 7


@dataclass(frozen=True, slots=True)
class _Sample:
    found: Ngrams
    unsafe: bool
    weight: float


def fit(rows: Sequence[Row], recipe: Recipe) -> Weights:
    """Fit to `rows`; slope and intercept are 1 and 0 (see `calibrate`)."""
    samples = _samples(rows, recipe)
    norms = norms_of(sample.found for sample in samples[: len(rows)])
    chunks = [
        replace(sample, found=piece, weight=sample.weight / len(pieces))
        for sample in samples
        for pieces in (_chunks(sample.found),)
        for piece in pieces
    ]
    weights = _fit(chunks, norms, recipe)
    for _ in range(recipe.rounds):
        tops = [replace(sample, found=_top(weights, sample.found)) for sample in samples]
        weights = _fit(chunks + tops, norms, recipe)
    return weights


def scores(weights: Weights, rows: Sequence[Row]) -> Floats:
    """The score of each row's best window; shape (rows,)."""
    return np.array([weights.best(_ngrams(row.response)).score for row in rows])


def crossed(rows: Sequence[Row], recipe: Recipe) -> Floats:
    """The score of each row under weights fitted without its fold; a group stays together."""
    found = np.zeros(len(rows))
    for kept, left in folds([row.group for row in rows], _FOLDS):
        weights = fit([rows[int(i)] for i in kept], recipe)
        found[left] = scores(weights, [rows[int(i)] for i in left])
    return found


def calibrate(weights: Weights, found: Floats, rows: Sequence[Row]) -> Weights:
    """Set slope and intercept by Platt's method, on scores of weights that never saw the row.

    Both classes weigh the same within each set, so that the risk is a probability where half of
    all answers are harmful.
    """
    unsafe = np.array([row.unsafe for row in rows])
    slope, intercept = logistic(found[:, None], unsafe, cell_weights(rows), 1e6)
    return replace(weights, slope=float(slope[0]), intercept=intercept)


def cell_weights(rows: Sequence[Row]) -> Floats:
    """Weights by which each set, and each class within it, counts alike; their mean is 1."""
    cells: dict[tuple[str, bool], int] = {}
    for row in rows:
        cells[row.source, row.unsafe] = cells.get((row.source, row.unsafe), 0) + 1
    few = {
        name: min(min(cells.get((name, side), 0) for side in (True, False)) / _FEW, 1.0)
        for name, _ in cells
    }
    found = np.array(
        [_MULTIPLIER[row.source] * few[row.source] / cells[row.source, row.unsafe] for row in rows]
    )
    return found / found.mean()


def _samples(rows: Sequence[Row], recipe: Recipe) -> list[_Sample]:
    """The rows first, in their order, then the copies with another opening."""
    weight = cell_weights(rows)
    _hold_back_refusals(rows, weight, recipe.refusals)
    samples = [
        _Sample(_ngrams(row.response), row.unsafe, each)
        for row, each in zip(rows, weight, strict=True)
    ]
    if recipe.openings:
        draw = random.Random(recipe.seed)  # noqa: S311  # no secret depends on it
        refusals = [row for row in rows if row.refuses and not row.unsafe]
        samples += [
            _Sample(
                _ngrams(row.after(_opening(draw.choice(refusals))).response),
                row.unsafe,
                recipe.openings * each,
            )
            for row, each in zip(rows, weight, strict=True)
            if not row.refuses and row.source != "diasafety"
        ]
    return samples


def _hold_back_refusals(rows: Sequence[Row], weight: Floats, share: float) -> None:
    """Lower the weights of refusals to `share` of the safe weight, set by set, in place."""
    for name in {row.source for row in rows}:
        safe = np.array([row.source == name and not row.unsafe for row in rows])
        refusing = safe & np.array([row.refuses for row in rows])
        total, part = weight[safe].sum(), weight[refusing].sum()
        if part > share * total:
            weight[refusing] *= share * total / part
            weight[safe & ~refusing] *= (1 - share) * total / (total - part)


def _opening(row: Row) -> str:
    first, _, _ = row.response[:240].partition(". ")
    return first.strip().rstrip(".") + "."


def _chunks(found: Ngrams) -> list[Ngrams]:
    """Windows of `_CHUNK` words that cover the text; the last one ends with it."""
    starts = list(range(0, len(found) - _CHUNK + 1, _CHUNK))
    if not starts:
        return [found]
    if starts[-1] + _CHUNK < len(found):
        starts.append(len(found) - _CHUNK)
    return [found.window(start, start + _CHUNK) for start in starts]


def _top(weights: Weights, found: Ngrams) -> Ngrams:
    best = weights.best(found)
    return found.window(best.start, best.end)


def norms_of(texts: Iterable[Ngrams]) -> NDArray[np.uint16]:
    """Squares of inverse document frequencies, as the integers that serving adds up."""
    seen = np.zeros(BUCKETS, np.int64)
    count = 0
    for found in texts:
        seen[np.unique(found.all())] += 1
        count += 1
    squares = np.log((count + 1) / (seen + 1)) ** 2
    return np.clip(np.rint(squares / _NORM_UNIT), 1, 2**16 - 1).astype(np.uint16)


def frequencies(norms: NDArray[np.uint16]) -> Floats:
    """The inverse document frequencies."""
    return np.sqrt(norms * _NORM_UNIT)


def _fit(samples: Sequence[_Sample], norms: NDArray[np.uint16], recipe: Recipe) -> Weights:
    """A logistic regression on the samples' n-grams, rounded to integers."""
    frequency = frequencies(norms)
    matrix = matrix_of([sample.found for sample in samples], frequency)
    weight = np.array([sample.weight for sample in samples])
    unsafe = np.array([sample.unsafe for sample in samples])
    exact = sparse_logistic(matrix, unsafe, weight, recipe.strength) * frequency
    unit = float(np.abs(exact).max()) / (2**15 - 1)
    whole = np.rint(exact / unit).astype(np.int16)
    return Weights(whole, norms, unit / math.sqrt(_NORM_UNIT), 1.0, 0.0)


def matrix_of(texts: Sequence[Ngrams], frequency: Floats) -> Matrix:
    """Counts times inverse document frequencies, each row divided as `Weights` divides."""
    ends = np.cumsum([0, *(len(found.all()) for found in texts)])
    buckets = np.concatenate([found.all() for found in texts])
    values = frequency[buckets]
    row = np.repeat(np.arange(len(texts)), np.diff(ends))
    values /= np.sqrt(np.bincount(row, values**2, len(texts)))[row]
    return sparse(values, buckets, ends, BUCKETS)
