"""What is told about agreement: frozen values that JSON can hold, and back again. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter

from inwit.agreement.rows import JudgeState, Outcome

TOO_FEW = 20  # cases; below that a number is shown, and marked


class WhyNot(StrEnum):
    """Why a number, or its interval, is missing."""

    NO_CASES = "no_cases"
    NO_VARIATION = "no_variation"
    SAME_IN_ALL = "same_in_all_resamples"
    RARELY_DEFINED = "rarely_defined"

    @property
    def words(self) -> str:
        """A sentence for people."""
        return _WORDS[self]


_WORDS = {
    WhyNot.NO_CASES: "No case has rulings of two people.",
    WhyNot.NO_VARIATION: "Everybody always ruled the same, so that there is nothing to tell "
    "agreement from chance by.",
    WhyNot.SAME_IN_ALL: "No interval: the cases are so alike that drawing them anew changes "
    "nothing.",
    WhyNot.RARELY_DEFINED: "No interval: the rulings vary too little. In too many of the samples "
    "drawn anew there is nothing to tell agreement from chance by.",
}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval. `why` says why the number, or the interval, is missing."""

    value: float | None
    low: float | None = None
    high: float | None = None
    why: WhyNot | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """`count` out of `of`, with Wilson's 95 % interval; no rate where `of` is 0."""

    count: int
    of: int
    rate: float | None
    low: float | None
    high: float | None
    too_few: bool


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far people agree who ruled on the same cases without knowing of one another.

    `percent` is a share in [0, 1]; `cohen` is pooled over all pairs of people (Conger 1980).
    """

    cases: int
    rulings: int
    people: int
    too_few: bool
    percent: Estimate
    cohen: Estimate
    fleiss: Estimate
    alpha: Estimate


class Dimension(StrEnum):
    """By what cases are told apart."""

    OVERALL = "overall"
    POLICY = "policy"
    LANGUAGE = "language"
    CATEGORY = "category"
    SECOND_RULING = "second_ruling"


@dataclass(frozen=True, slots=True)
class Group:
    """The agreement on some of the cases: by the five rulings, and by released or not.

    `name` is a policy, a language or a category; `drawn` or `required`; or empty for all of them.
    """

    dimension: Dimension
    name: str
    by_ruling: Agreement
    by_side: Agreement


@dataclass(frozen=True, slots=True)
class ConfusionRow:
    """What people made of the cases that a judge left in one state; shares of those cases."""

    state: JudgeState
    cases: int
    outcomes: dict[Outcome, Share]


@dataclass(frozen=True, slots=True)
class Confusion:
    """A judge's states against what people did. Of escalated cases only."""

    judge: str
    cases: int
    rows: tuple[ConfusionRow, ...]


@dataclass(frozen=True, slots=True)
class Blind:
    """First verdicts against the final rulings of the same people.

    `changed`, `stricter` and `milder` are shares of all `rulings` that have a first verdict; a
    change from or to `escalate` is neither stricter nor milder. `towards` and `away` are shares of
    those stricter or milder changes where the judges clearly leaned to one side.
    """

    rulings: int
    changed: Share
    stricter: Share
    milder: Share
    towards: Share
    away: Share


@dataclass(frozen=True, slots=True)
class Counts:
    """What lies behind the report, and what is left out of it. Golden cases are only in `golden`.

    `second_missing` cases needed rulings of two people, and got fewer before they went to a senior
    or their time was over. `undecided` cases were closed without a person's answer. `late` and
    `undone` are rulings. `left_out` cases are older than the most that one report takes.
    """

    cases: int
    two_people: int
    second_missing: int
    undecided: int
    golden: int
    late: int
    undone: int
    unknown_judges: int
    left_out: int


@dataclass(frozen=True, slots=True)
class Report:
    """The agreement statistics of a period. Names nobody."""

    counts: Counts
    groups: tuple[Group, ...]
    confusions: tuple[Confusion, ...]
    blind: Blind
    golden: Share

    def as_json(self) -> dict[str, Any]:
        """JSON values."""
        return _REPORT.dump_python(self, mode="json")


@dataclass(frozen=True, slots=True)
class GoldenScore:
    """One person's rulings on golden cases: the very ruling expected; the same side."""

    reviewer: str
    exact: Share
    same_side: Share


@dataclass(frozen=True, slots=True)
class Pair:
    """Two people and the cases on which both ruled; `cohen` is Cohen's own kappa."""

    reviewers: tuple[str, str]
    by_ruling: Agreement
    by_side: Agreement


@dataclass(frozen=True, slots=True)
class PeopleReport:
    """The same about single people, by pseudonym: for seniors only.

    `pairs` are those with the most cases; `pairs_left_out` says how many more there are.
    """

    golden: tuple[GoldenScore, ...]
    pairs: tuple[Pair, ...]
    pairs_left_out: int

    def as_json(self) -> dict[str, Any]:
        """JSON values."""
        return _PEOPLE.dump_python(self, mode="json")


@dataclass(frozen=True, slots=True)
class Both:
    """What one computation gives: the part that names nobody, and the part that does."""

    report: Report
    people: PeopleReport


_REPORT = TypeAdapter(Report)
_PEOPLE = TypeAdapter(PeopleReport)
BOTH = TypeAdapter(Both)
