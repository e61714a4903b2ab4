"""A request ends once, whoever comes second: the writer refuses it in the transaction itself."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event as sa_event

from inwit.decisions import (
    AcceptedRecord,
    AnyRecord,
    Asked,
    CutReason,
    CutRecord,
    FailedRecord,
    Receipt,
)
from inwit.errors import Conflict
from inwit.ledger.database import Database, sqlite_url
from inwit.ledger.ends import ENDS
from inwit.ledger.store import LedgerStore
from inwit.ledger.tables import ENTRIES
from tests.ledger.both_databases import database as database
from tests.ledger.test_abandoned import types_of
from tests.ledger.test_idempotency import wanted
from tests.ledger.test_postgres import postgres as postgres
from tests.ledger.test_store import ORIGIN, RECORD, another

ACCEPTED = AcceptedRecord(ORIGIN, datetime.now(UTC), Asked.RESPONSE)
END: dict[str, AnyRecord] = {
    "decision": RECORD,
    "check": replace(RECORD, checked=True),
    "cut": CutRecord(ORIGIN, datetime.now(UTC), CutReason.INTERNAL, 0, None, {}),
    "failed": FailedRecord(ORIGIN, datetime.now(UTC), "abandoned"),
}


def test_every_end_is_tried() -> None:
    assert END.keys() == set(ENDS)


@pytest.mark.parametrize("second", END)
@pytest.mark.parametrize("first", END)
async def test_a_second_end_is_refused(database: Database, first: str, second: str) -> None:
    store = LedgerStore(database)
    async with store.running():
        await store.append(ACCEPTED)
        await store.append(END[first])
        with pytest.raises(Conflict, match="not open"):
            await store.append(END[second])

    assert await types_of(database, ORIGIN.response_id) == ["accepted", first]


@pytest.mark.parametrize("second", END)
@pytest.mark.parametrize("first", END)
async def test_in_one_commit_too(tmp_path: Path, first: str, second: str) -> None:
    database = Database(sqlite_url(tmp_path))
    await database.open()
    store = LedgerStore(database)
    async with store.running():
        told = await asyncio.gather(
            *(store.append(each) for each in (ACCEPTED, END[first], END[second], another())),
            return_exceptions=True,
        )

    assert [type(each) for each in told] == [Receipt, Receipt, Conflict, Receipt]
    assert await types_of(database, ORIGIN.response_id) == ["accepted", first]
    await database.close()


async def test_two_gateways_that_end_one_request(database: Database) -> None:
    stores = [LedgerStore(database) for _ in range(2)]
    async with stores[0].running(), stores[1].running():
        for number in range(20):
            origin = replace(ORIGIN, response_id=f"resp_{number}")
            await stores[0].append(replace(ACCEPTED, origin=origin))
            told = await asyncio.gather(
                stores[0].append(replace(RECORD, origin=origin)),
                stores[1].append(FailedRecord(origin, datetime.now(UTC), "abandoned")),
                return_exceptions=True,
            )
            assert {type(each) for each in told} == {Receipt, Conflict}
            assert len(await types_of(database, origin.response_id)) == 2


async def test_a_decision_that_comes_too_late_leaves_its_claim_alone(database: Database) -> None:
    """It is not the answer of its idempotency key: nothing of it was released."""
    mine = wanted("a")
    store = LedgerStore(database)
    async with store.running():
        assert await store.claim(mine) is None
        await store.append(ACCEPTED)
        await store.append(END["failed"])
        with pytest.raises(Conflict, match="not open"):
            await store.append(replace(RECORD, claim=mine.claim))
        store.release(mine.claim)

        assert await store.claim(wanted("b")) is None


async def test_a_commit_asks_once_for_all_that_it_ends(database: Database) -> None:
    asked: list[str] = []

    def seen(_c: object, _u: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT") and "response_id IN" in statement:
            asked.append(statement)

    def listen(connection: sa.Connection) -> None:
        sa_event.listen(connection.engine, "before_cursor_execute", seen)

    await database.read(listen)
    store = LedgerStore(database)
    async with store.running():
        await asyncio.gather(*(store.append(another()) for _ in range(50)))
        in_all = len([each for each in asked if "entries" in each])
        await store.append(ACCEPTED)

    assert in_all <= 3  # commits
    assert len([each for each in asked if "entries" in each]) == in_all  # it ends nothing
    entries = await database.read(
        lambda each: each.execute(sa.select(sa.func.count()).select_from(ENTRIES)).scalar_one()
    )
    assert entries == 51
