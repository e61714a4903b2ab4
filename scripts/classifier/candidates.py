"""The models that were compared, each a function from training rows to a function that scores."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scripts.classifier.fitting import (
    Recipe,
    cell_weights,
    fit,
    frequencies,
    matrix_of,
    norms_of,
    scores,
)
from scripts.classifier.regression import (
    Matrix,
    Vectors,
    bag_of_words,
    beside,
    embedded_words,
    logistic,
    sparse_logistic,
)
from scripts.classifier.rows import Row

from inwit.clients.classifiers.embedded import ngrams
from inwit.evaluation.statistics.observations import Floats

Scorer = Callable[[Sequence[Row]], Floats]
Candidate = Callable[[Sequence[Row]], Scorer]
SHIPPED = "n-grams, windows (shipped)"
WHOLE = "n-grams, whole answer"
_LONGEST_PROMPT = 3_000  # characters, from its end


def _length(_: Sequence[Row]) -> Scorer:
    return lambda rows: np.array([len(row.response) for row in rows], np.float64)


def _on_vectors(rows: Sequence[Row], vectors: Vectors) -> Scorer:
    slopes, _ = logistic(vectors(_answers(rows)), unsafe_of(rows), cell_weights(rows), 1.0)
    return lambda others: vectors(_answers(others)) @ slopes


def _bag(rows: Sequence[Row]) -> Scorer:
    return _on_vectors(rows, bag_of_words(_answers(rows)))


def _static(rows: Sequence[Row]) -> Scorer:
    return _on_vectors(rows, embedded_words(_answers(rows), Recipe().seed))


def _whole(rows: Sequence[Row]) -> Scorer:
    """The shipped n-grams on the whole answer at once."""
    matrix = _fields(rows, lambda row: row.response)
    slopes = sparse_logistic(matrix(rows), unsafe_of(rows), cell_weights(rows), 1.0)
    return lambda others: matrix(others) @ slopes


def _with_prompt(rows: Sequence[Row]) -> Scorer:
    """The same, and the prompt's n-grams as columns of their own."""
    answer = _fields(rows, lambda row: row.response)
    prompt = _fields(rows, lambda row: row.prompt[-_LONGEST_PROMPT:])

    def matrix(others: Sequence[Row]) -> Matrix:
        return beside(answer(others), prompt(others))

    slopes = sparse_logistic(matrix(rows), unsafe_of(rows), cell_weights(rows), 1.0)
    return lambda others: matrix(others) @ slopes


def _fields(rows: Sequence[Row], text: Callable[[Row], str]) -> Callable[[Sequence[Row]], Matrix]:
    frequency = frequencies(norms_of(ngrams(text(row)) for row in rows))
    return lambda others: matrix_of([ngrams(text(row)) for row in others], frequency)


def _windows(recipe: Recipe) -> Candidate:
    def candidate(rows: Sequence[Row]) -> Scorer:
        weights = fit(rows, recipe)
        return lambda others: scores(weights, others)

    return candidate


def _answers(rows: Sequence[Row]) -> list[str]:
    return [row.response for row in rows]


def unsafe_of(rows: Sequence[Row]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which answers are unsafe."""
    return np.array([row.unsafe for row in rows])


CANDIDATES: Mapping[str, Candidate] = {
    "response length (baseline)": _length,
    "bag of words (baseline)": _bag,
    "static embeddings of the training answers": _static,
    WHOLE: _whole,
    "n-grams, whole answer and prompt": _with_prompt,
    "n-grams, windows, refusals as they come": _windows(Recipe(refusals=1.0, openings=0.0)),
    SHIPPED: _windows(Recipe()),
}
