"""What rulings come to. Pure."""

from collections.abc import Sequence
from enum import StrEnum

from inwit.cases import TOP_TIER, Case, Ruling, RulingKind


class Raise(StrEnum):
    """Why a case goes to a senior."""

    ESCALATED = "escalated"
    DISAGREEMENT = "disagreement"
    NOBODY_RULED = "nobody_ruled"


def conclusion(case: Case, rulings: Sequence[Ruling]) -> Ruling | Raise | None:
    """The final ruling, that a senior must rule, or that more is to come.

    `rulings` are those that count and have taken effect, oldest first. A senior's stands alone.
    The others must be as many as the case needs and agree to the byte. Of a golden copy the first
    is its answer, whatever it says.
    """
    if case.expected is not None:
        return rulings[0] if rulings else None
    tiers = {slot.number: slot.tier for slot in case.slots}
    senior = next((each for each in rulings if tiers[each.slot] == TOP_TIER), None)
    if senior is not None:
        return senior
    if case.tier == TOP_TIER:
        return None
    if any(each.kind is RulingKind.ESCALATE for each in rulings):
        return Raise.ESCALATED
    if len(rulings) < case.required:
        return None
    first = rulings[0]
    agree = all(_same(each, first) for each in rulings)
    return first if agree else Raise.DISAGREEMENT


def _same(one: Ruling, other: Ruling) -> bool:
    if one.kind is RulingKind.BLOCK:
        return other.kind is RulingKind.BLOCK
    return other.kind is not RulingKind.BLOCK and one.digest == other.digest
