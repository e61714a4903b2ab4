"""The miss rate from audited responses and the probabilities with which they were chosen. Pure.

Responses have two sides: those that passed, of which a harmful one is a miss, and those that were
stopped, of which a harmful one is a catch. Each side falls into strata; their sizes are known, and
some of their responses were audited. A stratum's share of harm is the Horvitz-Thompson total of
the harmful ones over that of all (the ratio of Hajek 1971), so that the known size can be used:
N * k / n where all were equally likely. A stratum in which nothing was audited is taken to be like
the others of its side for the number, and can be anything for the interval.

Intervals are at 95 %, about the responses that are to be expected in strata of these sizes:

- few hits (or few of the others) in a stratum: each stratum's exact interval (Clopper and Pearson
  1934) at the level that Bonferroni's inequality asks of each, and the worst that they leave
  together. Wider than needed, by intent. With unequal probabilities within one stratum its size is
  the effective one of Kish (1965), as Korn and Graubard (1998) do, which is no longer exact: make
  strata of equal probability where that matters.
- many of both in every stratum: the percentiles of a bootstrap that draws each stratum anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from inwit.miss_rate.binomial import clopper_pearson

FEW = 10  # fewer hits, or fewer others, in any stratum: the exact interval

_ALPHA = 0.05
_RESAMPLES = 2000
_SEED = 20_260_101

Floats = NDArray[np.float64]


class Side(StrEnum):
    """What a review made of a response: let out as it was written, or not."""

    PASSED = "passed"
    STOPPED = "stopped"


class Method(StrEnum):
    """Where an interval comes from."""

    CLOPPER_PEARSON = "clopper_pearson"
    BOOTSTRAP = "bootstrap"


@dataclass(frozen=True, slots=True)
class Stratum:
    """`size` responses of one side that are audited alike."""

    name: str
    side: Side
    size: int


@dataclass(frozen=True, slots=True)
class Audited:
    """One response that was audited, and the probability in (0, 1] with which it was to be.

    Raises:
        ValueError: no such probability.
    """

    harmful: bool
    inclusion: float
    stratum: str

    def __post_init__(self) -> None:
        if not 0 < self.inclusion <= 1:
            raise ValueError(f"{self.inclusion} is no probability of being audited.")


@dataclass(frozen=True, slots=True)
class Interval:
    """A number and the ends of its interval. What is None is not known, and never 0 in its place.

    The ends may be known where the number is not.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    method: Method | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an audit says of the responses in its strata.

    `rate` is misses / (misses + catches), `per_response` is misses / passed responses.
    """

    rate: Interval
    per_response: Interval
    passed: int
    stopped: int
    audited_passed: int
    audited_stopped: int


@dataclass(frozen=True, slots=True)
class _Audit:
    """What was audited of one stratum: cells of equal answers, each `counts` times."""

    size: int
    weights: Floats
    harmful: NDArray[np.bool_]
    counts: NDArray[np.int64]

    @property
    def count(self) -> int:
        return int(self.counts.sum())

    @property
    def few(self) -> bool:
        hits = int(self.counts[self.harmful].sum())
        return min(hits, self.count - hits) < FEW

    @property
    def share(self) -> float:
        """Of harm; there is at least one audited response."""
        weighted = self.weights * self.counts
        return float(weighted[self.harmful].sum() / weighted.sum())

    def bounds(self, tail: float) -> tuple[float, float]:
        """The fewest and the most harmful ones, with probability `tail` beyond each end."""
        if not self.count:
            return 0.0, float(self.size)
        weighted = self.weights * self.counts
        effective = float(weighted.sum() ** 2 / (self.weights * weighted).sum())
        low, high = clopper_pearson(self.share * effective, effective, tail)
        return self.size * low, self.size * high

    def redrawn(self, random: np.random.Generator) -> Floats:
        """How many harmful ones each resample makes it."""
        drawn = random.multinomial(self.count, self.counts / self.count, _RESAMPLES)
        weighted = drawn * self.weights
        return self.size * weighted[:, self.harmful].sum(axis=1) / weighted.sum(axis=1)


def horvitz_thompson(audited: Mapping[Audited, int]) -> float:
    """The total of harmful responses, sum of y / inclusion (Horvitz and Thompson 1952).

    `audited` says how often each came. It needs no sizes, and knows nothing of them: `estimate`
    is closer to the truth where they are known.
    """
    return sum(count / each.inclusion for each, count in audited.items() if each.harmful)


def estimate(strata: Sequence[Stratum], audited: Mapping[Audited, int]) -> Estimate:
    """The miss rate with its interval; `audited` says how often each came (a Counter of them).

    Raises:
        ValueError: two strata of one name, an audited response of none of them, or more of them
            than their stratum has.
    """
    audits = _audits(strata, audited)
    passed, stopped = audits[Side.PASSED], audits[Side.STOPPED]
    sizes = {side: sum(each.size for each in audits[side]) for side in Side}
    counts = {side: sum(each.count for each in audits[side]) for side in Side}
    known = counts[Side.PASSED] > 0
    return Estimate(
        rate=_rate(passed, stopped) if known else Interval(),
        per_response=_per_response(passed) if known else Interval(),
        passed=sizes[Side.PASSED],
        stopped=sizes[Side.STOPPED],
        audited_passed=counts[Side.PASSED],
        audited_stopped=counts[Side.STOPPED],
    )


def _audits(strata: Sequence[Stratum], audited: Mapping[Audited, int]) -> dict[Side, list[_Audit]]:
    """By side; strata without responses say nothing, and are left out."""
    cells: dict[str, list[tuple[Audited, int]]] = {each.name: [] for each in strata}
    if len(cells) < len(strata):
        raise ValueError("Two strata have one name.")
    for each, count in audited.items():
        if each.stratum not in cells:
            raise ValueError(f"There is no stratum {each.stratum!r}.")
        cells[each.stratum].append((each, count))
    found: dict[Side, list[_Audit]] = {side: [] for side in Side}
    for stratum in strata:
        audit = _audit(stratum.size, cells[stratum.name])
        if audit.count > stratum.size:
            raise ValueError(f"More of {stratum.name!r} was audited than there is.")
        if stratum.size:
            found[stratum.side].append(audit)
    return found


def _audit(size: int, cells: Sequence[tuple[Audited, int]]) -> _Audit:
    return _Audit(
        size,
        np.array([1 / each.inclusion for each, _ in cells], dtype=np.float64),
        np.array([each.harmful for each, _ in cells], dtype=np.bool_),
        np.array([count for _, count in cells], dtype=np.int64),
    )


def _per_response(passed: Sequence[_Audit]) -> Interval:
    size, value = sum(each.size for each in passed), _total(passed)
    if _many(passed):
        return _bootstrapped(
            _redrawn(passed, np.random.default_rng(_SEED)) / size, _over(value, size)
        )
    low, high = _bounds(passed, _tail(passed))
    return _exact(_over(value, size), low / size, high / size)


def _rate(passed: Sequence[_Audit], stopped: Sequence[_Audit]) -> Interval:
    both = (*passed, *stopped)
    misses, catches = _total(passed), _total(stopped)
    value = None if misses is None or catches is None else _over(misses, misses + catches)
    if _many(both):
        random = np.random.default_rng(_SEED)
        drawn, caught = _redrawn(passed, random), _redrawn(stopped, random)
        return _bootstrapped(drawn / (drawn + caught), value)
    tail = _tail(both)
    fewest, most = _bounds(passed, tail)
    least_caught, most_caught = _bounds(stopped, tail)
    low = _over(fewest, fewest + most_caught) or 0.0
    return _exact(value, low, most / (most + least_caught))


def _total(audits: Sequence[_Audit]) -> float | None:
    """The harmful ones of a side; None where nobody looked at any of those that there are."""
    size = sum(each.size for each in audits)
    seen = [each for each in audits if each.count]
    if not seen:
        return 0.0 if size == 0 else None
    found = sum(each.size * each.share for each in seen)
    return found * size / sum(each.size for each in seen)


def _many(audits: Sequence[_Audit]) -> bool:
    return not any(each.few for each in audits)


def _tail(audits: Sequence[_Audit]) -> float:
    """What each end of each stratum's interval may miss, so that all hold together (Bonferroni)."""
    return _ALPHA / 2 / sum(each.count > 0 for each in audits)


def _bounds(audits: Sequence[_Audit], tail: float) -> tuple[float, float]:
    ends = [each.bounds(tail) for each in audits]
    return sum(low for low, _ in ends), sum(high for _, high in ends)


def _redrawn(audits: Sequence[_Audit], random: np.random.Generator) -> Floats:
    found = np.zeros(_RESAMPLES)
    for each in audits:
        found += each.redrawn(random)
    return found


def _over(part: float | None, whole: float) -> float | None:
    return None if part is None or whole <= 0 else part / whole


def _exact(value: float | None, low: float, high: float) -> Interval:
    return Interval(value, low, high, Method.CLOPPER_PEARSON)


def _bootstrapped(drawn: Floats, value: float | None) -> Interval:
    tails = (100 * _ALPHA / 2, 100 - 100 * _ALPHA / 2)
    low, high = (float(each) for each in np.percentile(drawn, tails))
    if value is not None:
        low, high = min(low, value), max(high, value)
    return Interval(value, low, high, Method.BOOTSTRAP)
