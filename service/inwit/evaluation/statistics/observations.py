"""What is measured: samples with their risks or decisions, their labels and their prompts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Observations:
    """Samples, one entry each: raw risk, whether it is unsafe, and its prompt's number.

    The raw risk is not a number where the sample was not judged. Only what says so takes those.

    Raises:
        ValueError: the three differ in length.
    """

    raw: Floats
    unsafe: Bools
    groups: Integers

    def __post_init__(self) -> None:
        _check_lengths(self.raw, self.unsafe, self.groups)

    @property
    def prior(self) -> float:
        """The share of unsafe samples."""
        return float(np.mean(self.unsafe))

    @property
    def prompts(self) -> int:
        """How many groups there are."""
        return len(np.unique(self.groups))

    @property
    def judged(self) -> Bools:
        """Which samples have a risk."""
        return ~np.isnan(self.raw)

    def where(self, kept: Bools) -> "Observations":
        """Some of the samples: those of a category, say, or of a language."""
        return Observations(self.raw[kept], self.unsafe[kept], self.groups[kept])


@dataclass(frozen=True, slots=True)
class Decisions:
    """Samples that were flagged or not, by a judge or a policy that gives no scores.

    `flagged` says nothing where `judged` is false.

    Raises:
        ValueError: the four differ in length.
    """

    flagged: Bools
    judged: Bools
    unsafe: Bools
    groups: Integers

    def __post_init__(self) -> None:
        _check_lengths(self.flagged, self.judged, self.unsafe, self.groups)

    def where(self, kept: Bools) -> "Decisions":
        """Some of the samples."""
        return Decisions(
            self.flagged[kept], self.judged[kept], self.unsafe[kept], self.groups[kept]
        )


def decided(observations: Observations, threshold: float) -> Decisions:
    """Flags what has at least the threshold as its risk."""
    return Decisions(
        flagged=observations.raw >= threshold,
        judged=observations.judged,
        unsafe=observations.unsafe,
        groups=observations.groups,
    )


def check_judged(risks: Floats) -> None:
    """Refuse samples without a risk, where a figure has no place for them.

    Raises:
        ValueError: with their number.
    """
    missing = int(np.isnan(risks).sum())
    if missing:
        raise ValueError(f"{missing} of {len(risks)} samples were not judged; leave them out first")


def _check_lengths(*columns: Floats | Bools | Integers) -> None:
    lengths = {len(each) for each in columns}
    if len(lengths) > 1:
        raise ValueError(f"one entry for each sample is needed, and there are {sorted(lengths)}")
