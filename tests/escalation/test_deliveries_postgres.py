"""Deliveries on a real PostgreSQL: what two gateways take at once, and a long wait for one host."""

import asyncio

import pytest
import sqlalchemy as sa

from inwit.ledger import deliveries
from inwit.ledger.database import Database
from inwit.ledger.store import LedgerStore
from inwit.ledger.tables import DELIVERIES
from inwit.ledger.transaction import Transaction
from inwit.ledger.verify_database import verify_database
from tests.escalation.test_deliveries import add
from tests.ledger.test_postgres import databases as databases
from tests.ledger.test_postgres import postgres as postgres

pytestmark = pytest.mark.process

MANY = 600  # more than one page of what is read at a time


def add_many(transaction: Transaction) -> None:
    for number in range(MANY):
        add(transaction, str(number), "slow.example")
    add(transaction, "other", "other.example")


def due(connection: sa.Connection) -> list[str]:
    return deliveries.due(Transaction(connection), 16, {"slow.example": 1}, 4)


async def test_two_gateways_take_each_once(databases: list[Database]) -> None:
    stores = [LedgerStore(each) for each in databases]
    async with stores[0].running(), stores[1].running():
        await stores[0].write(add_many)
        ids = await databases[0].read(due)
        one, two = await asyncio.gather(
            *(store.write(lambda t: deliveries.take(t, "me", ids)) for store in stores)
        )
        taken = [*one, *two]
        for each in taken:
            await stores[0].write(lambda t, it=each: deliveries.delivered(t, it, "200"))
            assert not await stores[1].write(lambda t, it=each: deliveries.failed(t, it, "500"))

    done = sa.select(sa.func.count()).where(DELIVERIES.c.state == "delivered")
    found = await databases[1].read(verify_database)
    assert len(ids) == 4
    assert sorted(each.id for each in taken) == sorted(ids)
    assert sorted(each.host for each in taken) == ["other.example", *["slow.example"] * 3]
    assert await databases[1].read(lambda c: c.execute(done).scalar_one()) == 4
    assert (found.entries, found.breaks) == (4, ())
