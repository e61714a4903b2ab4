"""What the pages of the work lean on, and what they read of a person's own day."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from inwit.cases import TOP_TIER, Case, CaseState, Reviewer, Role
from inwit.escalation.desk import Desk
from inwit.escalation.rank import rank
from inwit.escalation.sweeper import Sweeper
from inwit.ledger.case_files import Wanted, listed
from inwit.ledger.database import Database
from inwit.ledger.escalations import aware, cases_of
from inwit.ledger.reviewing import exposure
from inwit.ledger.tables import ESCALATIONS, RULINGS, SLOTS
from inwit.policy.book import PolicyBook
from inwit.types import Severity

PAUSE = timedelta(minutes=15)  # without a ruling is a break
LONG_WORK = timedelta(minutes=60)
MANY_SEVERE = 25

_SEVERE = (Severity.HIGH, Severity.CRITICAL)
_OPEN = frozenset({CaseState.PENDING.value, CaseState.CLAIMED.value})
_MOST_FIRST = 5
_MOST_RANKED = 200
_MOST_OWN = 20
_MOST_RULINGS = 500


@dataclass(frozen=True, slots=True)
class Work:
    """The parts of the gateway by which people decide.

    `draining` says that it is being shut down. At most `most_feeds` pages follow what changes, with
    `feed_every_s` between two looks.
    """

    desk: Desk
    policies: PolicyBook
    sweeper: Sweeper
    draining: Callable[[], bool] = lambda: False
    feed_every_s: float = 2.0
    most_feeds: int = 500


@dataclass(frozen=True, slots=True)
class Day:
    """A person's own day (UTC). `pause` names a reason to rest; None where there is none."""

    shown: Mapping[Severity, int]
    rulings: int
    pause: str | None
    pause_key: str


async def lanes(database: Database, sweeper: Sweeper, reviewer: Reviewer) -> Mapping[str, int]:
    """How many open cases there are for this person's eyes, by lane.

    Raises:
        LedgerError: the database failed.
    """
    if not reviewer.tenants and not reviewer.policies and sweeper.standing.lanes:
        return sweeper.standing.lanes
    return await database.read(lambda each: _lanes(each, reviewer))


async def first_ones(database: Database, reviewer: Reviewer) -> list[Case]:
    """Cases that wait and may be this person's, the next one first; of the oldest that there are.

    Raises:
        LedgerError: the database failed.
    """
    now = datetime.now(UTC)
    cases = await database.read(lambda each: _waiting(each, reviewer))
    fit = [
        case
        for case in cases
        if reviewer.id not in case.excluded
        and (not case.stuck or reviewer.role is Role.SENIOR)
        and all(slot.reviewer != reviewer.id for slot in case.slots)
        and any(
            reviewer.may_rule(case, slot.tier) and not slot.leased(now) for slot in case.open_slots
        )
    ]
    return sorted(fit, key=lambda case: rank(case, waiting=waits(case, now)))[:_MOST_FIRST]


async def own_cases(database: Database, reviewer: Reviewer) -> list[Case]:
    """Cases that this person holds now.

    Raises:
        LedgerError: the database failed.
    """
    return await database.read(lambda each: _held(each, reviewer.id))


async def own_day(database: Database, reviewer: Reviewer) -> Day:
    """What this person was shown and said today.

    Raises:
        LedgerError: the database failed.
    """
    now = datetime.now(UTC)
    shown = await database.read(lambda each: exposure(each, reviewer.id, now))
    times = await database.read(lambda each: _ruled_at(each, reviewer.id, now))
    today = [time for time in times if time.date() == now.date()]
    why, key = _pause(now, times, sum(shown.get(each, 0) for each in _SEVERE))
    return Day(shown, len(today), why, key)


def waits(case: Case, now: datetime) -> bool:
    """Whether its caller waits in line."""
    return case.waits_until is not None and now < case.waits_until


def worked_since(now: datetime, times: Sequence[datetime]) -> datetime | None:
    """Since when somebody works without a break; `times` of their rulings, the latest first."""
    since: datetime | None = None
    for time in times:
        if (since or now) - time > PAUSE:
            break
        since = time
    return since


def _pause(now: datetime, times: Sequence[datetime], severe: int) -> tuple[str | None, str]:
    """Why somebody may want to rest, and a key that changes when it is time to say so anew."""
    since = worked_since(now, times)
    if since is not None and now - since >= LONG_WORK:
        hours = int((now - since) / LONG_WORK)
        minutes = int((now - since).total_seconds() // 60)
        return f"You have worked for {minutes} minutes without a break.", f"{since:%H%M}-{hours}"
    if severe >= MANY_SEVERE:
        return f"You were shown {severe} severe cases today.", f"severe-{severe // MANY_SEVERE}"
    return None, ""


def _ruled_at(connection: sa.Connection, reviewer: str, now: datetime) -> list[datetime]:
    query = (
        sa.select(RULINGS.c.time)
        .where(RULINGS.c.reviewer == reviewer, RULINGS.c.time > now - timedelta(days=1))
        .order_by(RULINGS.c.time.desc())
        .limit(_MOST_RULINGS)
    )
    return [aware(time) for time in connection.execute(query).scalars()]


def _waiting(connection: sa.Connection, reviewer: Reviewer) -> list[Case]:
    wanted = Wanted(tenants=reviewer.tenants, policies=reviewer.policies, states=_OPEN)
    return cases_of(connection, listed(connection, wanted, None, _MOST_RANKED))


def _held(connection: sa.Connection, reviewer: str) -> list[Case]:
    held = SLOTS.c.lease_until > datetime.now(UTC)
    mine = sa.and_(SLOTS.c.reviewer == reviewer, SLOTS.c.ruled.is_(False), held)
    query = (
        sa.select(ESCALATIONS)
        .where(ESCALATIONS.c.id.in_(sa.select(SLOTS.c.escalation_id).where(mine)))
        .where(ESCALATIONS.c.closed.is_(None))
        .order_by(ESCALATIONS.c.due)
        .limit(_MOST_OWN)
    )
    return cases_of(connection, connection.execute(query).all())


def _lanes(connection: sa.Connection, reviewer: Reviewer) -> Mapping[str, int]:
    columns = ESCALATIONS.c
    conditions: list[sa.ColumnElement[bool]] = [
        columns.state.in_(_OPEN),
        columns.expected.is_(None),
    ]
    for column, values in ((columns.tenant, reviewer.tenants), (columns.policy, reviewer.policies)):
        if values:
            conditions.append(column.in_(values))
    lane: sa.Case[Any] = sa.case(
        (columns.stuck, "stuck"),
        (columns.state == CaseState.CLAIMED.value, "claimed"),
        (columns.tier == TOP_TIER, "senior"),
        else_="pending",
    )
    query = sa.select(lane, sa.func.count()).where(*conditions).group_by(lane)
    counted: dict[str, int] = {row[0]: row[1] for row in connection.execute(query)}
    return {name: counted.get(name, 0) for name in ("pending", "senior", "claimed", "stuck")}
