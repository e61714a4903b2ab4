"""Rulings: taken under a lease, about exactly what the person saw, and taken back for a moment."""

import json
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from inwit.cases import TOP_TIER, ActKind, Case, CaseState, Ruling, RulingKind, Slot
from inwit.errors import Conflict, FieldError, InvalidField
from inwit.ledger import leases
from inwit.ledger.drafts import Edit, edit_of, seal_ruling
from inwit.ledger.escalations import Terms, aware, case_of, change, change_slot, note
from inwit.ledger.outcomes import case_now, content_at, next_effect, ruling_of, settle
from inwit.ledger.overtaken import overtaken_slot
from inwit.ledger.stored import output_of
from inwit.ledger.tables import RULINGS
from inwit.ledger.transaction import Transaction
from inwit.types import Category, digest_of


@dataclass(frozen=True, slots=True)
class Said:
    """A ruling as it comes from a person, with what they saw.

    `digest` is that of the text to be released, or of the candidate where nothing is. `reason` is
    content. `request_id` makes a reviewer's repeat the same ruling. `undo_s` is the time in which
    it can be taken back where no caller waits in line.
    """

    case_id: str
    reviewer: str
    token: str
    kind: RulingKind
    digest: str
    policy_digest: str
    request_id: str
    clause: Category | None = None
    reason: str = ""
    despite_flags: bool = False
    undo_s: float = 0.0


def rule(transaction: Transaction, said: Said) -> tuple[Ruling, Case]:
    """Take a ruling; it settles the case where it was the last one needed.

    One that comes too late is kept to learn from: it does not count, and nothing is released.

    Raises:
        NotFound: no such case.
        Conflict: the lease is over, or something is not as the person saw it: it says what.
        InvalidField: a ruling that this case cannot have.
    """
    connection = transaction.connection
    if again := _ruled_before(connection, said):
        return again, case_of(connection, said.case_id)[0]
    case, terms = case_now(transaction, said.case_id)
    slot, late = _slot_of(transaction, case, said)
    _check_seen(transaction, case, terms, slot, said)
    if late:
        return _rule_late(transaction, said, slot, case), case
    waits = case.waits_until is not None and transaction.now < case.waits_until
    effect = transaction.now + timedelta(seconds=0.0 if waits else said.undo_s)
    ruling = _insert(transaction, said, slot, effect, counts=True)
    _note_ruling(transaction, case, ActKind.RULED, ruling, said, slot)
    change_slot(transaction, case.id, slot.number, ruled=True, lease_until=None)
    settles = min(filter(None, (terms.settles, effect)))
    free = not any(
        each.leased(transaction.now) for each in case.open_slots if each.number != slot.number
    )
    state = CaseState.PENDING if free else CaseState.CLAIMED
    change(transaction, case.id, settles=settles, state=state.value)
    if effect <= transaction.now:
        settle(transaction, case.id)
    return ruling, case_of(connection, case.id)[0]


def undo(
    transaction: Transaction,
    case_id: str,
    ruling_id: str,
    reviewer: str,
    token: str,
    lease_s: float,
) -> Case:
    """Take a ruling back before it takes effect; its slot is the reviewer's again.

    Raises:
        NotFound: no such case.
        Conflict: it has taken effect, or is not this reviewer's.
    """
    connection = transaction.connection
    case, _ = case_of(connection, case_id)
    keys = {"escalation_id": case_id, "reviewer": reviewer, "counts": 1}
    rows = connection.execute(sa.select(RULINGS).filter_by(**keys)).all()
    row = next((row for row in rows if row.id == ruling_id), None)
    if row is None or not case.state.open or aware(row.takes_effect) <= transaction.now:
        raise Conflict("This ruling has taken effect and cannot be taken back.")
    if all(slot.number != row.slot or slot.tier < case.tier for slot in case.slots):
        raise Conflict(
            "This case has gone to a senior meanwhile: the ruling stands as it was said."
        )
    connection.execute(sa.update(RULINGS).where(RULINGS.c.id == ruling_id).values(counts=None))
    change_slot(
        transaction,
        case_id,
        row.slot,
        ruled=False,
        lease_hash=leases.token_hash(token),
        lease_until=transaction.now + timedelta(seconds=lease_s),
    )
    settles = next_effect(connection, case_id)
    change(transaction, case_id, settles=settles, state=CaseState.CLAIMED.value)
    note(transaction, case, ActKind.UNDONE, reviewer, {"ruling": ruling_id})
    return case_of(connection, case_id)[0]


