"""Figures in words: rounded to what their interval supports, and never without it."""

import math

from inwit.evaluation.results import Figure, SeedsFigure, Shift

UNDEFINED = "not defined"
_MOST, _FEWEST = 3, 1  # decimals


def decimals(low: float, high: float) -> int:
    """How many decimals a figure with this interval bears.

    The Particle Data Group's rule on half its width (Review of Particle Physics, Introduction,
    5.3): two digits of it where they are 10 to 35, one otherwise. At least one and at most three.
    """
    half = (high - low) / 2
    if half <= 0:
        return _MOST
    exponent = math.floor(math.log10(half))
    leading = half / 10.0**exponent
    digits = -exponent + (1 if leading < 3.55 else 0)
    return max(_FEWEST, min(_MOST, digits))


def value(figure: Figure | None) -> str:
    """`0.83`, or that it is not defined."""
    if figure is None:
        return UNDEFINED
    return _fixed(figure.value, decimals(figure.low, figure.high))


def interval(figure: Figure | None) -> str:
    """`[0.78, 0.88]`; nothing where the figure is not defined."""
    if figure is None:
        return ""
    places = decimals(figure.low, figure.high)
    return f"[{_fixed(figure.low, places)}, {_fixed(figure.high, places)}]"


def figure(found: Figure | None) -> str:
    """`0.83 [0.78, 0.88]`, or that it is not defined."""
    return f"{value(found)} {interval(found)}".rstrip()


def shift(found: Shift | None) -> str:
    """`+0.05 [-0.01, +0.11]`, or that it is not defined."""
    if found is None:
        return UNDEFINED
    places = decimals(found.low, found.high)
    ends = ", ".join(_signed(each, places) for each in (found.low, found.high))
    return f"{_signed(found.value, places)} [{ends}]"


def probability(p: float) -> str:
    """`p 0.031`, or `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p {p:.2g}"


def over_seeds(found: SeedsFigure | None) -> str:
    """`0.83 [0.80, 0.86], 3 seeds`; one seed has no interval."""
    if found is None:
        return UNDEFINED
    if found.low is None or found.high is None:
        return f"{found.mean:.2f}, {counted(found.seeds, 'seed')}: no interval"
    told = figure(Figure(value=found.mean, low=found.low, high=found.high))
    return f"{told}, {counted(found.seeds, 'seed')}"


def counted(count: int, one: str, many: str = "") -> str:
    """`1 set`, `1,200 sets`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listed(names: list[str], most: int = 8) -> str:
    """`a, b and c`; of many the first, and how many more."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _fixed(number: float, places: int) -> str:
    """Never `-0.00`."""
    return f"{round(number, places) + 0.0:.{places}f}"


def _signed(number: float, places: int) -> str:
    return f"{round(number, places) + 0.0:+.{places}f}"
