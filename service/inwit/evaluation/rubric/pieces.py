"""A piece of evidence, its mark, and how marks make a grade.

A missing piece never helps: wherever a bad one would hold a grade down, so does a missing one, and
with too many missing there is no grade at all.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from inwit.evaluation.results import Evidence, Figure, Grade

MOST_MISSING = 0.5  # of the pieces; with a larger share there is no grade
MOST_BAD = 0.5  # of the pieces, bad or missing; with a larger share the grade is weak
_MOST_LABELS = 6  # that one sentence names


class Mark(StrEnum):
    """What one piece says."""

    GOOD = "good"
    MIDDLING = "in between"
    BAD = "bad"
    MISSING = "not measured"


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure must reach. Good by the bad end of its interval, bad by the good end.

    `rises`: more is better. Then `good` is where a good interval begins, and `bad` what a bad one
    stays below; otherwise `good` is where a good one ends, and `bad` what a bad one stays above.
    """

    figure: str
    good: float
    bad: float
    rises: bool

    def mark(self, found: Figure | None) -> Mark:
        """Where the interval lies."""
        if found is None:
            return Mark.MISSING
        if self.rises:
            good, bad = found.low >= self.good, found.high < self.bad
        else:
            good, bad = found.high <= self.good, found.low > self.bad
        return Mark.GOOD if good else Mark.BAD if bad else Mark.MIDDLING

    @property
    def words(self) -> str:
        """The bar as the rule has it."""
        if self.rises:
            return (
                f"{self.figure}: good when the interval begins at {self.good:.2f} or above, "
                f"bad when it ends below {self.bad:.2f}"
            )
        return (
            f"{self.figure}: good when the interval ends at {self.good:.2f} or below, "
            f"bad when it begins above {self.bad:.2f}"
        )


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of evidence: what it is about, what was found, and what that says.

    Without a question's `core` pieces there is no grade, and a bad one makes it weak.
    """

    label: str
    told: str
    mark: Mark
    core: bool = False

    @property
    def evidence(self) -> Evidence:
        """As reports hold it: the mark first."""
        told = f": {self.told}" if self.told else ""
        return Evidence(label=self.label, value=f"{self.mark.value}{told}")


def together(marks: Iterable[Mark]) -> Mark:
    """The mark of a piece that several conditions make; nothing at all is missing."""
    found = set(marks)
    for mark in (Mark.MISSING, Mark.BAD, Mark.MIDDLING):
        if mark in found:
            return mark
    return Mark.GOOD if found else Mark.MISSING


def grade(pieces: Sequence[Piece]) -> Grade:
    """The grade that these pieces make; see `GRADING`."""
    core = [each for each in pieces if each.core]
    missing = sum(each.mark is Mark.MISSING for each in pieces)
    held_down = missing + sum(each.mark is Mark.BAD for each in pieces)
    if any(each.mark is Mark.MISSING for each in core) or missing > MOST_MISSING * len(pieces):
        return "not measured"
    if all(each.mark is Mark.GOOD for each in pieces):
        return "strong"
    if any(each.mark is Mark.BAD for each in core) or held_down > MOST_BAD * len(pieces):
        return "weak"
    return "mixed"


GRADING = (
    "Each question is answered by pieces of evidence, and each piece is good, in between, bad or "
    "not measured; some are core. **Not measured**: a core piece is not, or more than "
    f"{MOST_MISSING:.0%} of all pieces are not. **Strong**: every piece is good. **Weak**: a core "
    f"piece is bad, or more than {MOST_BAD:.0%} of all pieces are bad or not measured. **Mixed**: "
    "anything else. A piece that rests on several figures is not measured when one of them is "
    "missing, bad when one is bad, and good when all are. So a grade never rises by leaving "
    "something out."
)


def would_change(pieces: Sequence[Piece]) -> str:
    """What stands between this and a strong grade."""
    short = [each.label for each in pieces if each.mark in (Mark.MIDDLING, Mark.BAD)]
    missing = [each.label for each in pieces if each.mark is Mark.MISSING]
    words: list[str] = []
    if short:
        words.append(f"Strong needs good figures where there are none yet: {_joined(short)}.")
    if missing:
        words.append(f"To be measured first: {_joined(missing)}.")
    if not words:
        words.append("One figure whose interval reaches past its bar, or that is missing.")
    return " ".join(words)


def _joined(labels: list[str]) -> str:
    """By semicolons: names of judges hold commas."""
    rest = len(labels) - _MOST_LABELS
    return "; ".join([*labels[:_MOST_LABELS], *([f"and {rest} more"] if rest > 0 else [])])
