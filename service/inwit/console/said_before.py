"""What others said of a case, for a senior who adjudicates, and for those who read the record."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from inwit.cases import ActKind, Case, Ruling, RulingKind
from inwit.console.visible import Run, runs
from inwit.errors import Gone
from inwit.ledger.drafts import ruling_text
from inwit.ledger.opened import Changed, contents_of, facts_of
from inwit.ledger.outcomes import rulings_of
from inwit.ledger.tables import ENTRIES

_KINDS = (ActKind.RULED.value, ActKind.RULED_LATE.value)


@dataclass(frozen=True, slots=True)
class Before:
    """One ruling, by a pseudonym. `reason` and `edit` are as they were written."""

    reviewer: str
    kind: str
    clause: str | None
    time: datetime
    counts: bool
    reason: tuple[Run, ...]
    edit: tuple[Run, ...]


def said_before(connection: sa.Connection, case: Case, only: str | None = None) -> list[Before]:
    """The rulings on a case, oldest first; `only` those of one reviewer."""
    reasons = _reasons(connection, case)
    return [
        Before(
            reviewer=each.reviewer,
            kind=each.kind.value,
            clause=each.clause,
            time=each.time,
            counts=each.counts,
            reason=runs(reasons.get(each.id, "")),
            edit=runs(_edit(connection, each)),
        )
        for each in rulings_of(connection, case.id)
        if only in (None, each.reviewer)
    ]


def _edit(connection: sa.Connection, ruling: Ruling) -> str:
    """The text of a ruling that gives one; nothing where it is erased or was changed."""
    if ruling.kind is not RulingKind.EDIT:
        return ""
    try:
        return ruling_text(connection, ruling.id) or ""
    except Gone:
        return ""


def _reasons(connection: sa.Connection, case: Case) -> dict[str, str]:
    """The reasons by ruling, from the ledger's contents; without those erased or changed."""
    wanted = sa.select(ENTRIES).where(
        ENTRIES.c.response_id == case.response_id,  # none has a golden copy: its time narrows it
        ENTRIES.c.type.in_(_KINDS),
        ENTRIES.c.time >= case.opened,
    )
    found: dict[str, str] = {}
    for row in connection.execute(wanted):
        try:
            facts = {row.sequence: facts_of(row)}
            if facts[row.sequence]["case"] != case.id:
                continue
            contents = contents_of(connection, facts, ("reason",))[row.sequence]
        except Changed:
            continue
        if "reason" in contents:
            found[facts[row.sequence]["facts"]["ruling"]] = contents["reason"]
    return found
