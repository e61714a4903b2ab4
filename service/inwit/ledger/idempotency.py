"""Idempotency keys: one request at a time holds one, and its recorded decision answers the rest.

Every function here runs inside a transaction of `Database.write`, which lets one writer in at a
time, over all gateways: nothing changes between what is read and what is written.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from inwit.errors import Conflict, FieldError, InvalidField
from inwit.ledger.tables import IDEMPOTENCY
from inwit.types import Claim

HEADER = "Idempotency-Key"

_KEPT = timedelta(hours=24)
_LONGEST_WAIT_S = 10.0  # that a repeat is told, while the first is being worked on
_COLUMNS = IDEMPOTENCY.c


@dataclass(frozen=True, slots=True)
class Wanted:
    """A claim that is wanted for a request, for `lease_s` seconds; digests are SHA-256 in hex."""

    claim: Claim
    request_digest: str
    lease_s: float


def take(connection: sa.Connection, wanted: Wanted, now: datetime) -> str | None:
    """Take the claim: None. Or give the id of the response that answered this request before.

    Raises:
        Conflict: another request holds the key, and its lease is not over.
        InvalidField: the key stands for another request.
    """
    row = connection.execute(sa.select(IDEMPOTENCY).where(*_same_key(wanted.claim))).first()
    if row is not None and _aware(row.expires) > now:
        if row.request_digest != wanted.request_digest:
            problem = "it stood for another request before; take a new key for a new request"
            errors = (FieldError(HEADER, problem),)
            raise InvalidField("The idempotency key was used for another request.", errors)
        if row.response_id is not None:
            return row.response_id
        if _aware(row.lease_until) > now:
            raise _held(_aware(row.created), _aware(row.lease_until), now)
    connection.execute(sa.delete(IDEMPOTENCY).where(*_same_key(wanted.claim)))
    connection.execute(sa.insert(IDEMPOTENCY), _row(wanted, now))
    return None


def complete(connection: sa.Connection, claim: Claim, response_id: str) -> None:
    """Let this response answer all repeats; in the transaction that records its decision.

    Raises:
        Conflict: the claim is lost: its lease was over, and another request took the key.
    """
    change = sa.update(IDEMPOTENCY).where(*_owned(claim)).values(response_id=response_id)
    if connection.execute(change).rowcount != 1:
        raise Conflict(
            "Another request with this idempotency key took over, since this one took longer than "
            "it may; nothing was recorded or released.",
            retry_after=1,
        )


def release(connection: sa.Connection, claim: Claim) -> None:
    """Let the key go, where no decision of its owner is recorded."""
    connection.execute(sa.delete(IDEMPOTENCY).where(*_owned(claim)))


def sweep(connection: sa.Connection, most: int, now: datetime) -> None:
    """Remove keys that are over, the oldest first, `most` of them."""
    key = sa.tuple_(_COLUMNS.tenant, _COLUMNS.key_digest)
    oldest = (
        sa.select(_COLUMNS.tenant, _COLUMNS.key_digest)
        .where(_COLUMNS.expires <= now)
        .order_by(_COLUMNS.expires)
        .limit(most)
    )
    connection.execute(sa.delete(IDEMPOTENCY).where(key.in_(oldest)))


def _held(created: datetime, lease_until: datetime, now: datetime) -> Conflict:
    """Come back once it has taken as long again, or once its lease is over."""
    took, left = (now - created).total_seconds(), (lease_until - now).total_seconds()
    return Conflict(
        "The first request with this idempotency key is still being worked on.",
        retry_after=max(1, math.ceil(min(took, left, _LONGEST_WAIT_S))),
    )


def _row(wanted: Wanted, now: datetime) -> dict[str, object]:
    return {
        "tenant": wanted.claim.tenant,
        "key_digest": wanted.claim.key_digest,
        "request_digest": wanted.request_digest,
        "owner": wanted.claim.owner,
        "created": now,
        "lease_until": now + timedelta(seconds=wanted.lease_s),
        "expires": now + _KEPT,
    }


def _same_key(claim: Claim) -> tuple[sa.ColumnElement[bool], ...]:
    return _COLUMNS.tenant == claim.tenant, _COLUMNS.key_digest == claim.key_digest


def _owned(claim: Claim) -> tuple[sa.ColumnElement[bool], ...]:
    return *_same_key(claim), _COLUMNS.owner == claim.owner, _COLUMNS.response_id.is_(None)


def _aware(moment: datetime) -> datetime:
    """SQLite gives times back in UTC, without saying so."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
