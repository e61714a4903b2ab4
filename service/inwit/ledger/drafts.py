"""Texts that people write in a candidate's place: drafts, what was judged of them, what was ruled.

They stand beside the entries until the case is forgotten, and are sealed like content.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from inwit.errors import Gone
from inwit.ledger.sealing import open_for_case, seal_for_case, text_place
from inwit.ledger.tables import EDITS, RULINGS
from inwit.ledger.transaction import Transaction
from inwit.ledger.vault import Shut

TEXTS = ("draft", "judged_text", "judged_review")


@dataclass(frozen=True, slots=True)
class Edit:
    """What a reviewer is writing, and what they had judged of it. `judged_review` is JSON."""

    draft: str
    judged_digest: str | None
    judged_text: str | None
    judged_review: str | None


def edit_of(connection: sa.Connection, case_id: str, reviewer: str) -> Edit | None:
    """The edit of a reviewer in a case, if there is one.

    Raises:
        Gone: it is not what was written.
    """
    keys = {"escalation_id": case_id, "reviewer": reviewer}
    row = connection.execute(sa.select(EDITS).filter_by(**keys)).first()
    if row is None:
        return None
    opened: dict[str, Any] = {
        column: _open(connection, case_id, getattr(row, column), edit_place(row, column))
        for column in TEXTS
    }
    return Edit(judged_digest=row.judged_digest, **opened)


def put_edit(transaction: Transaction, case_id: str, reviewer: str, values: dict[str, str]) -> None:
    """Keep columns of an edit; the others stay as they are."""
    connection, keys = transaction.connection, {"escalation_id": case_id, "reviewer": reviewer}
    written: dict[str, Any] = {"saved": transaction.now}
    for column, value in values.items():
        if column in TEXTS:
            place = text_place("edits", column, case_id, reviewer)
            written[column] = seal_for_case(connection, case_id, value, place, transaction.now)
        else:
            written[column] = value
    if connection.execute(sa.update(EDITS).filter_by(**keys).values(**written)).rowcount == 0:
        connection.execute(sa.insert(EDITS), {**keys, **written})


def edit_place(row: Any, column: str) -> str:
    """Binds a text of an edit to its row."""
    return text_place("edits", column, row.escalation_id, row.reviewer)


def seal_ruling(
    connection: sa.Connection, case_id: str, ruling: str, text: str | None, now: datetime
) -> str | None:
    """The text that a ruling releases, as its row keeps it."""
    if text is None:
        return None
    return seal_for_case(connection, case_id, text, ruling_place(ruling), now)


def ruling_text(connection: sa.Connection, ruling: str) -> str | None:
    """The text that a ruling releases in the candidate's place; None where there is none.

    Raises:
        Gone: it is not what was written.
    """
    query = sa.select(RULINGS.c.escalation_id, RULINGS.c.text).filter_by(id=ruling)
    row = connection.execute(query).one()
    return _open(connection, row.escalation_id, row.text, ruling_place(ruling))


def ruling_place(ruling: str) -> str:
    """Binds the text of a ruling to its row."""
    return text_place("rulings", "text", ruling)


def _open(connection: sa.Connection, case_id: str, stored: str | None, place: str) -> str | None:
    if stored is None:
        return None
    try:
        return open_for_case(connection, case_id, stored, place)
    except Shut as error:
        raise Gone("A text that was written for this case was changed since.") from error
