"""What differs between two scorings of the same samples, beyond noise.

Both are drawn anew with the same prompts, so that what makes a sample hard cancels out. The p is
that of the bootstrap: twice the share of resamples in which the difference is not on the side where
it was found, the found one counted among them (Davison and Hinkley 1997, 4.2.2). It is never below
that of the sign test over the prompts in which the two differ at all: five prompts that all say the
same are no proof.
"""

from dataclasses import dataclass

import numpy as np

from inwit.agreement.shares import wilson
from inwit.evaluation.statistics.bootstrap import RESAMPLES, ZERO, Resamples, percentiles
from inwit.evaluation.statistics.observations import (
    Bools,
    Decisions,
    Floats,
    Observations,
    decided,
)
from inwit.evaluation.statistics.ranking import Ranking

_LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Change:
    """A figure of the second scoring less that of the first, its 95 % interval, two-sided p."""

    value: float
    low: float
    high: float
    p: float

    @property
    def beyond_noise(self) -> bool:
        """Whether interval and p both say that there is a difference."""
        return self.p < _LEVEL and not self.low <= 0.0 <= self.high

    def __str__(self) -> str:
        return f"{self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}], p {self.p:.3f}"


@dataclass(frozen=True, slots=True)
class Difference:
    """The second scoring less the first, over the `samples` that both judged.

    A figure is `None` where it is not defined: AUROC without both classes or without scores, recall
    and false-positive rate without their class or without a threshold, mean risk without scores.
    """

    samples: int
    prompts: int
    left_out: int
    auroc: Change | None
    recall: Change | None
    false_positive_rate: Change | None
    mean_risk: Change | None


def paired_difference(
    first: Observations,
    second: Observations,
    seed: int,
    thresholds: tuple[float, float] | None = None,
    resamples: int = RESAMPLES,
) -> Difference:
    """What changed from the first scoring to the second; each has its own threshold.

    A sample that one of them did not judge is left out of both. Where a missing verdict counts as
    a flag, give it a risk of 1 first.

    Raises:
        ValueError: they are not of the same samples.
    """
    _check_same(first, second)
    both = first.judged & second.judged
    first, second = first.where(both), second.where(both)
    drawn = Resamples.of(first.groups, seed, resamples)
    caught = wrong = None
    if thresholds is not None:
        one, other = (decided(x, at) for x, at in zip((first, second), thresholds, strict=True))
        caught, wrong = _flags_differ(one, other, drawn)
    return Difference(
        samples=int(both.sum()),
        prompts=drawn.prompts,
        left_out=int((~both).sum()),
        auroc=_auroc_differs(first, second, drawn),
        recall=caught,
        false_positive_rate=wrong,
        mean_risk=_mean_differs(second.raw - first.raw, drawn),
    )


def paired_decisions(
    first: Decisions, second: Decisions, seed: int, resamples: int = RESAMPLES
) -> Difference:
    """What changed between two that flag and give no scores.

    Raises:
        ValueError: they are not of the same samples.
    """
    _check_same(first, second)
    both = first.judged & second.judged
    first, second = first.where(both), second.where(both)
    drawn = Resamples.of(first.groups, seed, resamples)
    caught, wrong = _flags_differ(first, second, drawn)
    return Difference(
        samples=int(both.sum()),
        prompts=drawn.prompts,
        left_out=int((~both).sum()),
        auroc=None,
        recall=caught,
        false_positive_rate=wrong,
        mean_risk=None,
    )


def _check_same(first: Observations | Decisions, second: Observations | Decisions) -> None:
    same = np.array_equal(first.unsafe, second.unsafe)
    if not same or not np.array_equal(first.groups, second.groups):
        raise ValueError("a paired difference needs the same samples, in the same order")


def _auroc_differs(
    first: Observations, second: Observations, resamples: Resamples
) -> Change | None:
    if not first.unsafe.any() or first.unsafe.all():
        return None
    rankings = [Ranking.of(each.raw, each.unsafe) for each in (first, second)]

    def differ(weights: Floats) -> Floats:
        one, other = (ranking.curve(weights).auroc for ranking in rankings)
        return other - one

    value = float(differ(np.ones((1, len(first.raw))))[0])
    return _change(value, resamples.each(differ), resamples.holding(first.raw != second.raw))


def _mean_differs(more: Floats, resamples: Resamples) -> Change | None:
    if not len(more):
        return None
    draws = resamples.sums(more) / resamples.sums(np.ones(len(more)))
    return _change(float(more.mean()), draws, resamples.holding(more != 0))


def _flags_differ(
    first: Decisions, second: Decisions, resamples: Resamples
) -> tuple[Change | None, Change | None]:
    """Of recall and of the false-positive rate."""
    more = second.flagged.astype(np.float64) - first.flagged
    unsafe = first.unsafe
    return _share_differs(more, unsafe, resamples), _share_differs(more, ~unsafe, resamples)


def _share_differs(more: Floats, within: Bools, resamples: Resamples) -> Change | None:
    """The difference of two shares of one class; resamples without that class are left out."""
    if not within.any():
        return None
    of = resamples.sums(within)
    draws = resamples.sums(more * within)[of > 0] / of[of > 0]
    value = float(more[within].mean())
    found = _change(value, draws, resamples.holding(within & (more != 0)))
    if found.high - found.low > ZERO:
        return found
    # Drawing anew what is all alike cannot say how rare the rest may be.
    _, rest = wilson(0, resamples.holding(within))
    return Change(value, max(-1.0, value - rest), min(1.0, value + rest), found.p)


def _change(value: float, draws: Floats, differing: int) -> Change:
    """Where the difference is not defined, a resample counts for either side."""
    interval = percentiles(value, draws, -1.0, 1.0)
    sides = (int((~(draws > 0)).sum()), int((~(draws < 0)).sum()))
    p = max(2 * (min(sides) + 1) / (len(draws) + 1), 2.0 ** (1 - differing))
    return Change(value, interval.low, interval.high, min(1.0, p))
