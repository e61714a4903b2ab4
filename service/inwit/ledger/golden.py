"""Golden cases: copies of decided ones with a known answer, shown among the others.

Nothing is ever released of one, and no metric of the product counts it. The template has the
state `golden`; each reviewer gets at most one copy of it, which is theirs from the start.
"""

import secrets
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from inwit.cases import ActKind, Case, CaseState, Lease, Reviewer, RulingKind
from inwit.errors import Conflict
from inwit.ledger.case_files import case_file
from inwit.ledger.escalations import case_of, cases_of, fresh_case, note, slot_row
from inwit.ledger.leases import lease_of, token_hash
from inwit.ledger.tables import ESCALATIONS, SLOTS
from inwit.ledger.transaction import Transaction
from inwit.types import PolicyRef, Severity

_RECENT = 50  # closed cases: a copy is told to have waited as long as one of them

_COPIED = (
    *("sequence", "key_id", "tenant", "policy", "policy_version", "policy_digest", "language"),
    *("severity", "categories", "claim_within_s", "rule_within_s", "on_expiry", "expected"),
)


def make_golden(transaction: Transaction, case_id: str, expected: RulingKind, by: str) -> Case:
    """Make a template of a resolved case, to which `expected` is the answer.

    Raises:
        NotFound: no such case.
        Conflict: it is not resolved, or golden itself, or has no rewrite to approve.
        Gone: its content is no longer kept.
    """
    connection = transaction.connection
    case, _ = case_of(connection, case_id)
    if case.state is not CaseState.RESOLVED or case.expected is not None:
        raise Conflict("Only a case that was ruled on can be made golden.")
    offers = case_file(connection, case_id, by).offers
    if expected is RulingKind.APPROVE_REWRITE and expected not in offers:
        raise Conflict("This case has no rewrite, so approving it cannot be its answer.")
    row = connection.execute(sa.select(ESCALATIONS).filter_by(id=case_id)).one()
    template = _insert(
        transaction,
        _copy(row)
        | {
            "expected": expected.value,
            "state": CaseState.GOLDEN.value,
            "closed": transaction.now,  # no clock runs for it
        },
    )
    note(transaction, case, ActKind.CHANGED, by, {"golden": template, "expected": expected.value})
    return case_of(connection, template)[0]


def retire_golden(transaction: Transaction, case_id: str, by: str) -> None:
    """Show a template no more.

    Raises:
        NotFound: no such case.
        Conflict: it is no template.
    """
    case, _ = case_of(transaction.connection, case_id)
    if case.state is not CaseState.GOLDEN:
        raise Conflict("This is no golden case.")
    change = sa.update(ESCALATIONS).filter_by(id=case_id)
    transaction.connection.execute(change.values(state=CaseState.EXPIRED.value))
    note(transaction, case, ActKind.CHANGED, by, {"golden": None})


def templates(connection: sa.Connection) -> list[Case]:
    """All that are shown."""
    query = sa.select(ESCALATIONS).filter_by(state=CaseState.GOLDEN.value)
    return cases_of(connection, connection.execute(query.order_by(ESCALATIONS.c.opened)).all())


def next_golden(
    transaction: Transaction,
    reviewer: Reviewer,
    token: str,
    lease_s: float,
    worst: Severity = Severity.CRITICAL,
    in_force: Mapping[str, PolicyRef] | None = None,
) -> tuple[Case, Lease] | None:
    """A copy that this reviewer has not seen, claimed for them; None where there is none left.

    None of them is worse than `worst`. The same token again gets the same copy. It is decided
    under the policy of its name that is `in_force`, as a fresh case is, and there is none where
    that name is gone; without the mapping the policy is the template's.
    """
    connection = transaction.connection
    if again := _claimed_by(transaction, reviewer, token):
        return again
    seen = (
        sa.select(ESCALATIONS.c.sequence)
        .join(SLOTS, SLOTS.c.escalation_id == ESCALATIONS.c.id)
        .where(SLOTS.c.reviewer == reviewer.id)
    )
    query = sa.select(ESCALATIONS).where(
        ESCALATIONS.c.state == CaseState.GOLDEN.value, ESCALATIONS.c.sequence.not_in(seen)
    )
    rows = connection.execute(query.order_by(ESCALATIONS.c.opened)).all()
    fits = [
        case.id
        for case in cases_of(connection, rows)
        if reviewer.may_rule(case, tier=1)
        and case.severity.rank <= worst.rank
        and (in_force is None or case.policy.name in in_force)
    ]
    row = next((row for row in rows if row.id in fits), None)
    if row is None:
        return None
    policy = in_force[row.policy] if in_force is not None else None
    return _claimed(transaction, row, policy, reviewer, token, lease_s)


