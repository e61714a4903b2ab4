"""Answers on their way to callers: rows that the transaction which settles a case makes.

A gateway sends what it holds a lease on, so that two of them never send the same at once. One
that dies between sending and recording leaves its lease to run out, and it is sent again.
All functions run inside a transaction of `LedgerStore.write`, but `due`, `listed` and `given_up`,
which only read.
"""

import random
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from inwit import callbacks
from inwit.cases import ActKind, ActRecord
from inwit.errors import NotFound
from inwit.ledger.tables import DELIVERIES
from inwit.ledger.transaction import Transaction

LEASE = timedelta(seconds=60)  # six times what one attempt may take

# Before the second attempt, the third, and so on; after the last of them it is given up.
_PAUSES = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 30, 120, 600, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 24 * 3600)
)
ATTEMPTS = len(_PAUSES) + 1
_JITTER = 0.2
_LONGEST_PAUSE = timedelta(hours=24)  # that a receiver may ask for
_COLUMNS = DELIVERIES.c


class DeliveryState(StrEnum):
    """Where a delivery is."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One answer for one caller. `attempts` counts the one under way; `id` is the webhook-id."""

    id: str
    case_id: str
    response_id: str
    tenant: str
    key_id: str
    url: str
    host: str
    state: DeliveryState
    attempts: int
    due: datetime
    last_result: str | None
    created: datetime
    owner: str | None


def open(
    transaction: Transaction,
    *,
    case_id: str,
    response_id: str,
    tenant: str,
    key_id: str,
    url: str,
) -> None:
    """Have the answer of a case that is settled in this transaction sent, at once."""
    row = {
        "id": f"msg_{uuid.uuid4().hex}",
        "escalation_id": case_id,
        "response_id": response_id,
        "tenant": tenant,
        "key_id": key_id,
        "url": url,
        "host": _host(url),
        "state": DeliveryState.PENDING.value,
        "attempts": 0,
        "due": transaction.now,
        "created": transaction.now,
    }
    transaction.insert(DELIVERIES, row)


def due(transaction: Transaction, most: int, busy: Mapping[str, int], per_host: int) -> list[str]:
    """Ids of up to `most` deliveries that are due, the oldest first; read only, so not yet taken.

    A host gets no more than `per_host` of them, with those that are under way to it (`busy`), so
    that one which is slow keeps nobody else waiting, however much waits for it.
    """
    chosen: list[str] = []
    hosts = Counter(busy)
    query = sa.select(_COLUMNS.id, _COLUMNS.host).where(*_free(transaction.now))
    query = query.order_by(_COLUMNS.due).limit(most)
    while len(chosen) < most:  # each time round, at least one host more is full
        full = [host for host, count in hosts.items() if count >= per_host]
        others = query.where(_COLUMNS.host.not_in(full), _COLUMNS.id.not_in(chosen))
        rows = transaction.connection.execute(others).all()
        for row in rows[: most - len(chosen)]:
            if hosts[row.host] < per_host:
                hosts[row.host] += 1
                chosen.append(row.id)
        if len(rows) < most:
            break
    return chosen


def take(transaction: Transaction, owner: str, ids: Sequence[str]) -> list[Delivery]:
    """Lease those of the deliveries that are still due to this owner, and count an attempt."""
    now = transaction.now
    wanted = (*_free(now), _COLUMNS.id.in_(ids))
    found = transaction.connection.execute(sa.select(_COLUMNS.id).where(*wanted)).scalars().all()
    transaction.connection.execute(
        sa.update(DELIVERIES)
        .where(_COLUMNS.id.in_(found))
        .values(owner=owner, owned_until=now + LEASE, attempts=_COLUMNS.attempts + 1)
    )
    return _read(transaction.connection, _COLUMNS.id.in_(found))


def delivered(transaction: Transaction, delivery: Delivery, result: str) -> bool:
    """It arrived. False where that was recorded before, by whoever else had sent it."""
    change = _done(DeliveryState.DELIVERED, result, transaction.now)
    # Not only by its owner: what has arrived has arrived, also past the end of a lease.
    if not _change(transaction, delivery, change):
        return False
    transaction.add(_act(ActKind.DELIVERED, delivery, result, transaction.now))
    return True


