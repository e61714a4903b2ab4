"""Fits the map from raw risk to probability, by Platt's method or isotonic regression."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from inwit.errors import SetupError
from inwit.evaluation.curves import Curve, Isotonic, Platt, Shifted, clipped, log_odds, tabulate
from inwit.evaluation.estimators import Fold, folds_by_prompt, isotonic, logistic
from inwit.evaluation.statistics.calibration_error import brier, measure_quality
from inwit.evaluation.statistics.observations import Bools, Floats, Observations
from inwit.policy.calibration import Calibration, Estimate, Facts, Fingerprint, Method

LEAST_OF_A_LABEL = 50
LEAST_PROMPTS = 10
_FOLDS = 5


@dataclass(frozen=True, slots=True)
class Fit:
    """What fitting found: the curve at the samples' prior, and what it predicts across folds."""

    method: Method
    curve: Curve
    predictions: Floats
    briers: Mapping[Method, float]


def fit_platt(raw: Floats, unsafe: Bools) -> Platt:
    """Logistic regression of the label on the log-odds.

    Where the slope would be negative it is 0, the best that does not fall.
    """
    slope, intercept = logistic(log_odds(raw), unsafe)
    if slope <= 0:
        return Platt(0.0, _logit(float(np.mean(unsafe))))
    return Platt(slope, intercept)


def fit_isotonic(raw: Floats, unsafe: Bools) -> Isotonic:
    """The best non-decreasing steps, joined by lines.

    Kept 1 / (n + 2) off 0 and 1: n samples do not show that harm is impossible, or certain.
    """
    points, risks = isotonic(clipped(raw), unsafe)
    margin = 1 / (len(raw) + 2)
    return Isotonic(points, np.clip(risks, margin, 1 - margin))


_METHODS: dict[Method, Callable[[Floats, Bools], Curve]] = {
    "platt": fit_platt,
    "isotonic": fit_isotonic,
}


def fit(observations: Observations, seed: int) -> Fit:
    """Fit both methods and keep the one with the lower Brier score across folds (Platt in a tie).

    Folds are split by prompt.

    Raises:
        SetupError: too few samples or prompts to split.
    """
    unsafe = int(observations.unsafe.sum())
    check_counts(len(observations.unsafe) - unsafe, unsafe, observations.prompts)
    folds = _folds(observations, seed)
    tried: dict[Method, Floats] = {
        method: _predict(each, observations, folds) for method, each in _METHODS.items()
    }
    briers: dict[Method, float] = {
        method: brier(risks, observations.unsafe) for method, risks in tried.items()
    }
    method = min(briers, key=lambda each: briers[each])
    curve = _METHODS[method](observations.raw, observations.unsafe)
    return Fit(method, curve, tried[method], briers)


def check_counts(safe: int, unsafe: int, prompts: int) -> None:
    """Refuse what is too little to fit on.

    Raises:
        SetupError: with the counts.
    """
    if min(safe, unsafe) < LEAST_OF_A_LABEL:
        raise SetupError(
            f"Too few samples: {safe} safe and {unsafe} unsafe, and a calibration needs "
            f"{LEAST_OF_A_LABEL} of each. Add samples, or raise --limit."
        )
    if prompts < LEAST_PROMPTS:
        raise SetupError(
            f"Too few prompts: {prompts}, and a calibration needs {LEAST_PROMPTS}. "
            "Samples of one prompt say much the same; add other prompts."
        )


def check_signal(found: Estimate) -> None:
    """Refuse a judge that does not rank harm above the rest.

    Raises:
        SetupError: the AUROC's interval reaches down to 0.5.
    """
    if found.low > 0.5:
        return
    what = "ranks harm the wrong way round" if found.high < 0.5 else "shows no signal"
    raise SetupError(
        f"This model {what} under this question and framing: AUROC {found}, and chance is 0.5. "
        "Calibration cannot repair a judge without signal: it would call every response average, "
        "and the policy would trust that. Try another framing, question or model; "
        "--force writes the file all the same."
    )


@dataclass(frozen=True, slots=True)
class Making:
    """What goes into a calibration beside the observations. `prior` is production's, if known."""

    fingerprint: Fingerprint
    prior: float | None
    seed: int
    not_judged: int
    forced: bool
    made: datetime
    tool: str


def make_calibration(
    observations: Observations, fitted: Fit, signal: Estimate, making: Making
) -> Calibration:
    """The table of a fit, moved to production's prior where that is known, with its facts."""
    prior = observations.prior if making.prior is None else making.prior
    by = _logit(prior) - _logit(observations.prior)
    curve = fitted.curve if making.prior is None else Shifted(fitted.curve, by)
    points, error = tabulate(curve)
    unsafe = int(observations.unsafe.sum())
    facts = Facts(
        safe=len(observations.unsafe) - unsafe,
        unsafe=unsafe,
        prompts=observations.prompts,
        not_judged=making.not_judged,
        samples_prior=observations.prior,
        prior=prior,
        auroc=signal,
        before=measure_quality(observations.raw, observations, making.seed),
        after=measure_quality(fitted.predictions, observations, making.seed),
        table_error=error,
        forced=making.forced,
        seed=making.seed,
        made=making.made,
        tool=making.tool,
    )
    return Calibration(making.fingerprint, fitted.method, points, facts)


def _predict(
    method: Callable[[Floats, Bools], Curve], observations: Observations, folds: list[Fold]
) -> Floats:
    risks = np.empty(len(observations.raw))
    for train, test in folds:
        curve = method(observations.raw[train], observations.unsafe[train])
        risks[test] = curve(observations.raw[test])
    return risks


def _logit(share: float) -> float:
    return float(np.log(share) - np.log1p(-share))


def _folds(observations: Observations, seed: int) -> list[Fold]:
    folds = folds_by_prompt(observations, _FOLDS, seed)
    if any(len(np.unique(observations.unsafe[train])) < 2 for train, _ in folds):
        raise SetupError(
            "Nearly all samples of one label share a prompt, so they cannot be split by prompt. "
            "Add samples of that label with other prompts."
        )
    return folds
