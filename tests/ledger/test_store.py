"""The ledger: durable, chained, committed in groups, and loud when it cannot."""

import asyncio
import sqlite3
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from prometheus_client import REGISTRY

from inwit.decisions import Decision, Origin, Reason, Record, Round, Usages
from inwit.errors import LedgerError, SetupError
from inwit.ledger.database import Database, sqlite_url
from inwit.ledger.store import LedgerStore
from inwit.ledger.tables import METADATA
from inwit.ledger.verify_database import verify_database
from inwit.types import (
    Action,
    Candidate,
    Enforcement,
    KeyRole,
    PolicyRef,
    Principal,
    ReviewStatus,
    Usage,
    Verdict,
)

VERDICT = Verdict("conscience", ReviewStatus.JUDGED, risk=0.1, label_mass=0.9)
DECISION = Decision(Action.ALLOW, (Reason.BELOW_LOWER,), (VERDICT,), "cd" * 32, reviewed=True)
ORIGIN = Origin(
    response_id="resp_1",
    principal=Principal("k1", "acme", ("default",), frozenset({KeyRole.RESPOND})),
    policy=PolicyRef("default", "1", "ab" * 32),
    model="m",
    enforcement=Enforcement.FULL,
    request_id="req_1",
)
RECORD = Record(
    origin=ORIGIN,
    time=datetime(2026, 11, 23, tzinfo=UTC),
    decision=DECISION,
    rounds=(Round(Candidate("The moon.", "m"), DECISION),),
    rewrites=(),
    has_input_stage=False,
    input=None,
    input_flagged=False,
    passages=(),
    finish_reason="stop",
    masked={},
    usage=Usages(Usage(), Usage()),
    sent=None,
    hold=None,
    timings_ms={"total": 1.0},
    contents={"candidate": b'{"text":"The moon."}', "released": b'{"text":"The moon."}'},
)


def another() -> Record:
    """The same of a response of its own."""
    return replace(RECORD, origin=replace(ORIGIN, response_id=f"resp_{uuid.uuid4().hex}"))


async def append(database: Database, count: int) -> None:
    store = LedgerStore(database)
    async with store.running():
        await asyncio.gather(*(store.append(another()) for _ in range(count)))


async def test_entries_form_one_chain(database: Database) -> None:
    await append(database, 20)
    await append(database, 3)

    found = await database.read(verify_database)

    assert (found.entries, found.breaks) == (23, ())


async def test_requests_share_a_commit(database: Database) -> None:
    before = REGISTRY.get_sample_value("inwit_ledger_commit_seconds_count") or 0

    await append(database, 100)

    after = REGISTRY.get_sample_value("inwit_ledger_commit_seconds_count") or 0
    assert after - before <= 3


async def test_two_writers_on_one_database_keep_one_chain(tmp_path: Path) -> None:
    databases = [Database(sqlite_url(tmp_path)) for _ in range(2)]
    for database in databases:
        await database.open()
    try:
        await asyncio.gather(*(append(database, 15) for database in databases for _ in range(3)))
        found = await databases[0].read(verify_database)
    finally:
        for database in databases:
            await database.close()

    assert (found.entries, found.breaks) == (90, ())


