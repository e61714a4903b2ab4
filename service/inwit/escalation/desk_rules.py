"""How people work at the desk: leases, shares, the day's dose, and what a ruling must bring."""

from collections.abc import Mapping
from dataclasses import dataclass

from inwit.cases import Case, Lease, Reviewer
from inwit.errors import FieldError, InvalidField
from inwit.ledger.case_files import CaseFile
from inwit.ledger.rulings import Said
from inwit.policy.policy import EscalationRule
from inwit.types import Severity, digest_of

_LONGEST_TEXT = 100_000
_NO_BUDGET = 10**9


@dataclass(frozen=True, slots=True)
class Opened:
    """A case on somebody's desk. `blind`: a first verdict is due before scores and rewrite show."""

    file: CaseFile
    lease: Lease
    blind: bool


@dataclass(frozen=True, slots=True)
class DeskRules:
    """How people work here. Shares lie in [0, 1]; `budget` is the dose of a day by severity."""

    lease_s: float = 120.0
    undo_s: float = 10.0
    blind_share: float = 0.0
    golden_share: float = 0.0
    budget: Mapping[Severity, int] | None = None

    def blind(self, reviewer: Reviewer, case: Case) -> bool:
        """Whether a first verdict is due, or would be once they claimed the case.

        The draw is of case and person: a reload changes it not. A senior who adjudicates sees
        everything.
        """
        own = next((slot for slot in case.slots if slot.reviewer == reviewer.id), None)
        if own is None:
            open_to_them = case.state.open and reviewer.id not in case.excluded
            if not (open_to_them and case.tier == 1 and reviewer.may_rule(case, 1)):
                return False
        elif own.tier > 1 or own.first_verdict is not None:
            return False
        return _drawn(case.id, reviewer.id) < self.blind_share

    def golden(self, reviewer: Reviewer, request_id: str) -> bool:
        """Whether this request gets a golden case. One that comes twice is drawn as before."""
        return _drawn("golden", reviewer.id, request_id) < self.golden_share

    def worst(self, shown: Mapping[Severity, int]) -> Severity | None:
        """The worst severity for who was `shown` so much today; None where the dose is full."""
        budget, allowed = self.budget or {}, None
        for severity in Severity:
            if shown.get(severity, 0) >= budget.get(severity, _NO_BUDGET):
                break
            allowed = severity
        return allowed


def check_text(text: str) -> None:
    """Whether it can be stored, and released, exactly as it is.

    Raises:
        InvalidField: it is too long, or not text.
    """
    if len(text) > _LONGEST_TEXT:
        problem = f"at most {_LONGEST_TEXT} characters"
        raise InvalidField("The text is too long.", (FieldError("text", problem),))
    if "\0" in text or any("\ud800" <= each <= "\udfff" for each in text):
        problem = "it has a NUL, or half of a surrogate pair"
        raise InvalidField("The text cannot be kept as it is.", (FieldError("text", problem),))


def check_words(rule: EscalationRule, said: Said) -> None:
    """Whether the ruling has the reason and the clause that the policy wants.

    Raises:
        InvalidField: it lacks one.
    """
    missing: list[FieldError] = []
    if said.kind in rule.reason_for and not said.reason.strip():
        missing.append(FieldError("reason", "the policy wants a reason for this ruling"))
    if said.kind in rule.clause_for and said.clause is None:
        missing.append(FieldError("clause", "the policy wants the category that decides"))
    if missing:
        raise InvalidField("The ruling lacks what the policy asks for.", tuple(missing))


def _drawn(*names: str) -> float:
    """A number in [0, 1) that is always the same for the same names."""
    return int(digest_of(*names)[:16], 16) / 2**64
