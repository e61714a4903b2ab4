"""Rulings and outcomes of a period as rows that can be taken out, a page at a time.

People stand in them by their pseudonyms. What was written is added only where it is wanted, and
only where it still is what the ledger committed to.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from inwit.cases import ActKind, ActRecord
from inwit.ledger.escalations import aware, maybe
from inwit.ledger.opened import Changed, contents_of, facts_of
from inwit.ledger.tables import ENTRIES, ESCALATIONS, RULINGS
from inwit.ledger.transaction import Transaction

PAGE = 500
MOST_ROWS = 200_000

_CASE, _RULING, _ENTRY = ESCALATIONS.c, RULINGS.c, ENTRIES.c
_OF_CASE = ("response_id", "tenant", "policy", "policy_version", "policy_digest", "language")
_OF_RISK = ("severity", "categories", "required", "expected")

Row = dict[str, Any]
Place = tuple[datetime, str]


class What(StrEnum):
    """Which rows."""

    RULINGS = "rulings"
    OUTCOMES = "outcomes"


# In the order of the columns. `expected` is the known answer of a golden case.
COLUMNS: Mapping[What, tuple[str, ...]] = {
    What.RULINGS: (
        *("ruling", "case", "reviewer", "kind", "first_verdict", "clause", "slot", "standing"),
        *("time", "takes_effect", "digest", *_OF_CASE, *_OF_RISK),
    ),
    What.OUTCOMES: (
        *("entry", "case", "ending", "kind", "ruling", "released", "digest", "opened", "time"),
        *(*_OF_CASE, *_OF_RISK),
    ),
}
CONTENT: Mapping[What, tuple[str, ...]] = {
    What.RULINGS: ("candidate", "reason", "edit"),
    What.OUTCOMES: ("candidate", "released_text"),
}


@dataclass(frozen=True, slots=True)
class Export:
    """What is taken out: from `since` (included) until `until` (excluded). Empty sets are all."""

    what: What
    since: datetime
    until: datetime
    tenants: frozenset[str] = frozenset()
    policies: frozenset[str] = frozenset()
    with_content: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The keys of each row, in order."""
        return COLUMNS[self.what] + (CONTENT[self.what] if self.with_content else ())


def count(connection: sa.Connection, export: Export) -> int:
    """How many rows it has."""
    query = _query(export).with_only_columns(sa.func.count())
    return connection.execute(query).scalar_one()


def page(
    connection: sa.Connection, export: Export, after: Place | None
) -> tuple[list[Row], Place | None]:
    """Rows after a place, the oldest first, and where to go on; None at the end."""
    time, name = _order(export)
    query = _query(export)
    if after is not None:
        place = (sa.literal(after[0], time.type), sa.literal(after[1]))
        query = query.where(sa.tuple_(time, name) > sa.tuple_(*place))
    found = connection.execute(query.order_by(time, name).limit(PAGE)).all()
    contents = _contents(connection, export, found) if export.with_content else {}
    rows = [_row(export, row, contents.get(row.place, {})) for row in found]
    return rows, (found[-1].at, found[-1].place) if len(found) == PAGE else None


def note_export(transaction: Transaction, export: Export, rows: int, form: str, by: str) -> None:
    """Record that somebody takes it out. `form` is the kind of file."""
    facts = {
        "what": export.what.value,
        "form": form,
        "since": export.since.isoformat(),
        "until": export.until.isoformat(),
        "tenants": sorted(export.tenants),
        "policies": sorted(export.policies),
        "rows": rows,
        "with_content": export.with_content,
    }
    record = ActRecord(ActKind.EXPORTED, transaction.now, "", by, facts, {})
    transaction.add(record)


def _order(export: Export) -> tuple[sa.Column[Any], sa.Column[Any]]:
    if export.what is What.RULINGS:
        return _RULING.time, _RULING.id
    return _ENTRY.time, _ENTRY.id


def _query(export: Export) -> Any:
    time, name = _order(export)
    case = [_CASE[each] for each in (*_OF_CASE, *_OF_RISK)]
    own = [time.label("at"), name.label("place"), _CASE.id.label("case"), _CASE.sequence]
    if export.what is What.RULINGS:
        own += [_CASE.closed, *(each for each in RULINGS.c if each.name not in ("text", "time"))]
        source = sa.join(RULINGS, ESCALATIONS, _RULING.escalation_id == _CASE.id)
        conditions: list[sa.ColumnElement[bool]] = []
    else:
        own += [_ENTRY.body, _ENTRY.hash, _CASE.opened, _ENTRY.sequence.label("own_sequence")]
        # A golden case has no response; its outcome is found by nothing but its own id.
        source = sa.join(ENTRIES, ESCALATIONS, _ENTRY.response_id == _CASE.response_id)
        conditions = [_ENTRY.type == ActKind.OUTCOME.value, _CASE.expected.is_(None)]
    conditions += [time >= export.since, time < export.until]
    for column, values in ((_CASE.tenant, export.tenants), (_CASE.policy, export.policies)):
        if values:
            conditions.append(column.in_(sorted(values)))
    return sa.select(*own, *case).select_from(source).where(*conditions)


