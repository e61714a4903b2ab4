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

# Built once: building a statement costs more than running it.
_SAME_KEY = (
    _COLUMNS.tenant == sa.bindparam("the_tenant"),
    _COLUMNS.key_digest == sa.bindparam("the_key"),
)
_OWNED = (
    *_SAME_KEY,
    _COLUMNS.owner == sa.bindparam("the_owner"),
    _COLUMNS.response_id.is_(None),
)
_FIND = sa.select(IDEMPOTENCY).where(*_SAME_KEY)
_INSERT = sa.insert(IDEMPOTENCY)
_REMOVE = sa.delete(IDEMPOTENCY).where(*_SAME_KEY)
_COMPLETE = sa.update(IDEMPOTENCY).where(*_OWNED).values(response_id=sa.bindparam("the_response"))
_RELEASE = sa.delete(IDEMPOTENCY).where(*_OWNED)
_SWEEP = sa.delete(IDEMPOTENCY).where(
    sa.tuple_(_COLUMNS.tenant, _COLUMNS.key_digest).in_(
        sa.select(_COLUMNS.tenant, _COLUMNS.key_digest)
        .where(_COLUMNS.expires <= sa.bindparam("now"))
        .order_by(_COLUMNS.expires)
        .limit(sa.bindparam("most"))
    )
)


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
    key = _key(wanted.claim)
    row = connection.execute(_FIND, key).first()
    if row is not None and _aware(row.expires) > now:
        if row.request_digest != wanted.request_digest:
            problem = "it stood for another request before; take a new key for a new request"
            errors = (FieldError(HEADER, problem),)
            raise InvalidField("The idempotency key was used for another request.", errors)
        if row.response_id is not None:
            return row.response_id
        if _aware(row.lease_until) > now:
            raise _held(_aware(row.created), _aware(row.lease_until), now)
    if row is not None:
        connection.execute(_REMOVE, key)
    connection.execute(_INSERT, _row(wanted, now))
    return None


def complete(connection: sa.Connection, claim: Claim, response_id: str) -> None:
    """Let this response answer all repeats; in the transaction that records its decision.

    Raises:
        Conflict: the claim is lost: its lease was over, and another request took the key.
    """
    change = {**_owned(claim), "the_response": response_id}
    if connection.execute(_COMPLETE, change).rowcount != 1:
        raise Conflict(
            "Another request with this idempotency key took over, since this one took longer than "
            "it may; nothing was recorded or released.",
            retry_after=1,
        )


def release(connection: sa.Connection, claim: Claim) -> None:
    """Let the key go, where no decision of its owner is recorded."""
    connection.execute(_RELEASE, _owned(claim))


def sweep(connection: sa.Connection, most: int, now: datetime) -> None:
    """Remove keys that are over, the oldest first, `most` of them."""
    connection.execute(_SWEEP, {"now": now, "most": most})


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


def _key(claim: Claim) -> dict[str, str]:
    return {"the_tenant": claim.tenant, "the_key": claim.key_digest}


def _owned(claim: Claim) -> dict[str, str]:
    return {**_key(claim), "the_owner": claim.owner}


def _aware(moment: datetime) -> datetime:
    """SQLite gives times back in UTC, without saying so."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
