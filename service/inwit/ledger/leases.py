"""Leases on slots, held by the database: who may rule, until when, by a token of one tab.

The queue in Redis picks cases; what stands here is what counts. A lease that is over here is over,
whatever Redis or a browser believes.
"""

import hashlib
from datetime import datetime, timedelta

import sqlalchemy as sa

from inwit.cases import ActKind, Case, CaseState, Lease, Reviewer, Slot, WhySkipped
from inwit.errors import Conflict, Forbidden
from inwit.ledger.escalations import (
    Terms,
    case_of,
    change,
    change_slot,
    exclude,
    in_each,
    no_such_case,
    note,
)
from inwit.ledger.outcomes import case_now
from inwit.ledger.tables import SLOTS
from inwit.ledger.transaction import Transaction

MOST_EXPIRATIONS = 3  # of leases on one slot; then somebody has to look why


def token_hash(token: str) -> bytes:
    """What is stored of a lease's token: 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode()).digest()


def claim(
    transaction: Transaction,
    case_id: str,
    reviewer: Reviewer,
    token: str,
    lease_s: float,
    *,
    slot: int | None = None,
    take_over: bool = False,
) -> tuple[Case, Lease]:
    """Give a reviewer a slot of a case: the one named, or any that is free.

    `take_over` moves a lease that the same reviewer has in another tab into this one.

    Raises:
        NotFound: no such case, or not for this reviewer's eyes.
        Forbidden: the case is not one for this reviewer to rule on.
        Conflict: nothing of it is free for them now.
    """
    case, terms = case_now(transaction, case_id)
    if not reviewer.may_see(case) or _anothers_golden(case, reviewer):
        raise no_such_case()
    if mine := lease_of(case, reviewer.id, token, transaction.now):  # the same claim, come twice
        return case, mine
    if _lose(transaction, case):
        case, terms = case_of(transaction.connection, case_id)
    taken = _free_slot(transaction, case, reviewer, slot, take_over)
    until = transaction.now + timedelta(seconds=lease_s)
    change_slot(
        transaction,
        case_id,
        taken.number,
        reviewer=reviewer.id,
        lease_hash=token_hash(token),
        lease_until=until,
    )
    _change_claimed(transaction, case, terms)
    note(
        transaction, case, ActKind.CLAIMED, reviewer.id, {"slot": taken.number, "tier": taken.tier}
    )
    claimed, _ = case_of(transaction.connection, case_id)
    return claimed, Lease(case_id, taken.number, token, until)


def lease_of(case: Case, reviewer: str, token: str, now: datetime) -> Lease | None:
    """The lease that a reviewer has on a case by this token, if any."""
    slot = leased_slot(case, reviewer, token, now)
    if slot is None or slot.lease_until is None:
        return None
    return Lease(case.id, slot.number, token, slot.lease_until)


def renew(
    transaction: Transaction, case_id: str, reviewer: str, token: str, lease_s: float
) -> Lease:
    """Hold on to a slot. No entry: a heartbeat is no act.

    Raises:
        NotFound: no such case.
        Conflict: the lease is over, or was never theirs by this token.
    """
    case, _ = case_of(transaction.connection, case_id)
    slot = held_slot(transaction, case, reviewer, token)
    until = transaction.now + timedelta(seconds=lease_s)
    change_slot(transaction, case_id, slot.number, lease_until=until)
    return Lease(case_id, slot.number, token, until)


def release(
    transaction: Transaction, case_id: str, reviewer: str, token: str, why: WhySkipped | None = None
) -> Case:
    """Give a slot back; with a reason, for good.

    Raises:
        NotFound: no such case.
        Conflict: the lease is over, or was never theirs by this token.
    """
    case, _ = case_of(transaction.connection, case_id)
    slot = held_slot(transaction, case, reviewer, token)
    if why is not None and slot.reviewer is not None:
        exclude(transaction, case_id, slot.reviewer, why.value)
    free(transaction, case, slot)
    kind = ActKind.RELEASED if why is None else ActKind.SKIPPED
    facts = {"slot": slot.number, "why": why.value if why else None}
    note(transaction, case, kind, slot.reviewer, facts)
    return case_of(transaction.connection, case_id)[0]


def held_slot(transaction: Transaction, case: Case, reviewer: str, token: str) -> Slot:
    """The slot that a reviewer holds now by this token.

    Raises:
        Conflict: none; it says what changed.
    """
    if not case.state.open:
        raise Conflict(f"This case is {case.state.value}: it is closed.")
    found = leased_slot(case, reviewer, token, transaction.now)
    if found is None:
        raise Conflict("Your lease on this case is over. Claim it again to go on.")
    return found


def free(transaction: Transaction, case: Case, slot: Slot, *, expired: bool = False) -> None:
    """Take a lease from a slot, and give the case back to the queue."""
    expirations = slot.expirations + expired
    golden = case.expected is not None  # its reviewer's alone: nobody else gets it, nor they again
    change_slot(
        transaction,
        case.id,
        slot.number,
        reviewer=slot.reviewer if golden else None,
        lease_hash=None,
        lease_until=None,
        expirations=expirations,
        first_verdict=None,
        shown=None,
    )
    if golden:
        change(transaction, case.id, state=CaseState.EXPIRED.value, closed=transaction.now)
        return
    stuck = case.stuck or expirations >= MOST_EXPIRATIONS
    others = [each for each in case.open_slots if each.number != slot.number]
    leased = any(each.leased(transaction.now) for each in others)
    state = CaseState.CLAIMED if leased else CaseState.PENDING
    change(transaction, case.id, state=state.value, stuck=stuck)


def expire_leases(transaction: Transaction, most: int) -> list[Case]:
    """Take leases that are over from their slots, the oldest first."""
    query = (
        sa.select(SLOTS.c.escalation_id)
        .where(SLOTS.c.lease_until <= transaction.now)
        .order_by(SLOTS.c.lease_until)
        .limit(most)
    )
    ids = dict.fromkeys(transaction.connection.execute(query).scalars())
    return in_each(transaction, list(ids), _expire_lease)


def _expire_lease(transaction: Transaction, case_id: str) -> Case:
    _lose(transaction, case_of(transaction.connection, case_id)[0])
    return case_of(transaction.connection, case_id)[0]


def _lose(transaction: Transaction, case: Case) -> bool:
    """Take those leases of a case that are over; whether there were any."""
    over = [
        slot
        for slot in case.open_slots
        if slot.lease_until is not None and slot.lease_until <= transaction.now
    ]
    for slot in over:
        free(transaction, case_of(transaction.connection, case.id)[0], slot, expired=True)
        after, _ = case_of(transaction.connection, case.id)
        facts = {"slot": slot.number, "expirations": slot.expirations + 1, "stuck": after.stuck}
        note(transaction, case, ActKind.LEASE_EXPIRED, slot.reviewer, facts)
    return bool(over)


def leased_slot(case: Case, reviewer: str, token: str, now: datetime) -> Slot | None:
    """The slot that a reviewer holds by this token, if any."""
    wanted = token_hash(token)
    held = (slot for slot in case.open_slots if slot.leased(now) and slot.reviewer == reviewer)
    return next((slot for slot in held if slot.lease_hash == wanted), None)


def _anothers_golden(case: Case, reviewer: Reviewer) -> bool:
    return case.expected is not None and all(each.reviewer != reviewer.id for each in case.slots)


def _free_slot(
    transaction: Transaction, case: Case, reviewer: Reviewer, number: int | None, take_over: bool
) -> Slot:
    if not case.state.open:
        raise Conflict(f"This case is {case.state.value}: it is closed.")
    if reviewer.id in case.excluded:
        raise Conflict("You gave this case away before: it is for somebody else.")
    own = [slot for slot in case.slots if slot.reviewer == reviewer.id]
    if any(slot.ruled for slot in own):
        raise Conflict("You have ruled on this case already: the next ruling is another person's.")
    held = [slot for slot in own if slot.leased(transaction.now)]
    if held and not take_over:
        raise Conflict("You have this case open in another tab. Go on there, or take it over here.")
    mine = [slot for slot in case.open_slots if reviewer.may_rule(case, slot.tier)]
    if not mine:
        raise Forbidden("This case needs a reviewer of another tier, language or clearance.")
    free_ones = held or [slot for slot in mine if not slot.leased(transaction.now)]
    if number is not None:
        free_ones = [slot for slot in free_ones if slot.number == number]
    if not free_ones:
        raise Conflict("Somebody else has this case now.")
    return free_ones[0]


def _change_claimed(transaction: Transaction, case: Case, terms: Terms) -> None:
    """The first claim of a tier starts the clock for the ruling."""
    values: dict[str, object] = {"state": CaseState.CLAIMED.value, "stuck": False}
    if case.claimed_first is None:
        due = transaction.now + timedelta(seconds=terms.rule_within_s)
        values |= {"claimed_first": transaction.now, "due": due}
    change(transaction, case.id, **values)
