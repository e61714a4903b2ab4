"""A gateway that dies leaves accepted requests open; the next one ends them, once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from inwit.decisions import AcceptedRecord, Asked, CutReason, CutRecord, FailedRecord
from inwit.errors import Conflict
from inwit.ledger.abandoned import Abandoned
from inwit.ledger.database import Database
from inwit.ledger.store import LedgerStore
from inwit.ledger.tables import ENTRIES
from tests.ledger.both_databases import database as database
from tests.ledger.test_postgres import postgres as postgres
from tests.ledger.test_store import ORIGIN, RECORD


async def types_of(database: Database, response_id: str) -> list[str]:
    query = sa.select(ENTRIES.c.type).filter_by(response_id=response_id)
    rows = await database.read(
        lambda connection: connection.execute(query.order_by(ENTRIES.c.sequence)).scalars().all()
    )
    return list(rows)


async def test_what_is_left_open_ends_as_failed(database: Database) -> None:
    store = LedgerStore(database)
    async with store.running():
        for name, age_s in {"resp_dead": 300, "resp_done": 300, "resp_young": 1}.items():
            time = datetime.now(UTC) - timedelta(seconds=age_s)
            origin = replace(ORIGIN, response_id=name)
            await store.append(AcceptedRecord(origin, time, Asked.RESPONSE))
        await store.append(replace(RECORD, origin=replace(ORIGIN, response_id="resp_done")))
        one, two = (Abandoned(database, store, longest_s=60) for _ in range(2))

        assert [await one.look(), await two.look(), await one.look()] == [1, 0, 0]

    assert await types_of(database, "resp_dead") == ["accepted", "failed"]
    assert await types_of(database, "resp_done") == ["accepted", "decision"]
    assert await types_of(database, "resp_young") == ["accepted"]


@pytest.mark.parametrize("ending", ["failed", "cut"])
async def test_a_request_ends_once_and_only_where_it_was_accepted(
    database: Database, ending: str
) -> None:
    def end(name: str) -> FailedRecord | CutRecord:
        origin = replace(ORIGIN, response_id=name)
        if ending == "failed":
            return FailedRecord(origin, datetime.now(UTC), "internal")
        return CutRecord(origin, datetime.now(UTC), CutReason.INTERNAL, 0, None, {})

    store = LedgerStore(database)
    async with store.running():
        await store.append(AcceptedRecord(ORIGIN, datetime.now(UTC), Asked.RESPONSE))
        await store.append(RECORD)
        for name in ("resp_1", "resp_never")[: 1 if ending == "cut" else 2]:
            with pytest.raises(Conflict, match="not open"):
                await store.append(end(name))

    assert await types_of(database, "resp_1") == ["accepted", "decision"]
    assert await types_of(database, "resp_never") == []
