"""What the queries of the desk and the sweeper cost with many open cases, and what they scan.

    .venv/bin/python -m load_tests.cases --open 200000

Makes a ledger with so many open cases, as many closed ones, and some golden copies, in a folder of
its own; prints the plan of each query and the best and the median time of ten runs. It ends with 1
where a plan reads a whole table, or a query takes longer than its bound.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from inwit.ledger import escalations
from inwit.ledger.case_files import Wanted, listed
from inwit.ledger.database import Database, sqlite_url
from inwit.ledger.standing import anything_due, standing
from inwit.ledger.tables import ENTRIES, ESCALATIONS, SLOTS

TENANTS = 20
GOLDEN = 20_000
RUNS = 10
EACH_SECOND_MS = 20.0  # the bound for what every gateway asks each second
COUNT_MS = 40.0  # and for the counts, which read an index of all open cases
PAGE_MS = 60.0  # and for a page of a list


@dataclass(frozen=True, slots=True)
class Query:
    """A read, and how long it may take."""

    name: str
    run: Callable[[sa.Connection], object]
    bound_ms: float


_OPEN = frozenset({"pending", "claimed"})

QUERIES = (
    Query("anything_due", anything_due, EACH_SECOND_MS),
    Query("unindexed", lambda db: escalations.unindexed(db, 500), EACH_SECOND_MS),
    Query("standing", standing, COUNT_MS),
    Query("open_tenants", escalations.open_tenants, EACH_SECOND_MS),
    Query("late_tenants", escalations.late_tenants, PAGE_MS),
    Query("open_cases", lambda db: escalations.open_cases(db, "esc_8", 500, "tenant 7"), PAGE_MS),
    Query(
        "listed, open",
        lambda db: listed(db, Wanted(states=_OPEN), None, 51),
        PAGE_MS,
    ),
    Query(
        "listed, of a tenant, from the middle",
        lambda db: listed(
            db,
            Wanted(
                tenants=frozenset({"tenant 7"}),
                policies=frozenset({"default"}),
                states=_OPEN,
            ),
            _name(100_007),
            51,
        ),
        PAGE_MS,
    ),
    Query(
        "listed, stuck", lambda db: listed(db, Wanted(stuck=True, states=_OPEN), None, 51), PAGE_MS
    ),
)


def main() -> int:
    """Make the ledger, ask, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--open", type=int, default=200_000)
    parser.add_argument("--folder", type=Path, help="keep the ledger here, or use the one there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(given.folder or Path(folder), given.open))


async def _measure(folder: Path, many: int) -> int:
    made = (folder / "ledger.sqlite3").exists()
    database = Database(sqlite_url(folder))
    await database.open()
    try:
        if not made:
            await database.write(lambda db: _fill(db, many))
        results = [await database.read(lambda db, each=each: _told(db, each)) for each in QUERIES]
    finally:
        await database.close()
    return 0 if all(results) else 1


def _told(connection: sa.Connection, query: Query) -> bool:
    with _plans(connection) as plans:
        query.run(connection)
    times = sorted(_ms(connection, query.run) for _ in range(RUNS))
    scans = [
        plan
        for plan in plans
        if plan.startswith(("SCAN escalations", "SCAN slots")) and "INDEX" not in plan
    ]
    best, median = times[0], statistics.median(times)
    well = median <= query.bound_ms and not scans
    print(f"{'ok ' if well else 'BAD'} {query.name}: {best:.1f} ms, median {median:.1f} ms")
    for plan in dict.fromkeys(plans):
        print(f"      {plan}")
    return well


def _ms(connection: sa.Connection, run: Callable[[sa.Connection], object]) -> float:
    start = time.perf_counter()
    run(connection)
    return (time.perf_counter() - start) * 1000


@contextmanager
def _plans(connection: sa.Connection) -> Generator[list[str]]:
    """The plan of each statement that is run meanwhile."""
    found: list[str] = []

    def explain(_db: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith(("SELECT", "WITH")):
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            found.extend(str(row[3]) for row in cursor.fetchall())

    event.listen(connection, "before_cursor_execute", explain)
    try:
        yield found
    finally:
        event.remove(connection, "before_cursor_execute", explain)


def _fill(connection: sa.Connection, many: int) -> None:
    now = datetime.now(UTC)
    connection.execute(sa.insert(ENTRIES), _entry(now))
    for start in range(0, 2 * many + GOLDEN, 10_000):
        rows = [_row(number, many, now) for number in range(start, start + 10_000)]
        connection.execute(sa.insert(ESCALATIONS), rows)
        slots = [
            {
                "escalation_id": row["id"],
                "number": 1,
                "tier": 1,
                "expirations": 0,
                "ruled": row["closed"] is not None,
                "lease_until": now + timedelta(hours=1) if row["state"] == "claimed" else None,
            }
            for row in rows
        ]
        connection.execute(sa.insert(SLOTS), slots)


def _row(number: int, many: int, now: datetime) -> dict[str, Any]:
    opened, closed, golden = now - timedelta(seconds=number % many), number >= many, False
    if number >= 2 * many:
        closed, golden = True, True
    state = "claimed" if number % 50 == 0 else "pending"
    return {
        "id": _name(number),
        "response_id": "" if golden else f"resp_{number}",
        "sequence": 1,
        "key_id": "k",
        "tenant": f"tenant {number % TENANTS}",
        "policy": "default" if number % 3 else "strict",
        "policy_version": "1",
        "policy_digest": "ab" * 32,
        "language": "en",
        "severity": "medium",
        "categories": "hate",
        "tier": 2 if number % 40 == 0 else 1,
        "required": 1,
        "state": "resolved" if closed else state,
        "stuck": number % 1000 == 0,
        "expected": "block" if golden else None,
        "claim_within_s": 600,
        "rule_within_s": 600,
        "on_expiry": "block",
        "opened": opened,
        "due": now + timedelta(hours=10, seconds=number % many),
        "claimed_first": None,
        "waits_until": None,
        "settles": now + timedelta(hours=1) if number % 1000 == 1 and not closed else None,
        "closed": opened if closed else None,
        "callback_url": None,
        "version": 2,
        "indexed": 0 if golden else 2,
    }


def _name(number: int) -> str:
    """An id that says nothing of its age, as they are."""
    return f"esc_{number * 2654435761 % 2**32:08x}{number:024x}"


def _entry(now: datetime) -> dict[str, Any]:
    row = {"sequence": 1, "id": "ent_1", "time": now, "type": "decision", "tenant": "t"}
    return row | {"response_id": "r", "body": b"{}", "hash": b"0" * 32, "previous": b"0" * 32}


if __name__ == "__main__":
    raise SystemExit(main())
