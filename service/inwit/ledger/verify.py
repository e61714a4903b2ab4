"""Reads the chain back and says where it is broken. Shares no code path with the writer's SQL."""

import hashlib
import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import sqlalchemy as sa

_GENESIS = "00" * 32

_ALL = sa.text(
    "SELECT sequence, id, time, type, tenant, response_id, body, hash, previous "
    "FROM entries ORDER BY sequence"
)
_AFTER = sa.text(
    "SELECT sequence, id, time, type, tenant, response_id, body, hash, previous "
    "FROM entries WHERE sequence > :s ORDER BY sequence"
)

# Columns that repeat what the entry says, and under which name it says it.
_COPIES = {
    "sequence": "sequence",
    "id": "id",
    "type": "type",
    "tenant": "tenant",
    "response_id": "response",
}


@dataclass(frozen=True, slots=True)
class Break:
    """One place where the ledger does not hold together."""

    sequence: int
    problem: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What was read, and every break found. `head` is the last hash, in hexadecimal."""

    entries: int
    head: str
    breaks: tuple[Break, ...]


def verify_chain(connection: sa.Connection) -> Verification:
    """Check order, hashes, links and commitments of every entry.

    What this cannot show: entries cut off the end, or a whole ledger written anew. Keep a head
    from an earlier run elsewhere and compare.
    """
    return _verify(connection, connection.execute(_ALL), 0, _GENESIS)


def verify_tail(connection: sa.Connection, entries: int) -> Verification:
    """The same of the last entries alone; the one before them is taken as it is."""
    end = connection.execute(sa.text("SELECT max(sequence) FROM entries")).scalar()
    before = (end or 0) - entries
    if before <= 0:
        return verify_chain(connection)
    head = connection.execute(
        sa.text("SELECT hash FROM entries WHERE sequence = :s"), {"s": before}
    ).scalar()
    rows = connection.execute(_AFTER, {"s": before})
    return _verify(connection, rows, before, "" if head is None else _bytes(head).hex())


def _verify(connection: sa.Connection, rows: Iterable[Any], last: int, head: str) -> Verification:
    """Check the rows, which come after the entry `last`, whose hash is `head`."""
    breaks: list[Break] = []
    count = 0
    for row in rows:
        body = _bytes(row.body)
        facts, digest = _facts(body), hashlib.sha256(b"\x00" + body).digest()
        problems = _entry_problems(row, facts, digest, last + 1, head)
        breaks += [Break(row.sequence, problem) for problem in problems]
        contents = connection.execute(
            sa.text("SELECT kind, salt, content FROM contents WHERE sequence = :s"),
            {"s": row.sequence},
        )
        breaks += [Break(row.sequence, problem) for problem in _content_problems(facts, contents)]
        head = digest.hex()
        count, last = count + 1, row.sequence
    return Verification(count, head, tuple(breaks))


def _entry_problems(
    row: Any, facts: dict[str, Any], digest: bytes, expected: int, head: str
) -> Iterable[str]:
    if row.sequence != expected:
        yield f"sequence {expected} is missing before this entry"
    if digest != _bytes(row.hash):
        yield "the entry's bytes do not match its hash"
    for column, fact in _COPIES.items():
        if facts.get(fact) != getattr(row, column):
            yield f"the column {column} differs from the entry"
    if _moment(facts.get("time")) != _moment(row.time) or _moment(row.time) is None:
        yield "the column time differs from the entry"
    if facts.get("previous") != head or _bytes(row.previous).hex() != head:
        yield "the entry does not continue the one before it"


def _content_problems(facts: dict[str, Any], contents: Iterable[Any]) -> Iterable[str]:
    commitments = _object(facts.get("commitments"))
    for row in contents:
        opened = hmac.new(_bytes(row.salt), _bytes(row.content), hashlib.sha256).hexdigest()
        if commitments.get(row.kind) != opened:
            yield f"the stored {row.kind} is not what the entry committed to"


def _moment(value: Any) -> datetime | None:
    """A time as either database gives it; SQLite's text is in UTC and does not say so."""
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _bytes(value: Any) -> bytes:
    """SQLite lets anything stand in any column; whoever edits one may have changed its type."""
    return value if isinstance(value, bytes) else str(value).encode()


def _facts(body: bytes) -> dict[str, Any]:
    try:
        return _object(json.loads(body))
    except (ValueError, RecursionError):
        return {}


def _object(value: Any) -> dict[str, Any]:
    """The value where it is a JSON object; an edited entry may hold anything."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
