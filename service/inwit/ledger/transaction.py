"""One commit of the ledger: entries linked to one another, and rows written beside them."""

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypeVar

import sqlalchemy as sa

from inwit.cases import ActRecord
from inwit.decisions import AnyRecord, Receipt
from inwit.ledger.chain import GENESIS, entry_body, entry_facts, leaf_hash
from inwit.ledger.sealing import Waiting, blinded, content_rows
from inwit.ledger.tables import CONTENTS, ENTRIES

T = TypeVar("T")

_HEAD = sa.select(ENTRIES.c.sequence, ENTRIES.c.hash).order_by(ENTRIES.c.sequence.desc()).limit(1)


@dataclass(frozen=True, slots=True)
class Entry:
    """A record to be appended, encoded by the request that brought it."""

    record: AnyRecord | ActRecord
    facts: dict[str, Any]
    salts: dict[str, bytes]


def encoded(record: AnyRecord | ActRecord) -> Entry:
    """A record with an id and with fresh salts for its contents."""
    salts = {kind: secrets.token_bytes(32) for kind in record.contents}
    return Entry(record, entry_facts(record, f"ent_{uuid.uuid4().hex}", salts), salts)


class Transaction:
    """The work of one commit. Rows that name an entry go through `insert`, after the entries."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection
        self._head: tuple[int, bytes] | None = None  # asked for by the first entry
        self._rows: list[tuple[sa.Table, dict[str, Any] | Waiting]] = []

    @cached_property
    def now(self) -> datetime:
        """The database's own time: the same for all gateways, whatever their clocks say."""
        if self.connection.dialect.name == "postgresql":
            return self.connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        return datetime.now(UTC)

    def add(self, record: AnyRecord | ActRecord) -> Receipt:
        """Append an entry."""
        return self.link(encoded(record))

    def link(self, entry: Entry) -> Receipt:
        """Append an entry that is encoded already."""
        sequence, previous = self._head or self._last()
        sequence += 1
        facts = blinded(self.connection, entry.record, entry.facts, lambda: self.now)
        body = entry_body(facts, sequence, previous)
        digest = leaf_hash(body)
        self._head = sequence, digest
        self.insert(ENTRIES, _entry_row(entry, sequence, body, digest, previous))
        for kind, content in entry.record.contents.items():
            waiting = Waiting(entry.record, sequence, kind, entry.salts[kind], content)
            self._rows.append((CONTENTS, waiting))
        return Receipt(sequence, entry.facts["id"], digest.hex(), previous.hex())

    def insert(self, table: sa.Table, row: dict[str, Any]) -> None:
        """Insert a row with the others of its table, at the end."""
        self._rows.append((table, row))

    def undoing(self, steps: Callable[["Transaction"], T]) -> T:
        """Run `steps`; what they wrote is undone where they raise, and nothing else is.

        What waits is inserted before: `steps` may flush, and that must not be undone with them.
        """
        self.flush()
        head = self._head
        try:
            with self.connection.begin_nested():
                return steps(self)
        except BaseException:
            self._head = head
            self._rows.clear()
            raise

    def flush(self) -> None:
        """Insert what waits, table by table: the entries first, which the others name.

        Content is sealed here and not before: by the keys that stand when it is written.
        """
        by_table: dict[sa.Table, list[dict[str, Any]]] = {ENTRIES: [], CONTENTS: []}
        contents: list[Waiting] = []
        for table, row in self._rows:
            if isinstance(row, Waiting):
                contents.append(row)
            else:
                by_table.setdefault(table, []).append(row)
        if contents:
            by_table[CONTENTS] += content_rows(self.connection, contents, self.now)
        for table, rows in by_table.items():
            if rows:
                self.connection.execute(sa.insert(table), rows)
        self._rows.clear()

    def _last(self) -> tuple[int, bytes]:
        head = self.connection.execute(_HEAD).first()
        return (head.sequence, head.hash) if head else (0, GENESIS)


def _entry_row(
    entry: Entry, sequence: int, body: bytes, digest: bytes, previous: bytes
) -> dict[str, Any]:
    return {
        "sequence": sequence,
        "id": entry.facts["id"],
        "time": entry.record.time,
        "type": entry.facts["type"],
        "tenant": entry.facts["tenant"],
        "response_id": entry.facts["response"],
        "body": body,
        "hash": digest,
        "previous": previous,
    }
