"""Does it state its uncertainty: how far risks are probabilities, before and after calibration.

Fitted by Platt's method on what the training parts hold back; each seed fits on two thirds of
their prompts, so that the interval over seeds is one over calibration splits. Where a calibration
is in use, that is measured too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from inwit.evaluation.bench.asking import observed
from inwit.evaluation.curves import Platt
from inwit.evaluation.experiments.figures import needed, over
from inwit.evaluation.experiments.suite import Draws
from inwit.evaluation.fitting import fit_platt
from inwit.evaluation.results import CalibrationError, ReliabilityBin, SeedsFigure
from inwit.evaluation.statistics.calibration_error import (
    decompose,
    ece,
    ece_by_chance,
    equal_width,
    measure_quality,
    reliability,
)
from inwit.evaluation.statistics.observations import Floats, Observations
from inwit.evaluation.statistics.seeds import over_seeds
from inwit.policy.calibration import Calibration

_LEAST = 20  # judged samples of each label to fit on
_SHARE = 2 / 3

Curve = Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True)
class Fits:
    """The curve fitted on everything, and one for each seed's split."""

    whole: Platt
    by_seed: tuple[Platt, ...]


def fits(fitted: Observations, seeds: Sequence[int]) -> Fits | None:
    """Curves from training samples; None where too few were judged to fit anything."""
    kept = fitted.where(fitted.judged)
    unsafe = int(kept.unsafe.sum())
    if min(unsafe, len(kept.raw) - unsafe) < _LEAST:
        return None
    return Fits(fit_platt(kept.raw, kept.unsafe), tuple(_split(kept, seed) for seed in seeds))


def calibration(
    draws: Draws,
    judge: str,
    risks: Floats,
    fitted: Fits | None,
    in_use: Calibration | None,
    seed: int,
) -> list[CalibrationError]:
    """The errors of one judge on one set: as it is, by the fits, by the calibration in use."""
    every = observed(draws.samples, risks)
    kept = every.where(every.judged)
    if not len(kept.raw):
        return []
    found = [_error(draws, judge, "before", kept, kept.raw, None, seed)]
    if fitted is not None:
        each = [
            ece(after, kept.unsafe, equal_width(after))
            for after in (curve(kept.raw) for curve in fitted.by_seed)
        ]
        after = fitted.whole(kept.raw)
        found.append(_error(draws, judge, "after", kept, after, over(over_seeds(each)), seed))
    if in_use is not None:
        applied = np.array([in_use.apply(raw) for raw in kept.raw])
        found.append(_error(draws, judge, "in use", kept, applied, None, seed))
    return found


def _split(kept: Observations, seed: int) -> Platt:
    prompts = np.unique(kept.groups)
    drawn = np.random.default_rng(seed).permutation(prompts)[: int(len(prompts) * _SHARE)]
    some = kept.where(np.isin(kept.groups, drawn))
    if some.unsafe.all() or not some.unsafe.any():
        some = kept
    return fit_platt(some.raw, some.unsafe)


def _error(
    draws: Draws,
    judge: str,
    stage: str,
    kept: Observations,
    risks: Floats,
    over_splits: SeedsFigure | None,
    seed: int,
) -> CalibrationError:
    quality, parts = measure_quality(risks, kept, seed), decompose(risks, kept, seed)
    recipe = draws.dataset.recipe
    return CalibrationError(
        judge=judge,
        dataset=recipe.name,
        distribution=recipe.distribution.value,  # pyright: ignore[reportArgumentType]  # prompts have no draws
        stage=stage,  # pyright: ignore[reportArgumentType]  # of three words
        samples=len(risks),
        brier=needed(quality.brier),
        ece=needed(quality.ece),
        ece_adaptive=needed(quality.ece_adaptive),
        ece_by_chance=ece_by_chance(risks, seed),
        reliability=parts.reliability.value,
        resolution=parts.resolution.value,
        uncertainty=parts.uncertainty.value,
        within=parts.within.value,
        bins=[
            ReliabilityBin(risk=each.risk, unsafe=each.unsafe, count=each.count)
            for each in reliability(risks, kept.unsafe)
        ],
        ece_over_seeds=over_splits,
    )
