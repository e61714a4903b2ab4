"""From what the statistics give to what reports hold."""

from inwit.agreement.report import Estimate as Maybe
from inwit.evaluation.results import Figure, Flagged, SeedsFigure, Shift
from inwit.evaluation.statistics.detection import Flagging
from inwit.evaluation.statistics.paired import Change
from inwit.evaluation.statistics.seeds import OverSeeds
from inwit.policy.calibration import Estimate


def figure(found: Estimate | None) -> Figure | None:
    """A figure, where it is defined."""
    return None if found is None else Figure(value=found.value, low=found.low, high=found.high)


def needed(found: Estimate) -> Figure:
    """A figure that is always defined."""
    return Figure(value=found.value, low=found.low, high=found.high)


def agreed(found: Maybe) -> Figure | None:
    """A coefficient of agreement, where value and interval can be computed."""
    if found.value is None or found.low is None or found.high is None:
        return None
    return Figure(value=found.value, low=found.low, high=found.high)


def shift(found: Change | None) -> Shift | None:
    """A difference, where it is defined."""
    if found is None:
        return None
    return Shift(
        value=found.value,
        low=found.low,
        high=found.high,
        p=found.p,
        beyond_noise=found.beyond_noise,
    )


def over(found: OverSeeds) -> SeedsFigure | None:
    """A figure over seeds, where any seed has one."""
    if found.mean is None:
        return None
    return SeedsFigure(mean=found.mean, low=found.low, high=found.high, seeds=found.seeds)


def flagged(found: Flagging) -> Flagged:
    """What comes of flagging."""
    return Flagged(
        threshold=found.threshold,
        tp=found.tp,
        fp=found.fp,
        tn=found.tn,
        fn=found.fn,
        precision=figure(found.precision),
        recall=figure(found.recall),
        false_negative_rate=figure(found.false_negative_rate),
        false_positive_rate=figure(found.false_positive_rate),
        f1=figure(found.f1),
    )
