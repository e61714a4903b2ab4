"""What reviewers do beside ruling: looking, revealing, drafting, a first verdict; and the dose.

Of a case that somebody holds, what they were shown is kept with their slot: those parts stay
revealed while it is theirs, and of the others nothing can be released by them.
"""

import json
from collections.abc import Callable, Mapping, Set
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from inwit.cases import EVERY_PART, ActKind, Case, Reviewer, RulingKind
from inwit.errors import Conflict, FieldError, Forbidden, InvalidField
from inwit.ledger import leases
from inwit.ledger.drafts import put_edit
from inwit.ledger.escalations import case_of, change_slot, no_such_case, note
from inwit.ledger.outcomes import case_now
from inwit.ledger.tables import EXPOSURES
from inwit.ledger.transaction import Transaction
from inwit.types import Severity

# What leaves by a ruling: the part of the case that its person must have been shown.
RELEASED_PARTS: Mapping[RulingKind, str] = {
    RulingKind.APPROVE: "candidate",
    RulingKind.APPROVE_REWRITE: "rewrite",
}

Covers = Callable[[Severity], bool]


def nothing(_: Severity) -> bool:
    """What is covered for who reads every text at once."""
    return False


def looked(transaction: Transaction, case_id: str, reviewer: Reviewer, covers: Covers) -> None:
    """Note that somebody read a case, and count it in their dose where it is not covered.

    Raises:
        NotFound: there is none for their eyes.
        Forbidden: it is worse, or of another kind, than what they are shown.
    """
    case = _seen_by(transaction, case_id, reviewer)
    note(transaction, case, ActKind.VIEWED, reviewer.id, {})
    if not covers(case.severity):
        _expose(transaction, reviewer.id, case, {EVERY_PART})


def opened(
    transaction: Transaction,
    case_id: str,
    reviewer: Reviewer,
    token: str,
    covers: Covers,
    *,
    resumed: bool = False,
) -> None:
    """Note what the page of a case shows to who holds it: every part, unless it is covered.

    Parts that they revealed under this lease show as well; where they only `resumed`, in a page
    that never went away, those of their earlier leases do too. It counts on the day on which it
    shows.

    Raises:
        Conflict: the lease is over.
    """
    case, _ = case_of(transaction.connection, case_id)
    slot = leases.held_slot(transaction, case, reviewer.id, token)
    shown = set(slot.shown)
    if not covers(case.severity):
        shown.add(EVERY_PART)
    if resumed:
        shown |= _shown_before(transaction.connection, case, reviewer.id)
    if shown:
        change_slot(transaction, case_id, slot.number, shown=_joined(shown))
        _expose(transaction, reviewer.id, case, shown)


def revealed(
    transaction: Transaction, case_id: str, reviewer: Reviewer, part: str, token: str
) -> None:
    """Note that somebody uncovered a masked part, and count the case in their dose of the day.

    Where they hold the case by this token the part stays uncovered for as long as they do.

    Raises:
        NotFound: there is no such case for their eyes.
        Forbidden: it is worse, or of another kind, than what they are shown.
    """
    case = _seen_by(transaction, case_id, reviewer)
    note(transaction, case, ActKind.REVEALED, reviewer.id, {"part": part})
    _expose(transaction, reviewer.id, case, {part})
    if slot := leases.leased_slot(case, reviewer.id, token, transaction.now):
        change_slot(transaction, case_id, slot.number, shown=_joined({*slot.shown, part}))


def check_shown(
    transaction: Transaction,
    case_id: str,
    reviewer: str,
    token: str,
    kind: RulingKind,
    *,
    blind: bool,
) -> None:
    """Whether somebody who holds a case has come so far, and was shown what would leave.

    Raises:
        NotFound: no such case.
        Conflict: they see it `blind`, and their first verdict is due.
        InvalidField: they were not shown it.
    """
    case, _ = case_now(transaction, case_id)
    slot = leases.leased_slot(case, reviewer, token, transaction.now)
    if slot is None:
        return  # nothing leaves by it
    if blind:
        raise Conflict("Give your first verdict before you rule.")
    part = RELEASED_PARTS.get(kind)
    if part is not None and not slot.showed(part):
        problem = f"reveal the part {part} first: it would be released as it stands"
        raise InvalidField("You have not seen what you approve.", (FieldError("ruling", problem),))