def failed(
    transaction: Transaction,
    delivery: Delivery,
    result: str,
    *,
    retry_after: timedelta | None = None,
    final: bool = False,
) -> bool:
    """It did not arrive: try again later, or give up after the last attempt or where `final`.

    True where it is given up. Nothing changes where the lease is lost: another gateway decides.
    """
    now, owned = transaction.now, _COLUMNS.owner == delivery.owner
    if not final and delivery.attempts < ATTEMPTS:
        wait = pause(delivery.attempts, random.uniform(-1, 1), retry_after)  # noqa: S311  # no secret
        change = {"due": now + wait, "owner": None, "owned_until": None, "last_result": result}
        _change(transaction, delivery, change, owned)
        return False
    if not _change(transaction, delivery, _done(DeliveryState.DEAD, result, now), owned):
        return False
    transaction.add(_act(ActKind.DELIVERY_GIVEN_UP, delivery, result, now))
    return True


def pause(attempts: int, draw: float, retry_after: timedelta | None = None) -> timedelta:
    """How long to wait after so many attempts; `draw`, uniform in [-1, 1], spreads them by 20 %.

    Never less than the receiver asked for, up to a day.
    """
    own = _PAUSES[min(attempts, len(_PAUSES)) - 1] * (1 + _JITTER * draw)
    return max(own, min(retry_after or own, _LONGEST_PAUSE))


def retry(transaction: Transaction, delivery_id: str) -> None:
    """Send it now, with all its attempts before it again.

    Raises:
        NotFound: there is none by this id that has not arrived.
    """
    change = {
        "state": DeliveryState.PENDING.value,
        "attempts": 0,
        "due": transaction.now,
        "owner": None,
        "owned_until": None,
        "done": None,
    }
    again = sa.update(DELIVERIES).where(
        _COLUMNS.id == delivery_id, _COLUMNS.state != DeliveryState.DELIVERED.value
    )
    if transaction.connection.execute(again.values(**change)).rowcount != 1:
        raise NotFound(f"There is no delivery {delivery_id} that has not arrived yet.")


def listed(connection: sa.Connection, most: int) -> list[Delivery]:
    """Those that have not arrived, the newest first, `most` of them."""
    return _read(connection, _COLUMNS.state != DeliveryState.DELIVERED.value, most)


def given_up(transaction: Transaction, within: timedelta) -> int:
    """How many were given up lately."""
    since = transaction.now - within
    query = sa.select(sa.func.count()).where(
        _COLUMNS.state == DeliveryState.DEAD.value, _COLUMNS.done > since
    )
    return transaction.connection.execute(query).scalar_one()


def _free(now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        _COLUMNS.state == DeliveryState.PENDING.value,
        _COLUMNS.due <= now,
        sa.or_(_COLUMNS.owned_until.is_(None), _COLUMNS.owned_until <= now),
    )


def _done(state: DeliveryState, result: str, now: datetime) -> dict[str, Any]:
    change = {"state": state.value, "last_result": result, "done": now}
    return {**change, "owner": None, "owned_until": None}


def _change(
    transaction: Transaction,
    delivery: Delivery,
    change: dict[str, Any],
    *conditions: sa.ColumnElement[bool],
) -> bool:
    """Whether it was still pending, under these conditions, and is changed."""
    statement = sa.update(DELIVERIES).where(
        _COLUMNS.id == delivery.id, _COLUMNS.state == DeliveryState.PENDING.value, *conditions
    )
    return transaction.connection.execute(statement.values(**change)).rowcount == 1


def _act(kind: ActKind, delivery: Delivery, result: str, now: datetime) -> ActRecord:
    """Its entry: never where it was sent to."""
    return ActRecord(
        kind=kind,
        time=now,
        tenant=delivery.tenant,
        actor=None,
        facts={"delivery": delivery.id, "attempts": delivery.attempts, "result": result},
        contents={},
        response_id=delivery.response_id,
        case_id=delivery.case_id,
    )


def _read(
    connection: sa.Connection, condition: sa.ColumnElement[bool], most: int | None = None
) -> list[Delivery]:
    query = sa.select(DELIVERIES).where(condition).order_by(_COLUMNS.created.desc()).limit(most)
    return [_delivery(row) for row in connection.execute(query)]


def _delivery(row: sa.Row[Any]) -> Delivery:
    return Delivery(
        id=row.id,
        case_id=row.escalation_id,
        response_id=row.response_id,
        tenant=row.tenant,
        key_id=row.key_id,
        url=row.url,
        host=row.host,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        due=_aware(row.due),
        last_result=row.last_result,
        created=_aware(row.created),
        owner=row.owner,
    )


def _host(url: str) -> str:
    """Whom it goes to; empty where the URL cannot be read."""
    try:
        return callbacks.target(url).host
    except ValueError:
        return ""


def _aware(moment: datetime) -> datetime:
    """SQLite gives times back in UTC, without saying so."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
