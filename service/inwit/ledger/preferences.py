"""What people wrote in place of a candidate: pairs that a model can be taught by.

Only edits that were released, so none that can still be undone or that somebody overruled; of
requests whose caller said that they may be learnt from; and only where the content is still there
and is what the ledger committed to. Erasure so takes a pair away.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from inwit.cases import ActKind, ActRecord, CaseState, Ruling, RulingKind
from inwit.ledger.escalations import aware, case_of
from inwit.ledger.export import contents_by_sequence, said
from inwit.ledger.outcomes import rulings_of
from inwit.ledger.settling import conclusion
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
    for page in _pages(connection, since, until):
        rows = [row for row in page if _released(connection, row)]
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
        sa.select(
            ruling.id,
            ruling.time.label("at"),
            ruling.escalation_id,
            case.sequence,
            case.policy,
            case.categories,
            case.closed,
        )
        .select_from(sa.join(RULINGS, ESCALATIONS, ruling.escalation_id == case.id))
        .where(
            ruling.kind == RulingKind.EDIT.value,
            ruling.counts.is_not(None),
            case.expected.is_(None),
            case.state == CaseState.RESOLVED.value,
            ruling.time >= since,
            ruling.time < until,
        )
        .order_by(ruling.time, ruling.id)
    )
    yield from connection.execute(query).partitions(_PAGE)


def _released(connection: sa.Connection, row: sa.Row[Any]) -> bool:
    """Whether this edit is what its case came to: of two that agree, the first."""
    case, _ = case_of(connection, row.escalation_id)
    every, closed = rulings_of(connection, row.escalation_id), aware(row.closed)
    effective = [each for each in every if each.counts and each.takes_effect <= closed]
    final = conclusion(case, effective)
    return isinstance(final, Ruling) and final.id == row.id


def _pair(row: sa.Row[Any], decided: dict[str, Any], edit: str | None) -> Preference | str:
    """A pair, or the name of what counts why there is none."""
    request, candidate = decided.get("request"), decided.get("candidate")
    if request is None or candidate is None or edit is None:
        return "erased"
    key, value = CONSENT
    if request["metadata"].get(key) != value:
        return "without_consent"
    rejected = candidate["text"]
    if (
        _with_tools(request, candidate)
        or request["context"]
        or not edit.strip()
        or edit == rejected
    ):
        return "unfit"
    return Preference(
        ruling=row.id,
        policy=row.policy,
        categories=tuple(each for each in row.categories.split(",") if each),
        messages=tuple(request["messages"]),
        chosen=edit,
        rejected=rejected,
    )


def _with_tools(request: dict[str, Any], candidate: dict[str, Any]) -> bool:
    turns = request["messages"]
    used = any(turn["role"] == "tool" or turn.get("tool_calls") for turn in turns)
    return bool(used or request["tools"] or candidate["tool_calls"])
