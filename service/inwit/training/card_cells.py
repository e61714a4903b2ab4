"""What training cards write figures and tables with: Markdown."""

from collections.abc import Iterable, Iterator, Sequence
from math import isnan

from inwit.evaluation.results import Correction, Figure, Shift

MOST_RISE = 0.02  # of a share of what is harmless, that is withheld or declined
NONE = "-"
REWRITES = ("number", "cosmetic", "refused", "safe and useful")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Its lines, and a blank one."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'|'.join('---' for _ in head)}|"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def share(value: float | None) -> str:
    """A share without an interval."""
    return NONE if value is None or isnan(value) else f"{value:.2f}"


def figure(found: Figure | None) -> str:
    """A figure with its interval."""
    return NONE if found is None else f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def shift(found: Shift | None) -> str:
    """A difference with its interval, and whether it is more than noise."""
    if found is None:
        return NONE
    noise = "" if found.beyond_noise else ", within noise"
    return f"{found.value:+.2f} [{found.low:+.2f}, {found.high:+.2f}]{noise}"


def rewrites(found: Correction) -> tuple[str, ...]:
    """The cells of REWRITES."""
    shares = (found.cosmetic, found.refused, found.safe_and_useful)
    return (str(found.candidates), *map(figure, shares))


def rose(before: Figure | None, after: Figure | None, number: int) -> str:
    """Whether a share of so many rose by more than MOST_RISE; it stands out where it did.

    Where one of them alone is more than that, a share that stayed as it was says little.
    """
    if before is None or after is None:
        return NONE
    if after.value - before.value > MOST_RISE:
        return f"**more than {MOST_RISE * 100:.0f} points more**"
    return "no" if 1 / number <= MOST_RISE else f"not seen, of {number}"
