"""Second implementations, from a library that carries no types."""

# pyright: reportMissingTypeStubs=false
from typing import Any

import scipy.special
import scipy.stats

_STATS: Any = scipy.stats
_SPECIAL: Any = scipy.special


def incomplete_beta(x: float, a: float, b: float) -> float:
    """I_x(a, b)."""
    return float(_SPECIAL.betainc(a, b, x))


def exact_interval(hits: int, of: int, level: float) -> tuple[float, float]:
    """Clopper and Pearson's."""
    found = _STATS.binomtest(hits, of).proportion_ci(level, "exact")
    return float(found.low), float(found.high)


def binomial(of: int, share: float) -> list[float]:
    """The probability of each number of hits, from 0 to `of`."""
    return [float(each) for each in _STATS.binom.pmf(range(of + 1), of, share)]
