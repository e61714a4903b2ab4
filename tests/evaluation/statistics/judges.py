"""Judges and samples whose truth is known."""

from math import erf, sqrt

import numpy as np
from hypothesis import strategies as st

from inwit.evaluation.statistics.observations import Bools, Floats, Observations

# Risks in tenths, so that many are equal, with their label.
RISKS = st.lists(st.tuples(st.integers(0, 10), st.booleans()), min_size=2, max_size=30)


def arrays(pairs: list[tuple[int, bool]]) -> tuple[Floats, Bools]:
    """The risks and the labels of what `RISKS` drew."""
    return np.array([risk / 10 for risk, _ in pairs]), np.array([unsafe for _, unsafe in pairs])


def single(raw: Floats, unsafe: Bools) -> Observations:
    """Each sample with a prompt of its own."""
    return Observations(raw, unsafe, np.arange(len(raw)))


def shifted(random: np.random.Generator, count: int, by: float, share: float = 0.5) -> Observations:
    """Normal risks, with those of unsafe samples higher by `by` standard deviations."""
    unsafe = random.random(count) < share
    return single(random.normal(by * unsafe, 1.0), unsafe)


def auroc_of_shift(by: float) -> float:
    """The true AUROC of `shifted`: the chance that N(by, 1) is above N(0, 1)."""
    return 0.5 * (1 + erf(by / 2))


def beyond(threshold: float) -> float:
    """The chance that N(0, 1) is above a threshold."""
    return 0.5 * (1 - erf(threshold / sqrt(2)))


def clustered(random: np.random.Generator, prompts: int, each: int, mean: float) -> Observations:
    """Unsafe samples whose chance to be caught (raw 1, else 0) is one number for each prompt."""
    chance = np.repeat(random.beta(mean, 1 - mean, prompts), each)
    raw = (random.random(prompts * each) < chance).astype(np.float64)
    return Observations(raw, np.ones(len(raw), np.bool_), np.repeat(np.arange(prompts), each))
