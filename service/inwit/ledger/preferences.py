"""What people wrote in place of a candidate: pairs that a model can be taught by.

Only rulings that counted, of requests whose caller said that they may be learnt from, and only
where the content is still there and is what the ledger committed to. Erasure so takes a pair away.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from inwit.cases import ActKind, ActRecord, RulingKind
from inwit.ledger.export import contents_by_sequence, said
from inwit.ledger.tables import ESCALATIONS, RULINGS
from inwit.ledger.transaction import Transaction

# The request's metadata that says so: nothing else counts as consent, and silence does not.
CONSENT = ("training", "consented")
_PAGE = 200


@dataclass(frozen=True, slots=True)
class Preference:
    """A conversation, the candidate that a person did not want, and what they wrote instead."""

    ruling: str
    policy: str
    categories: tuple[str, ...]
    messages: tuple[dict[str, Any], ...]
    chosen: str
    rejected: str


@dataclass(frozen=True, slots=True)
class Tally:
    """How many edits there were, and why some give no pair."""

    pairs: tuple[Preference, ...]
    without_consent: int
    erased: int
    unfit: int  # tools, passages or an edit that changes nothing


def preferences(connection: sa.Connection, since: datetime, until: datetime) -> Tally:
    """The edits ruled from `since` (included) until `until` (excluded), the oldest first."""
    pairs: list[Preference] = []
    counts = {"without_consent": 0, "erased": 0, "unfit": 0}
    for rows in _pages(connection, since, until):
        decided = contents_by_sequence(
            connection, [row.sequence for row in rows], ("request", "candidate")
        )
        edits = said(connection, rows)
        for row in rows:
            found = _pair(row, decided.get(row.sequence, {}), edits.get(row.id, {}).get("edit"))
            if isinstance(found, Preference):
                pairs.append(found)
            else:
                counts[found] += 1
    return Tally(tuple(pairs), **counts)


def note_preferences(transaction: Transaction, since: datetime, until: datetime, rows: int) -> None:
    """Record that the operator takes them out."""
    facts = {
        "what": "preferences",
        "form": "jsonl",
        "since": since.isoformat(),
        "until": until.isoformat(),
        "rows": rows,
        "with_content": True,
    }
    transaction.add(ActRecord(ActKind.EXPORTED, transaction.now, "", "operator", facts, {}))


def _pages(connection: sa.Connection, since: datetime, until: datetime) -> Iterator[Sequence[Any]]:
    ruling, case = RULINGS.c, ESCALATIONS.c
    query = (
        sa.select(ruling.id, ruling.time.label("at"), case.sequence, case.policy, case.categories)
        .select_from(sa.join(RULINGS, ESCALATIONS, ruling.escalation_id == case.id))
        .where(
            ruling.kind == RulingKind.EDIT.value,
            ruling.counts.is_not(None),
            case.expected.is_(None),
            ruling.time >= since,
            ruling.time < until,
        )
        .order_by(ruling.time, ruling.id)
    )
    yield from connection.execute(query).partitions(_PAGE)


def _pair(row: sa.Row[Any], decided: dict[str, Any], edit: str | None) -> Preference | str:
    """A pair, or the name of what counts why there is none."""
    request, candidate = decided.get("request"), decided.get("candidate")
    if request is None or candidate is None or edit is None:
        return "erased"
    key, value = CONSENT
    if request["metadata"].get(key) != value:
        return "without_consent"
    rejected = candidate["text"]
    plain = not request["context"] and not request["tools"] and not candidate["tool_calls"]
    if not plain or not edit.strip() or edit == rejected:
        return "unfit"
    return Preference(
        ruling=row.id,
        policy=row.policy,
        categories=tuple(each for each in row.categories.split(",") if each),
        messages=tuple(request["messages"]),
        chosen=edit,
        rejected=rejected,
    )