TAMPERINGS: dict[str, str] = {
    "an edit": "UPDATE entries SET body = replace(body, 'allow', 'block') WHERE sequence = 3",
    "an edit in bytes": "UPDATE entries SET body = "
    "CAST(replace(CAST(body AS TEXT), 'allow', 'block') AS BLOB) WHERE sequence = 3",
    "an edit with its hash mended": "UPDATE entries SET body = X'7B7D', hash = "
    "X'5ba93c9db0cff93f52b521d7420e43f6eda2784f' WHERE sequence = 3",
    "a removal": "DELETE FROM entries WHERE sequence = 3",
    "the first removed": "DELETE FROM entries WHERE sequence = 1",
    "a swap": "UPDATE entries SET sequence = CASE sequence WHEN 2 THEN 100 ELSE 2 END "
    "WHERE sequence IN (2, 4)",
    "a link": "UPDATE entries SET previous = hash WHERE sequence = 4",
    "the time": "UPDATE entries SET time = '2020-01-01 00:00:00.000000' WHERE sequence = 2",
    "a body of another shape": "UPDATE entries SET "
    "body = CAST('{\"commitments\":null}' AS BLOB) WHERE sequence = 2",
    "a column": "UPDATE entries SET tenant = 'other' WHERE sequence = 2",
    "content": "UPDATE contents SET content = X'7B7D' WHERE sequence = 2 AND kind = 'released'",
    "a salt": "UPDATE contents SET salt = zeroblob(32) WHERE sequence = 2",
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
async def test_tampering_shows(database: Database, tmp_path: Path, tampering: str) -> None:
    await append(database, 5)
    with sqlite3.connect(tmp_path / "ledger.sqlite3") as raw:
        raw.execute("PRAGMA foreign_keys = OFF")
        changed = raw.execute(TAMPERINGS[tampering])
        assert changed.rowcount > 0
    raw.close()

    assert (await database.read(verify_database)).breaks


async def test_erased_content_is_no_break(database: Database) -> None:
    await append(database, 2)
    await database.write(lambda db: db.execute(sa.text("DELETE FROM contents")))

    assert (await database.read(verify_database)).breaks == ()


BREAKAGES: dict[str, Callable[[sa.Connection], object]] = {
    "the table is gone": lambda db: db.execute(sa.text("DROP TABLE entries")),
    "a full disk": lambda db: db.execute(sa.text("PRAGMA max_page_count = 1")),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
async def test_a_commit_that_fails_is_told_to_every_request_in_it(
    database: Database, breakage: str
) -> None:
    await database.write(BREAKAGES[breakage])
    big = replace(RECORD, contents={"candidate": b"x" * 200_000})
    store = LedgerStore(database)

    async with store.running():
        results = await asyncio.gather(
            *(store.append(big) for _ in range(5)), return_exceptions=True
        )

    assert all(isinstance(result, LedgerError) for result in results)


async def test_a_caller_that_goes_before_the_commit_leaves_no_entry(database: Database) -> None:
    store = LedgerStore(database)
    async with store.running():
        gone = asyncio.create_task(store.append(RECORD))
        stays = asyncio.create_task(store.append(RECORD))
        await asyncio.sleep(0)
        gone.cancel()
        receipt = await stays

    assert receipt.sequence == 1
    assert (await database.read(verify_database)).entries == 1


async def test_an_error_that_nobody_expected_fails_its_commit_and_no_more(
    database: Database,
) -> None:
    await append(database, 1)
    await database.write(lambda db: db.execute(sa.text("UPDATE entries SET hash = 'text'")))
    store = LedgerStore(database)

    async with store.running():
        with pytest.raises(LedgerError):
            await store.append(RECORD)
        await database.write(lambda db: db.execute(sa.text("UPDATE entries SET hash = X'00'")))
        receipt = await store.append(RECORD)

    assert receipt.sequence == 2


async def test_a_ledger_that_is_stuck_neither_grows_nor_holds_the_shutdown(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inwit.ledger.store._DRAIN_S", 0.05)
    monkeypatch.setattr("inwit.ledger.store._LONGEST_QUEUE", 3)
    release = threading.Event()
    blocked = asyncio.create_task(database.write(lambda _: release.wait(120)))
    store = LedgerStore(database)

    async with store.running():
        waiting = [asyncio.create_task(store.append(RECORD)) for _ in range(6)]
        await asyncio.wait(waiting, timeout=0.2)
        refused = [task for task in waiting if task.done()]
    release.set()
    await blocked
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)

    assert refused
    assert all(isinstance(task.exception(), LedgerError) for task in refused)
    assert (await database.read(verify_database)).entries <= 3  # what was refused is not recorded


async def test_migrations_make_exactly_the_tables(database: Database) -> None:
    def differences(connection: sa.Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), METADATA))

    assert await database.read(differences) == []


async def test_opening_twice_finds_what_was_there(tmp_path: Path) -> None:
    for count in (1, 2):
        database = Database(sqlite_url(tmp_path))
        await database.open()
        await append(database, 1)
        assert (await database.read(verify_database)).entries == count
        await database.close()


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////nonexistent/ledger",
        "mysql://x/y",
        "not a url",
        "postgresql://127.0.0.1:1/x",
        "postgresql://u@127.0.0.1:1/x",
    ],
)
async def test_a_database_that_cannot_be_opened_is_one_clear_sentence(url: str) -> None:
    with pytest.raises(SetupError, match="INWIT_DATABASE_URL"):
        await Database(url).open()
