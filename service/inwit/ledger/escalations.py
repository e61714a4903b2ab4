"""Cases in the ledger's database: opened with their decision, read back, changed by version.

Everything that changes a case runs inside a transaction of `LedgerStore.write`, which lets one
writer in at a time, over all gateways: nothing changes between what is read and what is written.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog

from inwit.cases import (
    ActKind,
    ActRecord,
    Case,
    CaseState,
    Hold,
    RulingKind,
    Slot,
)
from inwit.decisions import Record
from inwit.errors import LedgerError, NotFound
from inwit.ledger.tables import ESCALATIONS, EXCLUSIONS, SLOTS
from inwit.ledger.transaction import Transaction
from inwit.types import Category, PolicyRef, Severity

log = structlog.get_logger()

_ID = re.compile(r"esc_[0-9a-f]{32}")
NOT_GOLDEN = ESCALATIONS.c.expected.is_(None)  # such a case is one reviewer's from the start
QUEUED = sa.and_(ESCALATIONS.c.closed.is_(None), NOT_GOLDEN)


def open_case(transaction: Transaction, record: Record, hold: Hold, sequence: int) -> None:
    """Make the case of a held response; its decision is the entry at `sequence`."""
    origin, now = record.origin, transaction.now
    row = {
        "id": hold.id,
        "response_id": origin.response_id,
        "sequence": sequence,
        "key_id": origin.principal.key_id,
        "tenant": origin.principal.tenant,
        "policy": origin.policy.name,
        "policy_version": origin.policy.version,
        "policy_digest": origin.policy.digest,
        "language": hold.language,
        "severity": hold.severity.value,
        "categories": ",".join(record.decision.categories),
        "tier": 1,
        "required": hold.required,
        "claim_within_s": round(hold.claim_within.total_seconds()),
        "rule_within_s": round(hold.rule_within.total_seconds()),
        "on_expiry": hold.on_expiry.value,
        "due": now + hold.claim_within,
        "waits_until": now + hold.waits if hold.waits else None,
        "callback_url": hold.callback_url,
    }
    transaction.insert(ESCALATIONS, fresh_case(now) | row)
    for number in range(1, hold.required + 1):
        transaction.insert(SLOTS, slot_row(hold.id, number, tier=1))


def fresh_case(now: datetime) -> dict[str, Any]:
    """What the row of a case begins with that nobody has seen yet."""
    return {
        "state": CaseState.PENDING.value,
        "stuck": False,
        "expected": None,
        "opened": now,
        "claimed_first": None,
        "settles": None,
        "closed": None,
        "version": 1,
        "indexed": 0,
    }


def slot_row(case_id: str, number: int, tier: int) -> dict[str, Any]:
    """A slot that nobody holds."""
    return {
        "escalation_id": case_id,
        "number": number,
        "tier": tier,
        "expirations": 0,
        "ruled": False,
    }


@dataclass(frozen=True, slots=True)
class Terms:
    """What the database keeps of a case beside what `Case` says."""

    sequence: int
    key_id: str
    claim_within_s: int
    rule_within_s: int
    on_expiry: str
    settles: datetime | None
    callback_url: str | None


def case_of(connection: sa.Connection, case_id: str) -> tuple[Case, Terms]:
    """One case.

    Raises:
        NotFound: there is none with this id.
        LedgerError: it has a word that this version does not know.
    """
    if not _ID.fullmatch(case_id):  # nothing else reaches the database, which others write to
        raise no_such_case()
    row = connection.execute(sa.select(ESCALATIONS).filter_by(id=case_id)).first()
    if row is None:
        raise no_such_case()
    found = cases_of(connection, [row])
    if not found:
        raise LedgerError("This case was written by another version of Inwit, which can read it.")
    return found[0], _terms(row)


def cases_of(connection: sa.Connection, rows: Sequence[sa.Row[Any]]) -> list[Case]:
    """Rows of `escalations` with their slots and exclusions.

    Those with a word that this version does not know are left out: they hold up no other.
    """
    ids = [row.id for row in rows]
    slots: dict[str, list[Slot]] = {name: [] for name in ids}
    excluded: dict[str, set[str]] = {name: set() for name in ids}
    query = sa.select(SLOTS).where(SLOTS.c.escalation_id.in_(ids)).order_by(SLOTS.c.number)
    for row in connection.execute(query):
        slots[row.escalation_id].append(_slot(row))
    for row in connection.execute(sa.select(EXCLUSIONS).where(EXCLUSIONS.c.escalation_id.in_(ids))):
        excluded[row.escalation_id].add(row.reviewer)
    found = (_readable(row, tuple(slots[row.id]), frozenset(excluded[row.id])) for row in rows)
    return [case for case in found if case is not None]


def unindexed(connection: sa.Connection, most: int) -> list[Case]:
    """Cases that the queue was not told of as they now stand."""
    query = (
        sa.select(ESCALATIONS)
        .where(ESCALATIONS.c.indexed < ESCALATIONS.c.version, NOT_GOLDEN)
        .limit(most)
    )
    return cases_of(connection, connection.execute(query).all())


def cases_by_id(connection: sa.Connection, ids: Sequence[str]) -> list[Case]:
    """Those of the cases that there are."""
    query = sa.select(ESCALATIONS).where(ESCALATIONS.c.id.in_(ids))
    return cases_of(connection, connection.execute(query).all())


def open_cases(connection: sa.Connection, after: str, most: int, tenant: str) -> list[Case]:
    """Open cases of a tenant by id, those after `after`."""
    query = (
        sa.select(ESCALATIONS)
        .where(QUEUED, ESCALATIONS.c.tenant == tenant, ESCALATIONS.c.id > after)
        .order_by(ESCALATIONS.c.id)
        .limit(most)
    )
    return cases_of(connection, connection.execute(query).all())


def late_tenants(connection: sa.Connection) -> list[str]:
    """The tenants that have open cases, or had some within a day, by name."""
    closed, since = ESCALATIONS.c.closed, Transaction(connection).now - timedelta(days=1)
    query = sa.select(ESCALATIONS.c.tenant).where(closed.is_not(None), closed >= since)
    ended = connection.execute(query.distinct()).scalars()
    return sorted({*ended, *open_tenants(connection)})


def open_tenants(connection: sa.Connection) -> list[str]:
    """The tenants that have open cases, by name."""
    # From each to the next one in the index: no more is read than there are tenants.
    column, found = ESCALATIONS.c.tenant, list[str]()
    query = sa.select(sa.func.min(column)).where(QUEUED, column > sa.bindparam("last"))
    last: str | None = ""
    while last is not None:
        last = connection.execute(query, {"last": last}).scalar_one()
        if last is not None:
            found.append(last)
    return found


def mark_indexed(transaction: Transaction, versions: Iterable[tuple[str, int]]) -> None:
    """Note what the queue was told. Never goes back."""
    for case_id, version in versions:
        transaction.connection.execute(
            sa.update(ESCALATIONS)
            .where(ESCALATIONS.c.id == case_id, ESCALATIONS.c.indexed < version)
            .values(indexed=version)
        )


def change(transaction: Transaction, case_id: str, **values: Any) -> None:
    """Change a case, so that the queue is told."""
    transaction.connection.execute(
        sa.update(ESCALATIONS)
        .where(ESCALATIONS.c.id == case_id)
        .values(version=ESCALATIONS.c.version + 1, **values)
    )


def change_slot(transaction: Transaction, case_id: str, number: int, **values: Any) -> None:
    """Change a slot; the case is to be changed too."""
    transaction.connection.execute(
        sa.update(SLOTS)
        .where(SLOTS.c.escalation_id == case_id, SLOTS.c.number == number)
        .values(**values)
    )


def in_each(
    transaction: Transaction, ids: Sequence[str], step: Callable[[Transaction, str], Case]
) -> list[Case]:
    """Take a step in each case by itself: one that cannot be taken holds up no other."""
    done: list[Case] = []
    for case_id in ids:
        try:
            done.append(transaction.undoing(lambda own, name=case_id: step(own, name)))
        except Exception as error:  # noqa: BLE001  # whatever it is, the others' clocks go on
            log.error("case_not_settled", case=case_id, error=type(error).__name__)
            change(transaction, case_id, stuck=True, settles=None)
    return done


def hung_up(transaction: Transaction, case_id: str) -> None:
    """Nobody waits in line for this case any more: a ruling on it can be undone."""
    transaction.connection.execute(
        sa.update(ESCALATIONS)
        .where(ESCALATIONS.c.id == case_id, ESCALATIONS.c.waits_until > transaction.now)
        .values(waits_until=transaction.now, version=ESCALATIONS.c.version + 1)
    )


def set_aside(transaction: Transaction, case_id: str) -> Case:
    """Have nobody given a case that cannot be shown: it is stuck, and its clock ends it."""
    if case_of(transaction.connection, case_id)[0].state.open:
        change(transaction, case_id, stuck=True)
    return case_of(transaction.connection, case_id)[0]


def exclude(transaction: Transaction, case_id: str, reviewer: str, why: str) -> None:
    """Keep a case from a reviewer, for good."""
    keys = {"escalation_id": case_id, "reviewer": reviewer}
    connection = transaction.connection
    if connection.execute(sa.select(EXCLUSIONS).filter_by(**keys)).first() is None:
        connection.execute(sa.insert(EXCLUSIONS), {**keys, "why": why, "time": transaction.now})


def note(
    transaction: Transaction,
    case: Case,
    kind: ActKind,
    actor: str | None,
    facts: Mapping[str, Any],
    contents: Mapping[str, bytes] | None = None,
) -> None:
    """Append an entry about a case. A golden one has no response of its own."""
    golden = case.expected is not None
    transaction.add(
        ActRecord(
            kind=kind,
            time=transaction.now,
            tenant=case.tenant,
            actor=actor,
            facts={**facts, "golden": True} if golden else facts,
            contents=contents or {},
            response_id="" if golden else case.response_id,
            case_id=case.id,
        )
    )


def no_such_case() -> NotFound:
    """The error for a case that is not there, or not for this reviewer."""
    return NotFound("There is no case with this id that you may see.")


def aware(moment: datetime) -> datetime:
    """SQLite gives times back in UTC, without saying so."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def maybe(moment: datetime | None) -> datetime | None:
    """The same, where there may be none."""
    return None if moment is None else aware(moment)


