"""The untyped edge to scikit-learn and SciPy; what leaves this file has types."""

# Neither carries types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from inwit.evaluation.statistics.observations import Bools, Floats, Integers

Matrix = Any  # a scipy.sparse.csr_matrix of float64
Vectors = Callable[[list[str]], Matrix]
_DIMENSIONS = 200


def sparse(values: Floats, columns: Integers, ends: Integers, width: int) -> Matrix:
    """The matrix whose row i holds values[ends[i]:ends[i + 1]]; what repeats is added up."""
    matrix: Any = sp.csr_matrix((values, columns, ends), shape=(len(ends) - 1, width))
    matrix.sum_duplicates()
    return matrix


def beside(left: Matrix, right: Matrix) -> Matrix:
    """Two matrices with the same rows as one."""
    joined: Any = sp.hstack((left, right))
    return joined.tocsr()


def logistic(matrix: Any, unsafe: Bools, weight: Floats, strength: float) -> tuple[Floats, float]:
    """Coefficients and intercept of a logistic regression; `strength` is scikit-learn's C."""
    model: Any = LogisticRegression(C=strength, tol=1e-8, max_iter=1000)
    model.fit(matrix, unsafe, sample_weight=weight / weight.mean())
    return model.coef_[0], float(model.intercept_[0])


def sparse_logistic(matrix: Matrix, unsafe: Bools, weight: Floats, strength: float) -> Floats:
    """The same for many columns, four times as fast; without the intercept."""
    model: Any = LogisticRegression(
        C=strength, tol=1e-3, max_iter=1000, solver="liblinear", dual=True, random_state=0
    )
    model.fit(matrix, unsafe, sample_weight=weight / weight.mean())
    return model.coef_[0]


def folds(groups: Sequence[str], count: int) -> list[tuple[Integers, Integers]]:
    """Indices to fit on and to score, fold by fold; a group stays together."""
    return list(GroupKFold(count).split(np.zeros(len(groups)), groups=list(groups)))


def bag_of_words(texts: list[str]) -> Vectors:
    """Counts of the words of `texts`."""
    words: Any = CountVectorizer()
    words.fit(texts)
    return words.transform


def embedded_words(texts: list[str], seed: int) -> Vectors:
    """Static embeddings made of `texts` alone: a truncated SVD of their TF-IDF."""
    words: Any = TfidfVectorizer(min_df=2, sublinear_tf=True)
    factors: Any = TruncatedSVD(_DIMENSIONS, random_state=seed)
    factors.fit(words.fit_transform(texts))
    return lambda others: _of_length_1(factors.transform(words.transform(others)))


def _of_length_1(vectors: Floats) -> Floats:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
