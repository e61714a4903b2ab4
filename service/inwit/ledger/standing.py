"""How the cases stand, and whether a clock of theirs has fired: what is asked each second."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from inwit.cases import TOP_TIER, CaseState
from inwit.ledger.deliveries import DeliveryState
from inwit.ledger.escalations import NOT_GOLDEN, QUEUED, aware
from inwit.ledger.tables import DELIVERIES, ESCALATIONS, SLOTS
from inwit.ledger.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Standing:
    """How many cases are open by lane, the age of the oldest one, and changes not yet told.

    `overdue` cases should have been ended by their clock; `reviewers` hold a lease now;
    `deliveries` are still to be sent.
    """

    lanes: Mapping[str, int] = field(default_factory=dict[str, int])
    oldest_s: float = 0.0
    behind: int = 0
    overdue: int = 0
    reviewers: int = 0
    deliveries: int = 0
    oldest_delivery_s: float = 0.0


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
    people = sa.select(sa.func.count(SLOTS.c.reviewer.distinct())).where(SLOTS.c.lease_until > now)
    unsent = DELIVERIES.c.state == DeliveryState.PENDING.value
    sending = sa.select(sa.func.count(), sa.func.min(DELIVERIES.c.created)).where(unsent)
    deliveries, first_delivery = connection.execute(sending).one()
    oldest = connection.execute(sa.select(sa.func.min(columns.opened)).where(QUEUED)).scalar_one()
    return Standing(
        {lane: _count(connection, QUEUED, *those) for lane, those in lanes.items()},
        _age(oldest, now),
        _count(connection, columns.indexed < columns.version, NOT_GOLDEN),
        _count(connection, columns.closed.is_(None), columns.due <= now, columns.settles.is_(None)),
        connection.execute(people).scalar_one(),
        deliveries,
        _age(first_delivery, now),
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


def _age(then: datetime | None, now: datetime) -> float:
    """Seconds; 0 where there is nothing."""
    return 0.0 if then is None else max(0.0, (now - aware(then)).total_seconds())


def _count(connection: sa.Connection, *those: sa.ColumnElement[bool]) -> int:
    query = sa.select(sa.func.count()).select_from(ESCALATIONS).where(*those)
    return connection.execute(query).scalar_one()
