"""Monotone curves from raw risk to probability, and the tables that stand for them."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from inwit.evaluation.statistics.observations import Floats

LARGEST_TABLE_ERROR = 1e-3
# Of the table within a cell while it is made. The share counts where risks are small, as they are
# under a low prior: there an error of 2e-4 would be most of the risk.
_CELL_ERROR, _CELL_SHARE, _LEAST_ERROR = 2e-4, 0.01, 1e-7
_CLIP = 1e-6  # raw risks nearer to 0 or 1 are taken as this near: log-odds stay within 13.8


class Curve(Protocol):
    """A fitted monotone map on arrays of raw risks; `knots` are where it bends."""

    @property
    def knots(self) -> Floats:
        """Raw risks, in rising order, that a table should hold."""
        ...

    def __call__(self, raw: Floats) -> Floats:
        """The calibrated risks."""
        ...


@dataclass(frozen=True, slots=True)
class Platt:
    """sigmoid(slope * log-odds(raw) + intercept) (Platt 1999), on log-odds."""

    slope: float
    intercept: float

    @property
    def knots(self) -> Floats:
        """Evenly over the log-odds."""
        limit = float(log_odds(np.ones(1))[0])
        return sigmoid(np.linspace(-limit, limit, 57))

    def __call__(self, raw: Floats) -> Floats:
        """The calibrated risks."""
        return sigmoid(self.slope * log_odds(raw) + self.intercept)


@dataclass(frozen=True, slots=True)
class Isotonic:
    """Linear between the points, constant outside them."""

    raw: Floats
    risk: Floats

    @property
    def knots(self) -> Floats:
        """The points themselves."""
        return self.raw

    def __call__(self, raw: Floats) -> Floats:
        """The calibrated risks."""
        return np.interp(raw, self.raw, self.risk)


@dataclass(frozen=True, slots=True)
class Shifted:
    """Another curve with its log-odds moved: logit p' = logit p + `by` (a shift of the prior)."""

    curve: Curve
    by: float

    @property
    def knots(self) -> Floats:
        """Those of the other curve."""
        return self.curve.knots

    def __call__(self, raw: Floats) -> Floats:
        """The calibrated risks."""
        risk = self.curve(raw)
        with np.errstate(divide="ignore"):
            return sigmoid(np.log(risk) - np.log1p(-risk) + self.by)


def clipped(raw: Floats) -> Floats:
    """The raw risks, kept off 0 and 1."""
    return np.clip(raw, _CLIP, 1 - _CLIP)


def log_odds(raw: Floats) -> Floats:
    """log(p / (1 - p)), with p kept off 0 and 1."""
    kept = clipped(raw)
    return np.log(kept) - np.log1p(-kept)


def sigmoid(odds: Floats) -> Floats:
    """1 / (1 + exp(-x)), without overflow."""
    return np.exp(-np.logaddexp(0.0, -odds))


def tabulate(curve: Curve) -> tuple[tuple[tuple[float, float], ...], float]:
    """Points on [0, 1] whose lines follow the curve, and the largest error of the lines.

    Cells are halved while the lines inside them are off the curve by more than is allowed; the
    error is then measured on other, closer points.

    Raises:
        ArithmeticError: the error stays above `LARGEST_TABLE_ERROR`.
    """
    raw = np.unique(np.concatenate([[0.0, 1.0], curve.knots]))
    while True:
        inside = raw[:-1, None] + np.diff(raw)[:, None] * np.array([0.25, 0.5, 0.75])
        risk, middles = curve(inside), inside[:, 1]
        allowed = np.clip(risk * _CELL_SHARE, _LEAST_ERROR, _CELL_ERROR)
        off = (np.abs(np.interp(inside, raw, curve(raw)) - risk) > allowed).any(axis=1)
        split = off & (raw[:-1] < middles) & (middles < raw[1:])
        if not split.any():
            break
        raw = np.unique(np.concatenate([raw, middles[split]]))
    risk = np.maximum.accumulate(curve(raw))
    closer = (raw[:-1, None] + np.diff(raw)[:, None] * np.linspace(0, 1, 65)).ravel()
    error = float(np.abs(np.interp(closer, raw, risk) - curve(closer)).max())
    if error > LARGEST_TABLE_ERROR:
        raise ArithmeticError(f"the table is off its curve by {error:.4f}")
    return tuple(zip(raw.tolist(), risk.tolist(), strict=True)), error
