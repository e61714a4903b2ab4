"""What the statistics are made of: cases that people closed, without texts, names or times. Pure.

docs/agreement.md says what the numbers that come of them mean.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from inwit.cases import RulingKind
from inwit.types import Category


class JudgeState(StrEnum):
    """What a judge made of the candidate that a person ruled on.

    `unknown` where the ledger cannot tell: its entry was changed, or the policy's text is of an
    older form.
    """

    PASSED = "passed"
    DOUBT = "doubt"
    FLAGGED = "flagged"
    NOT_JUDGED = "not_judged"
    NOT_ASKED = "not_asked"
    UNKNOWN = "unknown"


class Outcome(StrEnum):
    """What a ruling means for the candidate, from the mildest to the strictest; or no answer."""

    AS_WRITTEN = "as_written"
    CHANGED = "changed"
    BLOCKED = "blocked"
    PASSED_ON = "passed_on"


OUTCOMES = {
    RulingKind.APPROVE: Outcome.AS_WRITTEN,
    RulingKind.APPROVE_REWRITE: Outcome.CHANGED,
    RulingKind.EDIT: Outcome.CHANGED,
    RulingKind.BLOCK: Outcome.BLOCKED,
    RulingKind.ESCALATE: Outcome.PASSED_ON,
}


class Side(StrEnum):
    """The coarser question: does any text of the model reach the caller?"""

    RELEASED = "released"
    BLOCKED = "blocked"


SIDES = {
    RulingKind.APPROVE: Side.RELEASED,
    RulingKind.APPROVE_REWRITE: Side.RELEASED,
    RulingKind.EDIT: Side.RELEASED,
    RulingKind.BLOCK: Side.BLOCKED,
    RulingKind.ESCALATE: None,
}


class Standing(StrEnum):
    """Whether a ruling counted, or why not."""

    COUNTED = "counted"
    LATE = "late"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class RulingRow:
    """One ruling. `first` is what the same person said before scores and rewrite were shown."""

    slot: int
    reviewer: str
    kind: RulingKind
    first: RulingKind | None
    standing: Standing


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One closed case with its rulings, oldest first.

    Slots from 1 to `required` are there from the start; a later one is a senior's, opened where
    those before did not settle the case. `drawn` says that the second ruling came of the random
    share. `expected` makes it a golden case.
    """

    policy: str
    language: str
    categories: tuple[Category, ...]
    required: int
    drawn: bool
    expired: bool
    expected: RulingKind | None
    conscience: JudgeState
    classifier: JudgeState
    rulings: tuple[RulingRow, ...]

    @property
    def counted(self) -> tuple[RulingRow, ...]:
        """Those that counted."""
        return tuple(each for each in self.rulings if each.standing is Standing.COUNTED)

    @property
    def independent(self) -> tuple[RulingRow, ...]:
        """One for each person who ruled without knowing of the others.

        Not the senior's: who is asked because people disagree makes agreement look worse.
        """
        found: dict[str, RulingRow] = {}
        for ruling in self.counted:
            if ruling.slot <= self.required:
                found.setdefault(ruling.reviewer, ruling)
        return tuple(found.values())

    @property
    def final(self) -> RulingRow | None:
        """The ruling that closed the case, if any: a senior's stands above the others."""
        if self.expired:
            return None
        said = [each for each in self.counted if each.kind is not RulingKind.ESCALATE]
        seniors = [each for each in said if each.slot > self.required]
        return next(iter([*seniors, *said]), None)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which cases: closed from `since` (included) until `until` (excluded), both with a time zone.

    An empty set means all of them.
    """

    since: datetime
    until: datetime
    tenants: frozenset[str] = frozenset()
    policies: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    category: Category | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """The cases, the newest first, and how many more there are than one report takes."""

    cases: tuple[CaseRow, ...]
    left_out: int = 0
