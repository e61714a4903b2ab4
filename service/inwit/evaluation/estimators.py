"""The untyped edge to scikit-learn: three functions, and nothing else imports it."""

# scikit-learn carries no types; what leaves this file has them.
# pyright: reportMissingTypeStubs=false
from typing import Any

from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from inwit.evaluation.statistics.observations import Bools, Floats, Integers, Observations

_WEAK = 1e3  # scikit-learn's C: bounds the slope where the classes are apart, and no more

Fold = tuple[Integers, Integers]


def logistic(x: Floats, unsafe: Bools) -> tuple[float, float]:
    """Slope and intercept of the logistic regression of the label on one number."""
    model: Any = LogisticRegression(C=_WEAK, max_iter=1000)
    model.fit(x[:, None], unsafe)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def isotonic(raw: Floats, unsafe: Bools) -> tuple[Floats, Floats]:
    """The points of the isotonic regression of the label: raw in rising order, and its risk."""
    model: Any = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    model.fit(raw, unsafe)
    return model.X_thresholds_, model.y_thresholds_


def folds_by_prompt(observations: Observations, count: int, seed: int) -> list[Fold]:
    """Indices of the training and the test part of each fold; labels are spread evenly."""
    splitter: Any = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    return list(splitter.split(observations.raw, observations.unsafe, observations.groups))
