"""How the cases stand, and whether a clock of theirs has fired: what is asked each second."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa

from inwit.cases import TOP_TIER, CaseState
from inwit.ledger.escalations import NOT_GOLDEN, QUEUED, aware
from inwit.ledger.tables import ESCALATIONS, SLOTS
from inwit.ledger.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Standing:
    """How many cases are open by lane, the age of the oldest one, and changes not yet told."""

    lanes: Mapping[str, int] = field(default_factory=dict[str, int])
    oldest_s: float = 0.0
    behind: int = 0


def standing(connection: sa.Connection) -> Standing:
    """How the cases stand now; golden ones are not told."""
    columns, now = ESCALATIONS.c, Transaction(connection).now
    told, claimed = columns.stuck.is_(False), columns.state == CaseState.CLAIMED.value
    pending = columns.state == CaseState.PENDING.value
    lanes = {
        "pending": (told, pending, columns.tier < TOP_TIER),
        "senior": (told, pending, columns.tier == TOP_TIER),
        "claimed": (told, claimed),
        "stuck": (columns.stuck.is_(True),),
    }
    oldest = connection.execute(sa.select(sa.func.min(columns.opened)).where(QUEUED)).scalar_one()
    age = 0.0 if oldest is None else (now - aware(oldest)).total_seconds()
    return Standing(
        {lane: _count(connection, QUEUED, *those) for lane, those in lanes.items()},
        max(0.0, age),
        _count(connection, columns.indexed < columns.version, NOT_GOLDEN),
    )


def anything_due(connection: sa.Connection) -> bool:
    """Whether a clock has fired."""
    now, columns = Transaction(connection).now, ESCALATIONS.c
    fired = (
        sa.select(columns.id).where(
            columns.closed.is_(None), columns.settles.is_not(None), columns.settles <= now
        ),
        sa.select(SLOTS.c.number).where(SLOTS.c.lease_until <= now),
        sa.select(columns.id).where(
            columns.closed.is_(None), columns.due <= now, columns.settles.is_(None)
        ),
    )
    return any(connection.execute(query.limit(1)).first() is not None for query in fired)


def _count(connection: sa.Connection, *those: sa.ColumnElement[bool]) -> int:
    query = sa.select(sa.func.count()).select_from(ESCALATIONS).where(*those)
    return connection.execute(query).scalar_one()