def exposure(connection: sa.Connection, reviewer: str, now: datetime) -> Mapping[Severity, int]:
    """How many cases of each severity a reviewer was shown a text of today (UTC)."""
    severity = EXPOSURES.c.severity
    query = (
        sa.select(severity, sa.func.count())
        .filter_by(reviewer=reviewer, day=_day(now))
        .group_by(severity)
    )
    return {Severity(row[0]): row[1] for row in connection.execute(query)}


def save_draft(transaction: Transaction, case_id: str, reviewer: str, draft: str) -> None:
    """Keep what a reviewer is writing. It outlives their lease, and is nobody else's.

    Raises:
        NotFound: no such case.
        Conflict: it is closed, or they neither hold it nor were shown it.
    """
    case, _ = case_of(transaction.connection, case_id)
    if not case.state.open:
        raise Conflict(f"This case is {case.state.value}: it is closed.")
    held = any(slot.reviewer == reviewer for slot in case.slots)
    if not held and not _shown_before(transaction.connection, case, reviewer):
        raise Conflict("Claim this case before you write for it.")
    put_edit(transaction, case_id, reviewer, {"draft": draft})


def judged(
    transaction: Transaction,
    case_id: str,
    reviewer: str,
    token: str,
    text: str,
    digest: str,
    review: Mapping[str, Any],
) -> None:
    """Keep what the judges made of an edited text, which can now be ruled for.

    Raises:
        Conflict: the lease is over.
    """
    case, _ = case_of(transaction.connection, case_id)
    leases.held_slot(transaction, case, reviewer, token)
    values = {"judged_digest": digest, "judged_text": text, "judged_review": json.dumps(review)}
    put_edit(transaction, case_id, reviewer, {"draft": text, **values})
    facts = {"digest": digest, "review": review}
    contents = {"edit": json.dumps(text).encode()}
    note(transaction, case, ActKind.EDIT_CHECKED, reviewer, facts, contents)


def first_verdict(
    transaction: Transaction, case_id: str, reviewer: str, token: str, kind: RulingKind
) -> Case:
    """Keep what a reviewer says before the scores and the rewrite are shown: once.

    Raises:
        Conflict: the lease is over, or there is one already.
    """
    case, _ = case_of(transaction.connection, case_id)
    slot = leases.held_slot(transaction, case, reviewer, token)
    if slot.first_verdict is not None:
        raise Conflict("Your first verdict on this case is given already.")
    change_slot(transaction, case_id, slot.number, first_verdict=kind.value)
    note(transaction, case, ActKind.FIRST_VERDICT, slot.reviewer, {"kind": kind.value})
    return case_of(transaction.connection, case_id)[0]


def _seen_by(transaction: Transaction, case_id: str, reviewer: Reviewer) -> Case:
    case, _ = case_of(transaction.connection, case_id)
    if not reviewer.may_see(case):
        raise no_such_case()
    if not reviewer.may_read(case):
        raise Forbidden("This case is worse, or of another kind, than what you are shown.")
    return case


def _expose(transaction: Transaction, reviewer: str, case: Case, parts: Set[str]) -> None:
    """Count a case among those that a reviewer was shown a text of today (UTC): once."""
    keys = {"reviewer": reviewer, "day": _day(transaction.now), "escalation_id": case.id}
    connection = transaction.connection
    row = connection.execute(sa.select(EXPOSURES).filter_by(**keys)).first()
    if row is None:
        values = {"severity": case.severity.value, "parts": _joined(parts)}
        connection.execute(sa.insert(EXPOSURES), {**keys, **values})
    else:
        both = _joined(parts | _split(row.parts))
        connection.execute(sa.update(EXPOSURES).filter_by(**keys).values(parts=both))


def _shown_before(connection: sa.Connection, case: Case, reviewer: str) -> set[str]:
    """The parts of an open case that a reviewer was shown, by whatever lease."""
    days = EXPOSURES.c.day >= _day(case.opened)
    query = sa.select(EXPOSURES.c.parts).filter_by(reviewer=reviewer, escalation_id=case.id)
    rows = connection.execute(query.where(days)).scalars()
    return {part for parts in rows for part in _split(parts)}


def _joined(parts: Set[str]) -> str:
    return ",".join(sorted(parts))


def _split(parts: str) -> set[str]:
    return set(parts.split(","))


def _day(now: datetime) -> str:
    return now.strftime("%Y-%m-%d")
