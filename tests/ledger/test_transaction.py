"""One commit: what a step wrote is undone where it fails, and nothing of anybody else."""

import asyncio
from dataclasses import replace

import pytest
import sqlalchemy as sa

from inwit.decisions import Receipt
from inwit.errors import Conflict
from inwit.ledger.database import Database
from inwit.ledger.store import LedgerStore
from inwit.ledger.tables import CONTENTS, ENTRIES
from inwit.ledger.transaction import Transaction
from inwit.ledger.verify_database import verify_database
from tests.ledger.both_databases import database as database
from tests.ledger.test_postgres import postgres as postgres
from tests.ledger.test_store import RECORD, another


def failing(transaction: Transaction) -> None:
    """As forgetting does: it writes, flushes what waits, and then meets something."""
    transaction.add(another())
    transaction.flush()
    transaction.add(another())
    raise Conflict("A legal hold covers it.")


def working(transaction: Transaction) -> Receipt:
    return transaction.add(another())


async def test_a_step_that_fails_undoes_its_own_alone(database: Database) -> None:
    """Those before it in the commit have their receipts: each must be in the ledger."""
    before = replace(another(), contents=RECORD.contents)
    store = LedgerStore(database)
    async with store.running():
        told = await asyncio.gather(
            store.append(before),
            store.write(working),
            store.write(failing),
            store.write(failing),
            store.append(another()),
            store.write(working),
            return_exceptions=True,
        )

    assert [type(each) for each in told] == [Receipt, Receipt, Conflict, Conflict, Receipt, Receipt]
    receipts = [each for each in told if isinstance(each, Receipt)]
    query = sa.select(ENTRIES.c.sequence, ENTRIES.c.id).order_by(ENTRIES.c.sequence)
    rows = await database.read(lambda each: each.execute(query).all())
    assert [tuple(row) for row in rows] == [(each.sequence, each.entry_id) for each in receipts]
    assert await contents(database, receipts[0].sequence) == len(RECORD.contents)
    assert (await database.read(verify_database)).breaks == ()


async def contents(database: Database, sequence: int) -> int:
    query = sa.select(sa.func.count()).select_from(CONTENTS).filter_by(sequence=sequence)
    return await database.read(lambda each: each.execute(query).scalar_one())


@pytest.mark.parametrize("error", [Conflict, ZeroDivisionError])
async def test_without_a_flush_too(database: Database, error: type[Exception]) -> None:
    def steps(transaction: Transaction) -> None:
        transaction.add(another())
        raise error("no")

    def work(connection: sa.Connection) -> tuple[Receipt, Receipt]:
        transaction = Transaction(connection)
        one = transaction.add(another())
        with pytest.raises(error):
            transaction.undoing(steps)
        two = transaction.add(another())
        transaction.flush()
        return one, two

    one, two = await database.write(work)

    assert (one.sequence, two.sequence, two.previous) == (1, 2, one.hash)
