"""How far risks can be read as probabilities: Brier score, its parts, calibration error, bins."""

from dataclasses import dataclass

import numpy as np

from inwit.evaluation.statistics.bootstrap import RESAMPLES, Resamples, percentiles, pivotal
from inwit.evaluation.statistics.observations import (
    Bools,
    Floats,
    Integers,
    Observations,
    check_judged,
)
from inwit.policy.calibration import Estimate, Quality

BINS = 15


@dataclass(frozen=True, slots=True)
class Bin:
    """One bin of risk that holds samples; all but `count` lie in [0, 1]."""

    low: float
    high: float
    count: int
    risk: float
    unsafe: float


@dataclass(frozen=True, slots=True)
class Decomposition:
    """The parts of the Brier score: brier = reliability - resolution + uncertainty + within.

    Murphy (1973) split it for risks of a few values: `reliability` is the squared distance between
    mean risk and share unsafe of a bin (best at 0), `resolution` that between the shares of the
    bins and the share of all (0 where the risks tell nothing), `uncertainty` the variance of the
    labels, which no judge can change. `within` is what bins of unequal risks leave over (Stephenson
    and others 2008): the variance of risks within bins less twice their covariance with the labels.
    """

    brier: Estimate
    reliability: Estimate
    resolution: Estimate
    uncertainty: Estimate
    within: Estimate


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


def ece_by_chance(risks: Floats, seed: int, draws: int = 500) -> float:
    """The mean ECE of a judge whose risks are right: labels are drawn with just these risks.

    It grows as samples get fewer: an error that is no larger shows nothing against a judge.
    """
    bins, random = equal_width(risks), np.random.default_rng(seed)
    return float(
        np.mean([ece(risks, random.random(len(risks)) < risks, bins) for _ in range(draws)])
    )


def reliability(risks: Floats, unsafe: Bools) -> list[Bin]:
    """The bins of equal width that hold samples, in rising order."""
    place = equal_width(risks)
    found: list[Bin] = []
    for number in np.unique(place).tolist():
        inside = place == number
        share, mean = float(unsafe[inside].mean()), float(risks[inside].mean())
        found.append(Bin(number / BINS, (number + 1) / BINS, int(inside.sum()), mean, share))
    return found


def measure_quality(risks: Floats, observations: Observations, seed: int) -> Quality:
    """How far `risks`, one for each observation and at least one, can be read as probabilities.

    Raises:
        ValueError: a sample was not judged.
    """
    check_judged(risks)
    unsafe = observations.unsafe
    resamples = Resamples.of(observations.groups, seed)
    sizes = resamples.sums(np.ones(len(risks)))
    squares = resamples.sums((risks - unsafe) ** 2) / sizes

    def ece_in(bins: Integers) -> Estimate:
        draws = np.abs(resamples.binned(bins, BINS, risks - unsafe)).sum(axis=1) / sizes
        return pivotal(ece(risks, unsafe, bins), draws)

    return Quality(
        brier=percentiles(brier(risks, unsafe), squares, 0.0, 1.0),
        ece=ece_in(equal_width(risks)),
        ece_adaptive=ece_in(equal_mass(risks)),
    )


def decompose(
    risks: Floats, observations: Observations, seed: int, resamples: int = RESAMPLES
) -> Decomposition:
    """The parts of the Brier score over bins of one mass, which stay put while prompts are drawn.

    There is at least one sample. Reliability and resolution are sums of squares, so that their
    intervals are pivotal.

    Raises:
        ValueError: a sample was not judged.
    """
    check_judged(risks)
    bins, unsafe = equal_mass(risks), observations.unsafe
    drawn = Resamples.of(observations.groups, seed, resamples)
    columns = (np.ones(len(risks)), risks, unsafe)

    def parts(over: Resamples) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        counts, summed, harmful = (over.binned(bins, BINS, each) for each in columns)
        return _parts(counts, summed, harmful, over.sums((risks - unsafe) ** 2))

    point, draws = parts(drawn.undrawn()), parts(drawn)
    whole, off, resolved, uncertain, within = (float(each[0]) for each in point)
    return Decomposition(
        brier=percentiles(whole, draws[0], 0.0, 1.0),
        reliability=pivotal(off, draws[1]),
        resolution=pivotal(resolved, draws[2]),
        uncertainty=percentiles(uncertain, draws[3], 0.0, 0.25),
        within=percentiles(within, draws[4], -1.0, 1.0),
    )


def _parts(
    counts: Floats, risks: Floats, unsafe: Floats, squares: Floats
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Brier, reliability, resolution, uncertainty and the rest, of rows of sums over bins."""
    held, size = np.maximum(counts, 1.0), counts.sum(axis=1)
    share = unsafe.sum(axis=1) / size
    off = ((risks - unsafe) ** 2 / held).sum(axis=1) / size
    resolved = (counts * (unsafe / held - share[:, None]) ** 2).sum(axis=1) / size
    uncertain, whole = share * (1 - share), squares / size
    return whole, off, resolved, uncertain, whole - (off - resolved + uncertain)
