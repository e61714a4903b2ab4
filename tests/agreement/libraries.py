"""Second implementations, from libraries that carry no types."""

# pyright: reportMissingTypeStubs=false
from collections.abc import Sequence
from typing import Any

import scipy.stats
import sklearn.metrics


def kappa(one: Sequence[str], other: Sequence[str]) -> float:
    """Cohen's, by scikit-learn; not a number where both always say the same."""
    metrics: Any = sklearn.metrics
    return float(metrics.cohen_kappa_score(one, other))


def wilson(count: int, of: int) -> tuple[float, float]:
    """The interval by scipy."""
    stats: Any = scipy.stats
    found = stats.binomtest(count, of).proportion_ci(0.95, "wilson")
    return float(found.low), float(found.high)
