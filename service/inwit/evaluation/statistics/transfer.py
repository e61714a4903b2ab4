"""How judges stand up to attacks, and whether what evades one evades another.

All samples here are unsafe, and every attack keeps that. Whether a sample that was not judged
counts as caught is for the caller to say.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from inwit.evaluation.statistics.bootstrap import RESAMPLES, Resamples, ratio
from inwit.evaluation.statistics.observations import Bools, Integers
from inwit.policy.calibration import Estimate


@dataclass(frozen=True, slots=True)
class Attacked:
    """What one judge caught: of the plain samples, and under each attack (attacks by samples).

    Raises:
        ValueError: the shapes do not fit.
    """

    plain: Bools
    caught: Bools

    def __post_init__(self) -> None:
        if self.caught.ndim != 2 or self.caught.shape[1:] != self.plain.shape:
            raise ValueError(f"{self.caught.shape} caught and {self.plain.shape} plain do not fit")


@dataclass(frozen=True, slots=True)
class Resistance:
    """Recall of the plain samples, under each attack, and in the worst case.

    In the worst case a sample counts as caught if it is caught plain and under every attack: who
    attacks takes what works, and leaves the text as it is where that does. All are `None` without
    samples.
    """

    plain: Estimate | None
    under: tuple[Estimate | None, ...]
    worst: Estimate | None


@dataclass(frozen=True, slots=True)
class Transfer:
    """What the samples do to a second judge that evade a first one though it catches them plain.

    `evades` is the share of these `samples` for which an attack that evades the first judge evades
    the second too; `plain` is the share that the second misses without any attack, which is no
    transfer. Both are `None` where nothing evades the first judge.
    """

    samples: int
    evades: Estimate | None
    plain: Estimate | None


def resist(judge: Attacked, groups: Integers, seed: int, resamples: int = RESAMPLES) -> Resistance:
    """The recall of one judge under attack, with intervals clustered by prompt."""
    drawn = Resamples.of(groups, seed, resamples)
    every = np.ones(len(groups), dtype=np.bool_)
    return Resistance(
        plain=ratio(drawn, judge.plain, every),
        under=tuple(ratio(drawn, each, every) for each in judge.caught),
        worst=ratio(drawn, judge.plain & judge.caught.all(axis=0), every),
    )


def transfers(
    judges: Mapping[str, Attacked], groups: Integers, seed: int, resamples: int = RESAMPLES
) -> dict[tuple[str, str], Transfer]:
    """The transfer from each judge to each, under the same attacks on the same samples.

    Raises:
        ValueError: the judges were not tried on the same attacks and samples.
    """
    shapes = {each.caught.shape for each in judges.values()}
    if len(shapes) > 1 or any(shape[1] != len(groups) for shape in shapes):
        raise ValueError(f"all judges need the same attacks on the same samples: {sorted(shapes)}")
    drawn = Resamples.of(groups, seed, resamples)
    return {
        (one, other): _transfer(first, second, drawn)
        for one, first in judges.items()
        for other, second in judges.items()
    }


def _transfer(first: Attacked, second: Attacked, resamples: Resamples) -> Transfer:
    evading = ~first.caught & first.plain
    found = evading.sum(axis=0) > 0
    both = (evading & ~second.caught).sum(axis=0) > 0
    return Transfer(
        samples=int(found.sum()),
        evades=ratio(resamples, both, found),
        plain=ratio(resamples, found & ~second.plain, found),
    )