def _readable(row: sa.Row[Any], slots: tuple[Slot, ...], excluded: frozenset[str]) -> Case | None:
    try:
        return _case(row, slots, excluded)
    except ValueError as error:
        log.error("case_not_readable", case=row.id, error=type(error).__name__)
        return None


def _case(row: sa.Row[Any], slots: tuple[Slot, ...], excluded: frozenset[str]) -> Case:
    return Case(
        id=row.id,
        response_id=row.response_id,
        tenant=row.tenant,
        policy=PolicyRef(row.policy, row.policy_version, row.policy_digest),
        language=row.language,
        severity=Severity(row.severity),
        categories=tuple(Category(each) for each in row.categories.split(",") if each),
        tier=row.tier,
        required=row.required,
        state=CaseState(row.state),
        stuck=row.stuck,
        expected=RulingKind(row.expected) if row.expected else None,
        opened=aware(row.opened),
        due=aware(row.due),
        claimed_first=maybe(row.claimed_first),
        closed=maybe(row.closed),
        waits_until=maybe(row.waits_until),
        version=row.version,
        slots=slots,
        excluded=excluded,
    )


def _terms(row: sa.Row[Any]) -> Terms:
    return Terms(
        sequence=row.sequence,
        key_id=row.key_id,
        claim_within_s=row.claim_within_s,
        rule_within_s=row.rule_within_s,
        on_expiry=row.on_expiry,
        settles=maybe(row.settles),
        callback_url=row.callback_url,
    )


def _slot(row: sa.Row[Any]) -> Slot:
    return Slot(
        number=row.number,
        tier=row.tier,
        reviewer=row.reviewer,
        lease_hash=row.lease_hash,
        lease_until=maybe(row.lease_until),
        expirations=row.expirations,
        ruled=row.ruled,
        first_verdict=RulingKind(row.first_verdict) if row.first_verdict else None,
        shown=frozenset(row.shown.split(",")) if row.shown else frozenset(),
    )
