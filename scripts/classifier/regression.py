"""The untyped edge to scikit-learn and SciPy; what leaves this file has types."""

# Neither carries types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from inwit.evaluation.metrics import Bools, Floats, Integers

Matrix = Any  # a scipy.sparse.csr_matrix of float64
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


def logistic(
    matrix: Any, unsafe: Bools, weight: Floats, strength: float, tolerance: float = 1e-5
) -> tuple[Floats, float]:
    """Coefficients and intercept of a logistic regression; `strength` is scikit-learn's C."""
    model: Any = LogisticRegression(C=strength, tol=tolerance, max_iter=1000)
    model.fit(matrix, unsafe, sample_weight=weight / weight.mean())
    return model.coef_[0], float(model.intercept_[0])


def folds(groups: Sequence[str], count: int) -> list[tuple[Integers, Integers]]:
    """Indices to fit on and to score, fold by fold; a group stays together."""
    return list(GroupKFold(count).split(np.zeros(len(groups)), groups=list(groups)))


def bag_of_words(kept: list[str], left: list[str]) -> tuple[Matrix, Matrix]:
    """Counts of the words of `kept`, in `kept` and in `left`."""
    words: Any = CountVectorizer()
    return words.fit_transform(kept), words.transform(left)


def embedded_words(kept: list[str], left: list[str], seed: int) -> tuple[Matrix, Matrix]:
    """Means of word vectors made of `kept` itself: a truncated SVD of its TF-IDF, of length 1."""
    words: Any = TfidfVectorizer(min_df=2, sublinear_tf=True)
    factors: Any = TruncatedSVD(_DIMENSIONS, random_state=seed)
    near = factors.fit_transform(words.fit_transform(kept))
    far = factors.transform(words.transform(left))
    return _of_length_1(near), _of_length_1(far)


def _of_length_1(vectors: Floats) -> Floats:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
