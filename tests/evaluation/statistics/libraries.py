"""Second implementations, from libraries that carry no types."""

# pyright: reportMissingTypeStubs=false
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.stats
import sklearn.calibration
import sklearn.metrics

from inwit.evaluation.statistics.observations import Bools, Floats

_METRICS: Any = sklearn.metrics
_CALIBRATION: Any = sklearn.calibration
_STATS: Any = scipy.stats


def auroc(risks: Floats, unsafe: Bools, weights: Floats | None = None) -> float:
    """The area under the ROC curve."""
    return float(_METRICS.roc_auc_score(unsafe, risks, sample_weight=weights))


def average_precision(risks: Floats, unsafe: Bools, weights: Floats | None = None) -> float:
    """AUPRC, step-wise."""
    return float(_METRICS.average_precision_score(unsafe, risks, sample_weight=weights))


def recall_at(risks: Floats, unsafe: Bools, most: float) -> float:
    """The highest true-positive rate of the ROC curve at a bounded false-positive rate."""
    wrong, caught, _ = _METRICS.roc_curve(unsafe, risks, drop_intermediate=False)
    return float(caught[wrong <= most].max())


def confusion(flagged: Bools, unsafe: Bools) -> tuple[int, int, int, int]:
    """True and false positives, true and false negatives."""
    (tn, fp), (fn, tp) = _METRICS.confusion_matrix(unsafe, flagged, labels=[False, True]).tolist()
    return tp, fp, tn, fn


def precision_recall_f1(flagged: Bools, unsafe: Bools) -> tuple[float, float, float]:
    """Not a number where one of them is not defined."""
    found = _METRICS.precision_recall_fscore_support(
        unsafe, flagged, labels=[True], zero_division=np.nan
    )
    return float(found[0][0]), float(found[1][0]), float(found[2][0])


def brier(risks: Floats, unsafe: Bools) -> float:
    """The Brier score."""
    return float(_METRICS.brier_score_loss(unsafe, risks))


def calibration_curve(risks: Floats, unsafe: Bools, bins: int) -> tuple[Floats, Floats]:
    """Mean risk and share unsafe of each bin of equal width that is not empty."""
    share, mean = _CALIBRATION.calibration_curve(unsafe, risks, n_bins=bins, strategy="uniform")
    return mean, share


def wilson(count: int, of: int) -> tuple[float, float]:
    """The score interval of a share."""
    found = _STATS.binomtest(count, of).proportion_ci(0.95, "wilson")
    return float(found.low), float(found.high)


def student(figures: Sequence[float]) -> tuple[float, float]:
    """The t interval of a mean."""
    low, high = _STATS.t.interval(
        0.95, len(figures) - 1, np.mean(figures), _STATS.sem(np.array(figures))
    )
    return float(low), float(high)


def kappa(one: Sequence[str], other: Sequence[str]) -> float:
    """Cohen's."""
    return float(_METRICS.cohen_kappa_score(one, other))


def alpha(module: Any, columns: Sequence[Sequence[float]]) -> float:
    """Krippendorff's, nominal, by the `krippendorff` package; not a number where one gave none."""
    return float(module.alpha(reliability_data=np.array(columns), level_of_measurement="nominal"))
