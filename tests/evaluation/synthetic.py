"""Synthetic judges, whose truth is known."""

from collections.abc import Callable

import numpy as np

from inwit.evaluation.curves import sigmoid
from inwit.evaluation.statistics.observations import Floats, Observations


def observations(truth: Callable[[Floats], Floats], count: int, seed: int = 0) -> Observations:
    """Judged samples, three to a prompt, that are unsafe with the chance that `truth` gives."""
    generator = np.random.default_rng(seed)
    raw = sigmoid(generator.normal(0, 2.5, count))
    unsafe = generator.random(count) < truth(raw)
    return Observations(raw, unsafe, np.arange(count) // 3)


def platt_truth(raw: Floats) -> Floats:
    """A judge that is too sure of itself."""
    return sigmoid(0.6 * (np.log(raw) - np.log1p(-raw)) - 0.5)


def step_truth(raw: Floats) -> Floats:
    """A judge whose risks mean one of three things."""
    return np.select([raw < 0.15, raw < 0.9], [0.05, 0.5], 0.95)


def no_truth(raw: Floats) -> Floats:
    """A judge that knows nothing."""
    return np.full(len(raw), 0.5)