def _claimed(
    transaction: Transaction,
    template: sa.Row[Any],
    policy: PolicyRef | None,
    reviewer: Reviewer,
    token: str,
    lease_s: float,
) -> tuple[Case, Lease]:
    now, connection = transaction.now, transaction.connection
    until = now + timedelta(seconds=lease_s)
    values = _copy(template) | {"state": CaseState.CLAIMED.value, "claimed_first": now}
    values["opened"] = now - _waited(transaction, template)
    if policy is not None:
        values |= {"policy_version": policy.version, "policy_digest": policy.digest}
    case_id = _insert(transaction, values)
    held = {"reviewer": reviewer.id, "lease_hash": token_hash(token), "lease_until": until}
    connection.execute(sa.insert(SLOTS), slot_row(case_id, 1, tier=1) | held)
    case, _ = case_of(connection, case_id)
    note(transaction, case, ActKind.CLAIMED, reviewer.id, {"slot": 1, "tier": 1})
    return case, Lease(case_id, 1, token, until)


def _waited(transaction: Transaction, template: sa.Row[Any]) -> timedelta:
    """How long a copy is told to have waited: as long as one of the last real cases, by chance.

    It waited for nobody, and would be known by that.
    """
    columns = ESCALATIONS.c
    query = (
        sa.select(columns.opened, columns.claimed_first)
        .where(columns.closed.is_not(None), columns.expected.is_(None))
        .where(columns.claimed_first.is_not(None))
        .order_by(columns.closed.desc())
        .limit(_RECENT)
    )
    rows = transaction.connection.execute(query).all()
    longest = timedelta(seconds=template.claim_within_s)
    if not rows:
        return longest * secrets.SystemRandom().random()
    row = secrets.choice(rows)
    return min(row.claimed_first - row.opened, longest)


def _claimed_by(
    transaction: Transaction, reviewer: Reviewer, token: str
) -> tuple[Case, Lease] | None:
    query = (
        sa.select(ESCALATIONS)
        .join(SLOTS, SLOTS.c.escalation_id == ESCALATIONS.c.id)
        .where(
            ESCALATIONS.c.expected.is_not(None),
            SLOTS.c.lease_until > transaction.now,
            SLOTS.c.reviewer == reviewer.id,
            SLOTS.c.lease_hash == token_hash(token),
        )
    )
    rows = transaction.connection.execute(query).all()
    for case in cases_of(transaction.connection, rows):
        if lease := lease_of(case, reviewer.id, token, transaction.now):
            return case, lease
    return None


def _copy(row: sa.Row[Any]) -> dict[str, Any]:
    return {column: getattr(row, column) for column in _COPIED}


def _insert(transaction: Transaction, values: dict[str, Any]) -> str:
    """No response has this case, so nobody waits for it and no queue is told of it."""
    case_id = f"esc_{uuid.uuid4().hex}"
    due = transaction.now + timedelta(seconds=values["rule_within_s"])
    rest = {"id": case_id, "response_id": "", "tier": 1, "required": 1, "due": due}
    row = {**rest, "waits_until": None, "callback_url": None, **values}
    transaction.connection.execute(sa.insert(ESCALATIONS), fresh_case(transaction.now) | row)
    return case_id
