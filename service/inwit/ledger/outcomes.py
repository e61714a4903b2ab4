"""Outcomes: what rulings and clocks make of cases, each settled exactly once.

A case ends by the one statement that moves it out of its open states, in the transaction that
records the outcome and, where one is wanted, the delivery to the caller.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from inwit.cases import (
    TOP_TIER,
    ActKind,
    Case,
    CaseState,
    OnExpiry,
    Output,
    Ruling,
    RulingKind,
    Settled,
)
from inwit.errors import Conflict, Gone
from inwit.ledger import deliveries
from inwit.ledger.drafts import ruling_text
from inwit.ledger.escalations import (
    Terms,
    aware,
    case_of,
    change,
    in_each,
    note,
    slot_row,
)
from inwit.ledger.opened import Changed, Pruned, contents_of, facts_at
from inwit.ledger.settling import Raise, conclusion
from inwit.ledger.stored import output_of
from inwit.ledger.tables import ESCALATIONS, RULINGS, SLOTS
from inwit.ledger.transaction import Transaction

FORGOTTEN = "forgotten"  # why a case ended whose time was not over: its content is gone


def settle(transaction: Transaction, case_id: str) -> Case:
    """Draw the conclusion from the rulings that have taken effect, where there is one."""
    connection = transaction.connection
    case, terms = case_of(connection, case_id)
    if not case.state.open:
        return case
    every = rulings_of(connection, case_id)
    effective = [each for each in every if each.counts and each.takes_effect <= transaction.now]
    change(transaction, case_id, settles=next_effect(connection, case_id, transaction.now))
    match conclusion(case, effective):
        case Raise() as why:
            _raise_tier(transaction, case, terms, why.value)
        case Ruling() as final:
            output = _released(transaction, case, terms, final)
            _close(transaction, case, terms, Settled.RULED, output, final)
        case None:
            pass
    return case_of(connection, case_id)[0]


def case_now(transaction: Transaction, case_id: str) -> tuple[Case, Terms]:
    """A case after all that its clocks have come to by now, whether or not a sweep has looked.

    Raises:
        NotFound: there is none with this id.
    """
    case, terms = case_of(transaction.connection, case_id)
    if terms.settles is not None and terms.settles <= transaction.now:
        settle(transaction, case_id)
        case, terms = case_of(transaction.connection, case_id)
    if case.state.open and case.due <= transaction.now and terms.settles is None:
        _expire(transaction, case_id)
        case, terms = case_of(transaction.connection, case_id)
    return case, terms


def settle_due(transaction: Transaction, most: int) -> list[Case]:
    """Let rulings take effect whose time to be undone is over."""
    clock = ESCALATIONS.c.settles
    return in_each(transaction, _due(transaction, clock, most, clock.is_not(None)), settle)


def expire_due(transaction: Transaction, most: int) -> list[Case]:
    """Do what the policy says of cases on which nobody ruled in time."""
    # A ruling that waits to take effect came in time.
    conditions = (ESCALATIONS.c.closed.is_(None), ESCALATIONS.c.settles.is_(None))
    return in_each(transaction, _due(transaction, ESCALATIONS.c.due, most, *conditions), _expire)


def end_forgotten(transaction: Transaction, case_id: str) -> None:
    """End an open case whose content is to go: it has expired, and nobody is called back."""
    case, terms = case_of(transaction.connection, case_id)
    if case.state.open:
        output, silent = _expired_output(transaction, terms), replace(terms, callback_url=None)
        _close(transaction, case, silent, Settled.NOBODY_RULED, output, None, why=FORGOTTEN)


def rulings_of(connection: sa.Connection, case_id: str) -> list[Ruling]:
    """Every ruling on a case, those that do not count too, oldest first."""
    query = sa.select(RULINGS).filter_by(escalation_id=case_id)
    query = query.order_by(RULINGS.c.time, RULINGS.c.slot)  # one commit has one time
    return [ruling_of(row) for row in connection.execute(query)]


def content_at(transaction: Transaction, sequence: int, kind: str) -> dict[str, Any]:
    """A piece of content of the entry at a place.

    Raises:
        Gone: it is not there any more, or not what was written.
    """
    connection = transaction.connection
    try:
        facts = {sequence: facts_at(connection, sequence)}
        contents = contents_of(connection, facts, (kind,))[sequence]
    except Pruned as error:
        raise Gone("The content of this case is no longer kept.") from error
    except Changed as error:
        raise Gone(
            "What the ledger holds of this case was changed after it was written."
        ) from error
    if kind not in contents:
        raise Gone("The content of this case is no longer kept.")
    return contents[kind]


def next_effect(
    connection: sa.Connection, case_id: str, after: datetime | None = None
) -> datetime | None:
    """When the next ruling takes effect that has not yet."""
    times = [each.takes_effect for each in rulings_of(connection, case_id) if each.counts]
    return min((time for time in times if after is None or time > after), default=None)


def ruling_of(row: sa.Row[Any]) -> Ruling:
    """A row of `rulings`."""
    return Ruling(
        id=row.id,
        case_id=row.escalation_id,
        slot=row.slot,
        reviewer=row.reviewer,
        kind=RulingKind(row.kind),
        digest=row.digest,
        clause=row.clause,
        time=aware(row.time),
        takes_effect=aware(row.takes_effect),
        counts=row.counts is not None,
    )


def _due(
    transaction: Transaction, clock: sa.Column[Any], most: int, *conditions: sa.ColumnElement[bool]
) -> Sequence[str]:
    query = (
        sa.select(ESCALATIONS.c.id)
        .where(clock <= transaction.now, *conditions)
        .order_by(clock)
        .limit(most)
    )
    return transaction.connection.execute(query).scalars().all()


def _expire(transaction: Transaction, case_id: str) -> Case:
    case, terms = case_of(transaction.connection, case_id)
    next_tier = terms.on_expiry == OnExpiry.NEXT_TIER.value and case.expected is None
    if next_tier and case.tier < TOP_TIER:
        _raise_tier(transaction, case, terms, Raise.NOBODY_RULED.value)
    else:
        output = _expired_output(transaction, terms)
        _close(transaction, case, terms, Settled.NOBODY_RULED, output, None)
    return case_of(transaction.connection, case_id)[0]


def _expired_output(transaction: Transaction, terms: Terms) -> Output:
    try:
        return output_of(content_at(transaction, terms.sequence, "held")["expired"])
    except Gone:  # it ends all the same, and nothing of it leaves
        return Output("", "content_filter")


def _raise_tier(transaction: Transaction, case: Case, terms: Terms, why: str) -> None:
    """Give the case to a senior, with clocks of its own; what nobody ruled below is dropped."""
    connection = transaction.connection
    for slot in case.open_slots:
        keys = {"escalation_id": case.id, "number": slot.number}
        connection.execute(sa.delete(SLOTS).filter_by(**keys))
    number = max(slot.number for slot in case.slots) + 1
    connection.execute(sa.insert(SLOTS), slot_row(case.id, number, TOP_TIER))
    change(
        transaction,
        case.id,
        tier=TOP_TIER,
        state=CaseState.PENDING.value,
        claimed_first=None,
        due=transaction.now + timedelta(seconds=terms.claim_within_s),
        settles=None,
        stuck=False,
    )
    note(transaction, case, ActKind.RAISED, None, {"tier": TOP_TIER, "why": why})


def _close(
    transaction: Transaction,
    case: Case,
    terms: Terms,
    ending: Settled,
    output: Output,
    final: Ruling | None,
    why: str | None = None,
) -> None:
    """The one place where a case ends."""
    state = CaseState.RESOLVED if final else CaseState.EXPIRED
    closed = transaction.connection.execute(
        sa.update(ESCALATIONS)
        .where(ESCALATIONS.c.id == case.id, ESCALATIONS.c.closed.is_(None))
        .values(
            state=state.value,
            closed=transaction.now,
            settles=None,
            version=ESCALATIONS.c.version + 1,
        )
    )
    if closed.rowcount != 1:
        raise Conflict("This case is closed.")
    slots = sa.update(SLOTS).where(SLOTS.c.escalation_id == case.id).values(lease_until=None)
    transaction.connection.execute(slots)
    _note_outcome(transaction, case, ending, output, final, why)
    if terms.callback_url is not None and case.expected is None:
        deliveries.open(
            transaction,
            case_id=case.id,
            response_id=case.response_id,
            tenant=case.tenant,
            key_id=terms.key_id,
            url=terms.callback_url,
        )


def _note_outcome(
    transaction: Transaction,
    case: Case,
    ending: Settled,
    output: Output,
    final: Ruling | None,
    why: str | None,
) -> None:
    """Ties the ruling to the bytes. Of a golden case nothing is released, so none are told."""
    content = {
        "text": output.text,
        "finish_reason": output.finish_reason,
        "tool_calls": [call.as_openai() for call in output.tool_calls],
        "masked": dict(output.masked),
    }
    golden = case.expected is not None
    released = final is not None and final.kind is not RulingKind.BLOCK and not golden
    facts = {
        "ending": ending.value,
        "kind": final.kind.value if final else None,
        "ruling": final.id if final else None,
        "released": released,
        "digest": output.digest,
        "policy": case.policy.digest,
        **({} if why is None else {"why": why}),
    }
    contents = {} if golden else {"released": json.dumps(content).encode()}
    note(transaction, case, ActKind.OUTCOME, None, facts, contents)


def _released(transaction: Transaction, case: Case, terms: Terms, final: Ruling) -> Output:
    """Exactly the bytes that the final ruling is about.

    Raises:
        Conflict: they are not those that were ruled on. Never expected: the release fails closed.
    """
    match final.kind:
        case RulingKind.APPROVE | RulingKind.APPROVE_REWRITE:
            held = content_at(transaction, terms.sequence, "held")
            output = output_of(held["offers"][final.kind.value])
        case RulingKind.EDIT:
            text = ruling_text(transaction.connection, final.id)
            output = Output(text or "", "stop")
        case RulingKind.BLOCK | RulingKind.ESCALATE:
            content = content_at(transaction, terms.sequence, "released")
            return output_of({**content, "finish_reason": "content_filter", "masked": {}})
    if output.digest != final.digest:
        raise Conflict("What was ruled on is not what would be released.")
    return output
