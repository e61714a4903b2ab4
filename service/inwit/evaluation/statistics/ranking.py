"""How well risks rank unsafe samples above safe ones: AUROC, AUPRC, recall at a bounded FPR."""

from dataclasses import dataclass

import numpy as np

from inwit.evaluation.statistics.bootstrap import TAILS, Resamples
from inwit.evaluation.statistics.observations import (
    Bools,
    Floats,
    Integers,
    Observations,
    check_judged,
)
from inwit.policy.calibration import Estimate

_ROUNDING = 1e-9  # shares that are equal but for floats


@dataclass(frozen=True, slots=True)
class Curve:
    """What lies at or above each distinct risk, from the highest: weights of rows by risks."""

    unsafe: Floats
    safe: Floats

    @property
    def auroc(self) -> Floats:
        """The chance that an unsafe sample has the higher risk than a safe one; a tie counts half.

        Not a number where a class has no weight.
        """
        above = self.unsafe - np.diff(self.unsafe, axis=1, prepend=0.0) / 2
        ordered = (np.diff(self.safe, axis=1, prepend=0.0) * above).sum(axis=1)
        return _divided(ordered, _whole(self.unsafe) * _whole(self.safe))

    @property
    def average_precision(self) -> Floats:
        """AUPRC, step-wise: the sum of (R_n - R_(n-1)) P_n over distinct risks, from the highest.

        As scikit-learn's `average_precision_score`. Not a number where a class has no weight: with
        unsafe samples alone it would be 1 whatever the risks.
        """
        flagged = self.unsafe + self.safe
        precision = self.unsafe / np.where(flagged > 0, flagged, 1.0)
        steps = (np.diff(self.unsafe, axis=1, prepend=0.0) * precision).sum(axis=1)
        return np.where(_whole(self.safe) > 0, _divided(steps, _whole(self.unsafe)), np.nan)

    def recall_at(self, most: float) -> Floats:
        """The highest recall of a threshold whose false-positive rate is at most `most`.

        Not a number where a class has no weight.
        """
        allowed = self.safe <= _whole(self.safe)[:, None] * (most + _ROUNDING)
        caught = np.where(allowed, self.unsafe, 0.0).max(axis=1, initial=0.0)
        recall = _divided(caught, _whole(self.unsafe))
        return np.where(_whole(self.safe) > 0, recall, np.nan)


@dataclass(frozen=True, slots=True)
class Ranking:
    """Samples from the highest risk down; `ends` are the places where a tie ends."""

    order: Integers
    ends: Integers
    unsafe: Bools

    @classmethod
    def of(cls, risks: Floats, unsafe: Bools) -> "Ranking":
        """Rank the samples. A risk may be any number, and infinite.

        Raises:
            ValueError: a sample was not judged.
        """
        check_judged(risks)
        order = np.argsort(-risks, kind="stable").astype(np.int64)
        falling = risks[order]
        ends = np.flatnonzero(np.append(falling[1:] != falling[:-1], [True] * (len(risks) > 0)))
        return cls(order, ends.astype(np.int64), unsafe[order])

    def curve(self, weights: Floats) -> Curve:
        """The curve where each sample counts `weights` times: rows of one number per sample."""
        ordered = weights[:, self.order]
        unsafe = np.cumsum(ordered * self.unsafe, axis=1)[:, self.ends]
        return Curve(unsafe, np.cumsum(ordered, axis=1)[:, self.ends] - unsafe)


def auroc(risks: Floats, unsafe: Bools, weights: Floats | None = None) -> float:
    """The AUROC of risks, not a number where a class is missing or has no weight.

    Raises:
        ValueError: a sample was not judged.
    """
    weights = np.ones(len(risks)) if weights is None else weights
    return float(Ranking.of(risks, unsafe).curve(weights[None, :]).auroc[0])


def average_precision(risks: Floats, unsafe: Bools) -> float:
    """The AUPRC of risks, not a number where a class is missing.

    Raises:
        ValueError: a sample was not judged.
    """
    weights = np.ones((1, len(risks)))
    return float(Ranking.of(risks, unsafe).curve(weights).average_precision[0])


def measure_auroc(observations: Observations, seed: int) -> Estimate:
    """The AUROC of the raw risks, with its percentile interval.

    Raises:
        ValueError: a sample was not judged.
    """
    ranking = Ranking.of(observations.raw, observations.unsafe)
    resamples = Resamples.of(observations.groups, seed)
    draws = resamples.each(lambda weights: ranking.curve(weights).auroc)
    low, high = np.nanpercentile(draws, TAILS)
    return Estimate(auroc(observations.raw, observations.unsafe), float(low), float(high))


def _whole(columns: Floats) -> Floats:
    """The weight of a class in each row: all that lies at or above the lowest risk."""
    return columns[:, -1] if columns.shape[1] else np.zeros(len(columns))


def _divided(top: Floats, bottom: Floats) -> Floats:
    return top / np.where(bottom > 0, bottom, np.nan)