def _check_seen(transaction: Transaction, case: Case, terms: Terms, slot: Slot, said: Said) -> None:
    """Whether the ruling is about this case as it is now."""
    if said.policy_digest != case.policy.digest:
        raise Conflict(f"This case is decided under the policy {case.policy.digest[:12]}….")
    offers = content_at(transaction, terms.sequence, "held")["offers"]
    match said.kind:
        case RulingKind.EDIT:
            expected = _judged_digest(transaction, said)
        case RulingKind.APPROVE_REWRITE if "approve_rewrite" not in offers:
            raise _not_for_this(said, "this case has no rewrite that could be approved")
        case RulingKind.ESCALATE if slot.tier >= TOP_TIER:
            raise _not_for_this(said, "there is no higher tier: approve, edit or block")
        case kind:
            shown = kind.value if kind is RulingKind.APPROVE_REWRITE else "approve"
            expected = output_of(offers[shown]).digest
    if said.digest != expected:
        raise Conflict("The text is not the one that you saw. Look at the case again.")


def _judged_digest(transaction: Transaction, said: Said) -> str:
    edit = _edited(transaction, said)
    if edit is None or edit.judged_digest is None or edit.judged_review is None:
        raise _not_for_this(said, "let the judges look at your text first (check the edit)")
    if not said.despite_flags and not json.loads(edit.judged_review)["passed"]:
        problem = "the judges did not pass your text; say that you release it all the same"
        raise InvalidField("Mend `despite_flags`.", (FieldError("despite_flags", problem),))
    return edit.judged_digest


def _edited(transaction: Transaction, said: Said) -> Edit | None:
    return edit_of(transaction.connection, said.case_id, said.reviewer)


def _not_for_this(said: Said, problem: str) -> InvalidField:
    detail = f"The ruling {said.kind.value} does not fit this case."
    return InvalidField(detail, (FieldError("ruling", problem),))


def _ruled_before(connection: sa.Connection, said: Said) -> Ruling | None:
    query = sa.select(RULINGS).filter_by(request_id=_request_key(said))
    row = connection.execute(query).first()
    if row is None:
        return None
    before = (row.escalation_id, row.kind, row.digest)
    if before != (said.case_id, said.kind.value, said.digest):
        raise Conflict("This request id stood for another ruling before. Take a new one.")
    ruling = ruling_of(row)
    if not ruling.counts and ruling.time < ruling.takes_effect:  # a late one has no such time
        raise Conflict("The ruling of this request id was taken back. Take a new one.")
    return ruling


def _request_key(said: Said) -> str:
    """Of this reviewer alone, and never longer than its column."""
    return digest_of(said.reviewer, said.request_id)


def _slot_of(transaction: Transaction, case: Case, said: Said) -> tuple[Slot, bool]:
    """The slot that they hold; or the one that they had while its time ran out, which is late.

    Raises:
        Conflict: neither; it says what changed.
    """
    try:
        return leases.held_slot(transaction, case, said.reviewer, said.token), False
    except Conflict:
        overtaken = overtaken_slot(transaction.connection, case, said.reviewer)
        if overtaken is None:
            raise
        return overtaken, True


def _rule_late(transaction: Transaction, said: Said, slot: Slot, case: Case) -> Ruling:
    ruling = _insert(transaction, said, slot, transaction.now, counts=False)
    _note_ruling(transaction, case, ActKind.RULED_LATE, ruling, said, slot)
    return ruling


def _insert(
    transaction: Transaction, said: Said, slot: Slot, effect: datetime, *, counts: bool
) -> Ruling:
    edited = _edited(transaction, said) if said.kind is RulingKind.EDIT else None
    ruling, edit = f"rul_{uuid.uuid4().hex}", edited.judged_text if edited else None
    row = {
        "id": ruling,
        "escalation_id": said.case_id,
        "slot": slot.number,
        "counts": 1 if counts else None,
        "reviewer": said.reviewer,
        "kind": said.kind.value,
        "digest": said.digest,
        "text": seal_ruling(transaction.connection, said.case_id, ruling, edit, transaction.now),
        "clause": said.clause.value if said.clause else None,
        "first_verdict": slot.first_verdict.value if slot.first_verdict else None,
        "request_id": _request_key(said),
        "time": transaction.now,
        "takes_effect": effect,
    }
    transaction.connection.execute(sa.insert(RULINGS), row)
    query = sa.select(RULINGS).filter_by(id=ruling)
    return ruling_of(transaction.connection.execute(query).one())


def _note_ruling(
    transaction: Transaction, case: Case, kind: ActKind, ruling: Ruling, said: Said, slot: Slot
) -> None:
    contents: dict[str, bytes] = {}
    if said.reason:
        contents["reason"] = json.dumps(said.reason).encode()
    if said.kind is RulingKind.EDIT:
        edited = _edited(transaction, said)
        contents["edit"] = json.dumps(edited.judged_text if edited else None).encode()
    facts = {
        "ruling": ruling.id,
        "kind": ruling.kind.value,
        "slot": ruling.slot,
        "tier": slot.tier,
        "digest": ruling.digest,
        "clause": ruling.clause,
        "first_verdict": slot.first_verdict.value if slot.first_verdict else None,
        "despite_flags": said.despite_flags,
        "lease": leases.token_hash(said.token).hex(),
        "takes_effect": ruling.takes_effect.isoformat(),
    }
    note(transaction, case, kind, said.reviewer, facts, contents)
