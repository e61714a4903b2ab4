"""Shares and their intervals. Pure, and without numpy."""

import math

from inwit.agreement.report import TOO_FEW, Share

Z = 1.959963984540054  # the 97.5 % point of the normal distribution


def wilson(count: float, of: int) -> tuple[float, float]:
    """Wilson's (1927) 95 % score interval for a share. It never leaves [0, 1].

    `count` need not be whole: a mean of values in [0, 1] varies at most as much as a share, and
    the interval is then too wide rather than too narrow. `of` is at least 1.
    """
    rate, square = count / of, Z * Z
    middle = (rate + square / (2 * of)) / (1 + square / of)
    inside = rate * (1 - rate) / of + square / (4 * of * of)
    half = Z * math.sqrt(max(0.0, inside)) / (1 + square / of)
    # At the ends the formula gives 0, 1 and the rate itself but for the last bits of a float.
    return max(0.0, min(middle - half, rate)), min(1.0, max(middle + half, rate))


def share(count: int, of: int) -> Share:
    """`count` out of `of` with its interval."""
    if of == 0:
        return Share(0, 0, None, None, None, too_few=True)
    low, high = wilson(count, of)
    return Share(count, of, count / of, low, high, too_few=of < TOO_FEW)
