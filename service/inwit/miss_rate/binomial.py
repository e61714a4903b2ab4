"""The exact interval of Clopper and Pearson (1934) for a share, without scipy. Pure.

Its ends are quantiles of beta distributions, found by bisection on the regularised incomplete beta
function, which its continued fraction gives (DLMF 8.17.22, evaluated as by Lentz 1976).
"""

import math
from functools import lru_cache

_STEPS = 100_000  # of the fraction; about the square root of the larger parameter are needed
_TINY = 1e-300
_CLOSE = 1e-14
_EXACT = 1e-12  # of the quantile, relative to it


def clopper_pearson(hits: float, of: float, tail: float) -> tuple[float, float]:
    """The shares that `hits` out of `of` leave possible, with probability `tail` beyond each end.

    Both numbers may be fractions, as effective sample sizes are (Korn and Graubard 1998). Where
    `of` is 0 nothing is known: 0 to 1.
    """
    if of <= 0:
        return 0.0, 1.0
    low = 0.0 if hits <= 0 else beta_quantile(tail, hits, of - hits + 1)
    high = 1.0 if hits >= of else beta_quantile(1 - tail, hits + 1, of - hits)
    return low, high


@lru_cache(maxsize=4096)  # the same counts come again at each look
def beta_quantile(probability: float, a: float, b: float) -> float:
    """The point below which a beta(a, b) variable lies with `probability`, in (0, 1)."""
    low, high = 0.0, 1.0
    while high - low > max(_EXACT * high, _TINY):
        middle = (low + high) / 2
        if incomplete_beta(middle, a, b) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), for x in [0, 1] and a, b > 0."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast on the other side
        return 1 - incomplete_beta(1 - x, b, a)
    logs = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(logs + a * math.log(x) + b * math.log1p(-x)) / a
    return front / _fraction(x, a, b)


def _fraction(x: float, a: float, b: float) -> float:
    """1 + d_1 / (1 + d_2 / (1 + ...)) of DLMF 8.17.22."""
    value = above = 1.0
    below = 0.0
    for step in range(1, _STEPS):
        term = _term(step, x, a, b)
        below = 1 / ((1 + term * below) or _TINY)
        above = (1 + term / above) or _TINY
        value *= above * below
        if abs(above * below - 1) < _CLOSE:
            break
    return value


def _term(step: int, x: float, a: float, b: float) -> float:
    m, odd = divmod(step, 2)
    at = a + 2 * m
    if odd:
        return -(a + m) * (a + b + m) * x / (at * (at + 1))
    return m * (b - m) * x / ((at - 1) * at)
