"""Legal holds: what must be kept for now, whoever asks to be forgotten and whatever its time."""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa

from inwit.cases import ActKind, ActRecord
from inwit.errors import Conflict, NotFound
from inwit.ledger.escalations import aware, maybe
from inwit.ledger.tables import ENTRIES, HOLDS, SUBJECTS
from inwit.ledger.transaction import Transaction

LONGEST_REASON = 200  # it stands in an entry, for ever


class HoldScope(StrEnum):
    """What a hold is on."""

    RESPONSE = "response"
    END_USER = "end_user"
    TENANT = "tenant"


@dataclass(frozen=True, slots=True)
class LegalHold:
    """One hold. `value` is a response's id, a subject's (a digest, no id of a person), a tenant."""

    id: str
    scope: HoldScope
    value: str
    reason: str
    placed_by: str
    placed: datetime
    lifted: datetime | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """The holds that stand, to be asked about many things."""

    values: Mapping[HoldScope, frozenset[str]] = field(
        default_factory=dict[HoldScope, frozenset[str]]
    )

    def over(self, *, tenant: str, response: str = "", subject: str = "") -> bool:
        """Whether one of them covers this."""
        return (
            tenant in self._of(HoldScope.TENANT)
            or response in self._of(HoldScope.RESPONSE)
            or subject in self._of(HoldScope.END_USER)
        )

    def _of(self, scope: HoldScope) -> frozenset[str]:
        return self.values.get(scope, frozenset())


def place(
    transaction: Transaction, scope: HoldScope, value: str, tenant: str, reason: str, by: str
) -> LegalHold:
    """Place a hold. For an end user `value` is the subject's id.

    Raises:
        NotFound: there is no such response.
        Conflict: the same hold stands already.
    """
    connection = transaction.connection
    if scope is HoldScope.RESPONSE:
        tenant = tenant_of(connection, value)
    keys = {"scope": scope.value, "value": value}
    before = sa.select(HOLDS.c.id).filter_by(**keys).where(HOLDS.c.lifted.is_(None))
    if standing := connection.execute(before).scalar():
        raise Conflict(f"This is held already, by {standing}.")
    hold = LegalHold(f"hold_{uuid.uuid4().hex}", scope, value, reason, by, transaction.now)
    row = {"reason": reason, "placed_by": by, "placed": hold.placed, "lifted": None}
    connection.execute(sa.insert(HOLDS), {"id": hold.id, **keys, **row})
    _note(transaction, ActKind.HELD, hold, tenant, by)
    return hold


def lift(transaction: Transaction, hold_id: str, by: str) -> LegalHold:
    """End a hold.

    Raises:
        NotFound: there is none by this id, or it is lifted.
    """
    connection = transaction.connection
    row = connection.execute(sa.select(HOLDS).filter_by(id=hold_id)).first()
    if row is None or row.lifted is not None:
        raise NotFound(f"There is no hold {hold_id} that stands.")
    change = sa.update(HOLDS).where(HOLDS.c.id == hold_id).values(lifted=transaction.now)
    connection.execute(change)
    hold = _hold(row)
    _note(transaction, ActKind.LIFTED, hold, _tenant(connection, hold), by)
    return hold


def listed(connection: sa.Connection, *, lifted: bool = False) -> list[LegalHold]:
    """The holds that stand, the oldest first; those that were lifted too, where wanted."""
    query = sa.select(HOLDS).order_by(HOLDS.c.placed, HOLDS.c.id)
    if not lifted:
        query = query.where(HOLDS.c.lifted.is_(None))
    return [_hold(row) for row in connection.execute(query)]


def standing(connection: sa.Connection) -> Standing:
    """All that stand."""
    values: dict[HoldScope, set[str]] = {scope: set() for scope in HoldScope}
    for hold in listed(connection):
        values[hold.scope].add(hold.value)
    return Standing({scope: frozenset(each) for scope, each in values.items()})


def refuse_held(
    connection: sa.Connection, tenant: str, responses: Collection[str], subjects: Collection[str]
) -> None:
    """Go on only where no hold covers what is to be erased.

    Raises:
        Conflict: one does; it names it, and how to lift it.
    """
    for hold in listed(connection):
        covered: Collection[str] = {
            HoldScope.RESPONSE: responses,
            HoldScope.END_USER: subjects,
            HoldScope.TENANT: (tenant,),
        }[hold.scope]
        if hold.value in covered:
            raise Conflict(
                f"The legal hold {hold.id} (on a {hold.scope.value.replace('_', ' ')}, since "
                f"{hold.placed:%Y-%m-%d}) stands in the way, and nothing was erased. Where it is "
                f"no longer needed: inwit ledger lift {hold.id}"
            )


def tenant_of(connection: sa.Connection, response_id: str) -> str:
    """Whose response it is.

    Raises:
        NotFound: the ledger has nothing about it.
    """
    query = sa.select(ENTRIES.c.tenant).where(ENTRIES.c.response_id == response_id).limit(1)
    tenant = connection.execute(query).scalar() if response_id else None
    if tenant is None:
        raise NotFound(f"The ledger holds nothing about {response_id}.")
    return tenant


def _tenant(connection: sa.Connection, hold: LegalHold) -> str:
    match hold.scope:
        case HoldScope.TENANT:
            return hold.value
        case HoldScope.END_USER:
            query = sa.select(SUBJECTS.c.tenant).where(SUBJECTS.c.id == hold.value)
        case HoldScope.RESPONSE:
            column = ENTRIES.c.response_id
            query = sa.select(ENTRIES.c.tenant).where(column == hold.value).limit(1)
    return connection.execute(query).scalar() or ""


def _note(transaction: Transaction, kind: ActKind, hold: LegalHold, tenant: str, by: str) -> None:
    facts = {"hold": hold.id, "scope": hold.scope.value, "value": hold.value}
    if kind is ActKind.HELD:
        facts["reason"] = hold.reason
    response = hold.value if hold.scope is HoldScope.RESPONSE else ""
    act = ActRecord(kind, transaction.now, tenant, by, facts, {}, response_id=response)
    transaction.add(act)


def _hold(row: sa.Row[tuple[object, ...]]) -> LegalHold:
    return LegalHold(
        row.id,
        HoldScope(row.scope),
        row.value,
        row.reason,
        row.placed_by,
        aware(row.placed),
        maybe(row.lifted),
    )
