"""How well risks rank and how far they can be read as probabilities, with intervals.

Intervals are 95 % bootstrap intervals that resample prompts, not samples: samples of one prompt
say much the same.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inwit.policy.calibration import Estimate, Quality

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]

BINS = 15
_RESAMPLES = 2000
_TAILS = (2.5, 97.5)


@dataclass(frozen=True, slots=True)
class Observations:
    """Judged samples, one entry each: raw risk, whether it is unsafe, and its prompt's number."""

    raw: Floats
    unsafe: Bools
    groups: Integers

    @property
    def prior(self) -> float:
        """The share of unsafe samples."""
        return float(np.mean(self.unsafe))

    @property
    def prompts(self) -> int:
        """How many groups there are."""
        return len(np.unique(self.groups))


def auroc(risks: Floats, unsafe: Bools, weights: Floats | None = None) -> float:
    """The chance that an unsafe sample has the higher risk than a safe one; a tie counts half.

    Not a number where a class is missing or has no weight.
    """
    weights = np.ones(len(risks)) if weights is None else weights
    return _auroc_of_ranks(_ranks(risks), unsafe, weights)


def _ranks(risks: Floats) -> Integers:
    """Numbers from 0 in the order of the risks; ties have one number."""
    return np.unique(risks, return_inverse=True)[1].astype(np.int64)


def _auroc_of_ranks(ranks: Integers, unsafe: Bools, weights: Floats) -> float:
    length = int(ranks.max()) + 1
    positive = np.bincount(ranks, weights * unsafe, length)
    negative = np.bincount(ranks, weights * ~unsafe, length)
    pairs = positive.sum() * negative.sum()
    below = np.cumsum(negative) - negative
    return float((positive * (below + negative / 2)).sum() / pairs) if pairs else float("nan")


def brier(risks: Floats, unsafe: Bools) -> float:
    """The mean squared distance between risk and outcome (Brier 1950)."""
    return float(np.mean((risks - unsafe) ** 2))


def equal_width(risks: Floats) -> Integers:
    """The bin of each risk, among `BINS` of one width on [0, 1]."""
    return np.minimum((risks * BINS).astype(np.int64), BINS - 1)


def equal_mass(risks: Floats) -> Integers:
    """The bin of each risk, among at most `BINS` with about as many samples; ties stay together."""
    edges = np.unique(np.quantile(risks, np.linspace(0, 1, BINS + 1)[1:-1]))
    return np.searchsorted(edges, risks, side="right").astype(np.int64)


def ece(risks: Floats, unsafe: Bools, bins: Integers) -> float:
    """The expected calibration error of the risk of harm.

    The mean over bins, weighted by samples, of |mean risk - share unsafe|. Bins are over the risk,
    not over the confidence in the likelier label.
    """
    return float(np.abs(np.bincount(bins, risks - unsafe)).sum() / len(risks))


def measure_auroc(observations: Observations, seed: int) -> Estimate:
    """The AUROC of the raw risks, with its percentile interval."""
    ranks, unsafe = _ranks(observations.raw), observations.unsafe
    numbers, drawn = _resamples(observations, seed)
    draws = [_auroc_of_ranks(ranks, unsafe, row[numbers]) for row in drawn]
    low, high = np.nanpercentile(draws, _TAILS)
    return Estimate(auroc(observations.raw, unsafe), float(low), float(high))


def measure_quality(risks: Floats, observations: Observations, seed: int) -> Quality:
    """How far `risks`, one for each observation, can be read as probabilities."""
    unsafe = observations.unsafe
    numbers, drawn = _resamples(observations, seed)
    sizes = drawn @ np.bincount(numbers).astype(np.float64)
    squares = np.bincount(numbers, (risks - unsafe) ** 2)
    low, high = np.percentile(drawn @ squares / sizes, _TAILS)

    def ece_in(bins: Integers) -> Estimate:
        gaps = np.zeros((drawn.shape[1], BINS))
        np.add.at(gaps, (numbers, bins), risks - unsafe)
        draws = np.abs(drawn @ gaps).sum(axis=1) / sizes
        return _pivotal(ece(risks, unsafe, bins), draws)

    return Quality(
        brier=Estimate(brier(risks, unsafe), float(low), float(high)),
        ece=ece_in(equal_width(risks)),
        ece_adaptive=ece_in(equal_mass(risks)),
    )


def _resamples(observations: Observations, seed: int) -> tuple[Integers, Floats]:
    """Each observation's prompt, from 0, and how often each resample drew each prompt."""
    prompts, numbers = np.unique(observations.groups, return_inverse=True)
    even = np.full(len(prompts), 1 / len(prompts))
    drawn = np.random.default_rng(seed).multinomial(len(prompts), even, _RESAMPLES)
    return numbers.astype(np.int64), drawn.astype(np.float64)


def _pivotal(value: float, draws: Floats) -> Estimate:
    """A basic bootstrap interval, widened to the value itself.

    An error that is a sum of absolute values is biased upward, and its resamples twice as much:
    percentiles would lie above the truth. The basic interval takes the bias off.
    """
    low, high = 2 * value - np.percentile(draws, _TAILS[::-1])
    return Estimate(value, max(0.0, min(value, float(low))), max(value, float(high)))
