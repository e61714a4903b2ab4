"""The clustered bootstrap, drawn in one place: intervals resample prompts, not samples.

Samples of one prompt say much the same. Each resample draws as many prompts as there are, with
replacement, and takes all samples of a prompt as often as it was drawn (Field and Welsh 2007).
Intervals are 95 % intervals.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from inwit.agreement.shares import wilson
from inwit.evaluation.statistics.observations import Bools, Floats, Integers
from inwit.policy.calibration import Estimate

RESAMPLES = 2000
TAILS = (2.5, 97.5)
ZERO = 1e-12  # what differs by less differs by rounding
_CHUNK = 2**17  # numbers in one array


@dataclass(frozen=True, slots=True)
class Resamples:
    """The prompt of each sample, from 0, and how often each resample drew each prompt.

    `drawn` has a row for each resample and a column for each prompt.
    """

    numbers: Integers
    drawn: Floats

    @classmethod
    def of(cls, groups: Integers, seed: int, count: int = RESAMPLES) -> "Resamples":
        """Draw `count` resamples of the prompts that the samples' groups name."""
        prompts, numbers = np.unique(groups, return_inverse=True)
        if not len(prompts):
            return cls(numbers.astype(np.int64), np.zeros((count, 0)))
        even = np.full(len(prompts), 1 / len(prompts))
        drawn = np.random.default_rng(seed).multinomial(len(prompts), even, count)
        return cls(numbers.astype(np.int64), drawn.astype(np.float64))

    def undrawn(self) -> "Resamples":
        """The samples as they are: one row, with each prompt once."""
        return Resamples(self.numbers, np.ones((1, self.prompts)))

    @property
    def prompts(self) -> int:
        """How many."""
        return self.drawn.shape[1]

    def holding(self, samples: Bools) -> int:
        """How many prompts hold at least one of these samples."""
        return len(np.unique(self.numbers[samples]))

    def sums(self, values: Floats | Bools) -> Floats:
        """In each resample the sum of one value for each sample."""
        return self.drawn @ np.bincount(self.numbers, values, self.prompts)

    def binned(self, bins: Integers, count: int, values: Floats | Bools) -> Floats:
        """In each resample the sum over each bin: resamples by `count` bins."""
        sums = np.zeros((self.prompts, count))
        np.add.at(sums, (self.numbers, bins), values)
        return self.drawn @ sums

    def each(self, statistic: Callable[[Floats], Floats]) -> Floats:
        """A statistic in each resample.

        It is given rows of weights, one for each sample, in portions that fit in memory, and gives
        one number or one row of numbers for each row.
        """
        rows = max(1, _CHUNK // max(1, len(self.numbers)))
        starts = range(0, len(self.drawn), rows)
        return np.concatenate(
            [statistic(self.drawn[start : start + rows][:, self.numbers]) for start in starts]
        )


def percentiles(value: float, draws: Floats, floor: float, ceiling: float) -> Estimate:
    """The percentile interval, widened to the value itself.

    A resample in which the figure is not defined counts as `floor` for the low end and as `ceiling`
    for the high one: where many are, the interval says that nothing is known.
    """
    undefined = np.isnan(draws)
    low = float(np.percentile(np.where(undefined, floor, draws), TAILS[0]))
    high = float(np.percentile(np.where(undefined, ceiling, draws), TAILS[1]))
    return Estimate(value, min(value, low), max(value, high))


def pivotal(value: float, draws: Floats) -> Estimate:
    """A basic bootstrap interval, widened to the value itself, of what cannot be below 0.

    An error that is a sum of absolute values is biased upward, and its resamples twice as much:
    percentiles would lie above the truth. The basic interval takes the bias off.
    """
    low, high = 2 * value - np.percentile(draws, TAILS[::-1])
    return Estimate(value, max(0.0, min(value, float(low))), max(value, float(high)))


def widened(found: Estimate, prompts: int) -> Estimate:
    """Wilson's interval over the prompts behind a figure in [0, 1], where resamples do not differ.

    Nothing missed among 20 prompts does not show that nothing ever is; but drawing those 20 anew
    can only say so.
    """
    if found.high - found.low > ZERO or not prompts:
        return found
    low, high = wilson(found.value * prompts, prompts)
    return Estimate(found.value, min(low, found.value), max(high, found.value))


def ratio(resamples: Resamples, top: Floats | Bools, bottom: Floats | Bools) -> Estimate | None:
    """The share sum(top) / sum(bottom), with one entry of each for each sample, top within bottom.

    `None` where there is nothing to divide by. Resamples where that happens are left out: a share
    is of what there is, and `widened` speaks for those that rest on next to nothing.
    """
    whole = float(bottom.sum())
    if not whole:
        return None
    value = float(top.sum()) / whole
    below = resamples.sums(bottom)
    draws = resamples.sums(top)[below > 0] / below[below > 0]
    found = percentiles(value, draws, 0.0, 1.0)
    return widened(found, resamples.holding(bottom > 0))
