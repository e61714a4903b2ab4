"""How far the people agree who labelled a set: the ceiling for any judge of it.

The coefficients are those of `inwit.agreement`; here their intervals are clustered by prompt.
"""

from collections.abc import Sequence

import numpy as np

from inwit.agreement.coefficients import Coefficients, Ratings, coefficients, estimate_of
from inwit.agreement.report import TOO_FEW, Agreement, Estimate, WhyNot
from inwit.evaluation.statistics.bootstrap import RESAMPLES, TAILS, Resamples, widened
from inwit.evaluation.statistics.observations import Floats, Integers
from inwit.policy.calibration import Estimate as Interval

Labels = Sequence[str | None]  # one for each rater, by place; None where that one gave none

_CHUNK = 2**20  # numbers in one array


def measure_raters(
    items: Sequence[Labels], groups: Integers, seed: int, resamples: int = RESAMPLES
) -> Agreement:
    """Krippendorff's alpha (nominal), Cohen's and Fleiss' kappa, and the share who agree.

    Where places stand for nobody in particular, Cohen's kappa says nothing: alpha does. Items with
    fewer than two labels are left out.

    Raises:
        ValueError: there is not one group for each item.
    """
    if len(items) != len(groups):
        raise ValueError(f"{len(items)} items, and {len(groups)} groups")
    named = [_named(each) for each in items]
    ratings = Ratings.of(named)
    count = ratings.cases
    if not count:
        none = Estimate(None, why=WhyNot.NO_CASES)
        return Agreement(0, 0, 0, True, none, none, none, none)
    paired = np.array([len(each) > 1 for each in named])
    drawn = Resamples.of(groups[paired], seed, resamples)
    point, draws = coefficients(ratings, np.ones((1, count))), _draws(ratings, drawn)
    return Agreement(
        cases=count,
        rulings=len(ratings.case),
        people=ratings.raters,
        too_few=count < TOO_FEW,
        percent=_share(point.percent, [each.percent for each in draws], drawn.prompts),
        cohen=estimate_of(point.cohen, [each.cohen for each in draws]),
        fleiss=estimate_of(point.fleiss, [each.fleiss for each in draws]),
        alpha=estimate_of(point.alpha, [each.alpha for each in draws]),
    )


def _named(labels: Labels) -> list[tuple[str, str]]:
    return [(f"{place:04}", label) for place, label in enumerate(labels) if label is not None]


def _draws(ratings: Ratings, resamples: Resamples) -> list[Coefficients]:
    """The coefficients of all resamples, in portions that fit in memory."""
    widest = max(len(ratings.case), len(ratings.pairs[0]), ratings.raters**2)
    rows = max(1, _CHUNK // widest)
    found: list[Coefficients] = []
    for start in range(0, len(resamples.drawn), rows):
        weights = resamples.drawn[start : start + rows][:, resamples.numbers]
        # Prompts have different numbers of items, and rows must sum to the number of all.
        scale = ratings.cases / weights.sum(axis=1, keepdims=True)
        found.append(coefficients(ratings, weights * scale))
    return found


def _share(point: Floats, drawn: Sequence[Floats], prompts: int) -> Estimate:
    value = float(point[0])
    low, high = (float(each) for each in np.percentile(np.concatenate(drawn), TAILS))
    found = widened(Interval(value, min(low, value), max(high, value)), prompts)
    return Estimate(value, found.low, found.high)
