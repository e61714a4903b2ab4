"""Who was at work on a case when its time was over: what they then say is kept to learn from."""

import sqlalchemy as sa

from inwit.cases import ActKind, Case, CaseState, Slot
from inwit.errors import Gone
from inwit.ledger.opened import Changed, facts_of
from inwit.ledger.tables import ENTRIES

_GAVE_BACK = (ActKind.RELEASED, ActKind.SKIPPED)
_RULED = (ActKind.RULED, ActKind.RULED_LATE)


def overtaken_slot(connection: sa.Connection, case: Case, reviewer: str) -> Slot | None:
    """The slot that a reviewer had, and neither gave back nor ruled in, while its time ran out.

    Read from the entries, since a slot that time took away is nobody's any more, or is gone.

    Raises:
        Gone: an entry is not what was written.
    """
    slot = None if case.expected is not None else _last_held(connection, case, reviewer)
    if slot is None:
        return None
    over = case.state is CaseState.EXPIRED or slot.tier < case.tier
    return slot if over else None


def _last_held(connection: sa.Connection, case: Case, reviewer: str) -> Slot | None:
    held: Slot | None = None
    ruled: dict[str, Slot] = {}
    query = sa.select(ENTRIES).filter_by(response_id=case.response_id)
    for row in connection.execute(query.order_by(ENTRIES.c.sequence)):
        try:
            entry = facts_of(row)
        except Changed as error:
            raise Gone("What the ledger holds of this case was changed.") from error
        if entry.get("actor") != reviewer:
            continue
        kind, facts = entry["type"], entry["facts"]
        if kind == ActKind.CLAIMED:
            held = Slot(facts["slot"], facts["tier"], reviewer)
        elif kind in _GAVE_BACK:
            held = None
        elif kind in _RULED:
            held, ruled[facts["ruling"]] = None, Slot(facts["slot"], facts["tier"], reviewer)
        elif kind == ActKind.UNDONE:
            held = ruled[facts["ruling"]]
    return held