def _row(export: Export, row: sa.Row[Any], content: Mapping[str, Any]) -> Row:
    told = {name: getattr(row, name) for name in (*_OF_CASE, *_OF_RISK)}
    told["categories"] = [each for each in row.categories.split(",") if each]
    told |= _of_ruling(row) if export.what is What.RULINGS else _of_outcome(row)
    told |= {"case": row.case, "time": aware(row.at).isoformat(), **content}
    return {name: told.get(name) for name in export.columns}


def _of_ruling(row: sa.Row[Any]) -> Row:
    closed = maybe(row.closed)
    late = closed is not None and aware(row.at) >= closed
    return {
        "ruling": row.id,
        "standing": "counted" if row.counts is not None else "late" if late else "undone",
        "takes_effect": aware(row.takes_effect).isoformat(),
        **{name: getattr(row, name) for name in ("reviewer", "kind", "first_verdict")},
        **{name: getattr(row, name) for name in ("clause", "slot", "digest")},
    }


def _of_outcome(row: sa.Row[Any]) -> Row:
    told: Row = {"entry": row.place, "opened": aware(row.opened).isoformat()}
    try:
        facts = facts_of(row)["facts"]
    except Changed:
        return told | {"ending": "changed_after_it_was_written"}
    return told | {name: facts[name] for name in ("ending", "kind", "ruling", "released", "digest")}


def _contents(
    connection: sa.Connection, export: Export, rows: Sequence[sa.Row[Any]]
) -> dict[str, Row]:
    """What was written, by the place of its row; nothing where it is gone or was changed."""
    decided = contents_by_sequence(connection, [row.sequence for row in rows], ("candidate",))
    found: dict[str, Row] = {}
    if export.what is What.RULINGS:
        spoken = said(connection, rows)
        for row in rows:
            found[row.place] = {
                "candidate": _text(decided, row.sequence, "candidate"),
                **spoken.get(row.id, {}),
            }
        return found
    left = contents_by_sequence(connection, [row.own_sequence for row in rows], ("released",))
    for row in rows:
        found[row.place] = {
            "candidate": _text(decided, row.sequence, "candidate"),
            "released_text": _text(left, row.own_sequence, "released"),
        }
    return found


def said(connection: sa.Connection, rows: Sequence[sa.Row[Any]]) -> dict[str, Row]:
    """The reason and the edited text of rulings, from their own entries."""
    kinds = [ActKind.RULED.value, ActKind.RULED_LATE.value]
    times = sorted({row.at for row in rows})  # a ruling and its entry have the very same one
    entries = _facts(connection, _ENTRY.type.in_(kinds), _ENTRY.time.in_(times))
    by_sequence = {sequence: facts["facts"]["ruling"] for sequence, facts in entries}
    opened = contents_by_sequence(connection, list(by_sequence), ("reason", "edit"))
    return {by_sequence[sequence]: contents for sequence, contents in opened.items()}


def _text(opened: Mapping[int, Row], sequence: int, kind: str) -> str | None:
    content: Row | None = opened.get(sequence, {}).get(kind)
    return None if content is None else content["text"]


def contents_by_sequence(
    connection: sa.Connection, sequences: Sequence[int], kinds: tuple[str, ...]
) -> dict[int, Row]:
    """Content of entries by their place and kind; nothing of one that is gone or was changed."""
    found: dict[int, Row] = {}
    for sequence, facts in _facts(connection, _ENTRY.sequence.in_(sorted(set(sequences)))):
        try:
            found |= contents_of(connection, {sequence: facts}, kinds)
        except Changed:
            continue
    return found


def _facts(
    connection: sa.Connection, *conditions: sa.ColumnElement[bool]
) -> Iterator[tuple[int, dict[str, Any]]]:
    for row in connection.execute(sa.select(ENTRIES).where(*conditions)).all():
        try:
            yield row.sequence, facts_of(row)
        except Changed:
            continue
