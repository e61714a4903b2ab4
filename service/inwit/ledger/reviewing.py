"""What reviewers do beside ruling: looking, revealing, drafting, a first verdict; and the dose."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from inwit.cases import ActKind, Case, Reviewer, RulingKind
from inwit.errors import Conflict, Forbidden
from inwit.ledger import leases
from inwit.ledger.escalations import case_of, change_slot, no_such_case, note
from inwit.ledger.tables import EDITS, EXPOSURES
from inwit.ledger.transaction import Transaction
from inwit.types import Severity


def looked(transaction: Transaction, case_id: str, reviewer: Reviewer) -> None:
    """Note that somebody read a case.

    Raises:
        NotFound: there is none for their eyes.
        Forbidden: it is worse, or of another kind, than what they are shown.
    """
    case = _seen_by(transaction, case_id, reviewer)
    note(transaction, case, ActKind.VIEWED, reviewer.id, {})


def revealed(transaction: Transaction, case_id: str, reviewer: Reviewer, part: str) -> None:
    """Note that somebody uncovered a masked part, and count it in their dose of the day.

    Raises:
        NotFound: there is no such case for their eyes.
        Forbidden: it is worse, or of another kind, than what they are shown.
    """
    case = _seen_by(transaction, case_id, reviewer)
    note(transaction, case, ActKind.REVEALED, reviewer.id, {"part": part})
    expose(transaction, reviewer.id, case.severity)


def expose(transaction: Transaction, reviewer: str, severity: Severity) -> None:
    """Count one case of this severity that was shown to a reviewer today (UTC)."""
    keys = {"reviewer": reviewer, "day": _day(transaction.now), "severity": severity.value}
    connection = transaction.connection
    grown = connection.execute(
        sa.update(EXPOSURES).filter_by(**keys).values(shown=EXPOSURES.c.shown + 1)
    )
    if grown.rowcount == 0:
        connection.execute(sa.insert(EXPOSURES), {**keys, "shown": 1})


def exposure(connection: sa.Connection, reviewer: str, now: datetime) -> Mapping[Severity, int]:
    """How many cases of each severity a reviewer was shown today (UTC)."""
    query = sa.select(EXPOSURES).filter_by(reviewer=reviewer, day=_day(now))
    return {Severity(row.severity): row.shown for row in connection.execute(query)}


def save_draft(transaction: Transaction, case_id: str, reviewer: str, draft: str) -> None:
    """Keep what a reviewer is writing. It outlives their lease, and is nobody else's."""
    _put_edit(transaction, case_id, reviewer, {"draft": draft})


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
    _put_edit(transaction, case_id, reviewer, {"draft": text, **values})
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


def _put_edit(
    transaction: Transaction, case_id: str, reviewer: str, values: Mapping[str, Any]
) -> None:
    keys = {"escalation_id": case_id, "reviewer": reviewer}
    written = {**values, "saved": transaction.now}
    connection = transaction.connection
    if connection.execute(sa.update(EDITS).filter_by(**keys).values(**written)).rowcount == 0:
        connection.execute(sa.insert(EDITS), {**keys, **written})


def _day(now: datetime) -> str:
    return now.strftime("%Y-%m-%d")
