"""A figure over seeds: how far it moves when nothing changes but chance."""

# SciPy carries no types; what leaves this file has them.
# pyright: reportMissingTypeStubs=false
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.special


@dataclass(frozen=True, slots=True)
class OverSeeds:
    """The mean of a figure over `seeds` runs and its 95 % interval.

    `undefined` runs gave no figure and are not among the `seeds`. There is no mean without a seed,
    and no interval and no standard deviation with fewer than two.
    """

    mean: float | None
    low: float | None
    high: float | None
    deviation: float | None
    seeds: int
    undefined: int


def over_seeds(figures: Sequence[float | None]) -> OverSeeds:
    """The mean over seeds, one figure for each, with Student's t interval.

    Not percentiles: an evaluation has three to ten seeds, and the percentiles of so few never reach
    the tails. The interval is of what more seeds on the same samples would give, and says nothing
    of other samples.
    """
    found = np.array([each for each in figures if each is not None], dtype=np.float64)
    count, undefined = len(found), len(figures) - len(found)
    if not count:
        return OverSeeds(None, None, None, None, 0, undefined)
    mean = float(found.mean())
    if count == 1:
        return OverSeeds(mean, None, None, None, 1, undefined)
    deviation = float(found.std(ddof=1))
    half = _student(count - 1) * deviation / count**0.5
    return OverSeeds(mean, mean - half, mean + half, deviation, count, undefined)


def _student(freedom: int) -> float:
    """The 97.5 % point of Student's t distribution."""
    special: Any = scipy.special
    return float(special.stdtrit(freedom, 0.975))
