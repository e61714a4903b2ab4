"""Checkpoints over committed entries: one after another, and never of a changed past."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY

from inwit.cases import ActKind, ActRecord
from inwit.errors import LedgerError
from inwit.ledger import proofs, sequencer
from inwit.ledger.database import Database
from inwit.ledger.merkle import Tree
from inwit.ledger.notes import (
    SigningKey,
    VerifyingKey,
    checkpoint_of,
    new_key,
    signers,
)
from inwit.ledger.proofs import Signed
from inwit.ledger.sequencer import Forked, Sequencer
from inwit.ledger.tables import CHECKPOINTS, ENTRIES, NODES
from inwit.ledger.transaction import Transaction
from inwit.ledger.verify import included
from tests.ledger.both_databases import database as database
from tests.ledger.test_postgres import postgres as postgres

KEY = new_key("log.example.com/inwit")


async def fill(database: Database, entries: int) -> None:
    """Append so many entries."""

    def work(connection: sa.Connection) -> None:
        transaction = Transaction(connection)
        for number in range(entries):
            facts = {"number": number}
            transaction.add(ActRecord(ActKind.CHANGED, datetime.now(UTC), "acme", "k", facts, {}))
        transaction.flush()

    await database.write(work)


async def change(database: Database, statement: sa.Executable) -> None:
    await database.write(lambda connection: connection.execute(statement))


async def rows(database: Database, query: Any) -> Sequence[Any]:
    return await database.read(lambda connection: connection.execute(query).all())


async def tree_of(database: Database, size: int) -> Tree:
    """Worked out anew from all entries."""
    tree = Tree()
    for leaf in await database.read(lambda connection: proofs.leaves(connection, 0, size)):
        tree.append(leaf)
    return tree


async def test_a_checkpoint_covers_what_is_committed(database: Database) -> None:
    told: list[Signed] = []
    sequencer = Sequencer(database, [KEY], 60, told.append)
    await fill(database, 300)

    newest = await sequencer.work()
    again = await sequencer.work()
    await fill(database, 400)
    later = await sequencer.work()

    assert newest is not None
    assert later is not None
    assert newest == again
    # The first entry after a start without any names the key.
    assert (newest.size, later.size) == (301, 701)
    assert told == [newest, later]
    for signed in told:
        checkpoint = checkpoint_of(signed.note)
        assert checkpoint.origin == KEY.name
        assert checkpoint.size == signed.size
        assert checkpoint.root == (await tree_of(database, signed.size)).root()
        assert VerifyingKey.read(KEY.vkey).signed(signed.note)
    nodes = await rows(database, sa.select(NODES.c.level, NODES.c.place))
    assert sorted((each.level, each.place) for each in nodes) == [(1, 0), (1, 1)]


async def test_much_at_once_is_taken_in_strides(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequencer, "STRIDE", 100)
    await fill(database, 350)

    newest = await Sequencer(database, [KEY], 60).work()

    sizes = await rows(database, sa.select(CHECKPOINTS.c.size).order_by(CHECKPOINTS.c.size))
    assert [size for (size,) in sizes] == [100, 200, 300, 351]
    assert newest is not None
    assert newest.size == 351


async def test_two_gateways_make_one_log(database: Database) -> None:
    one, two = Sequencer(database, [KEY], 60), Sequencer(database, [KEY], 60)
    for number in (3, 300, 1, 260):
        await asyncio.gather(fill(database, number), one.work(), two.work())
    await one.work()
    await two.work()

    assert one.newest == two.newest
    assert one.newest is not None
    last = checkpoint_of(one.newest.note)
    count = (await rows(database, sa.select(sa.func.count()).select_from(ENTRIES)))[0][0]
    assert last.size == count == 565
    assert last.root == (await tree_of(database, count)).root()


async def test_what_a_dead_gateway_left_unsigned_is_signed_by_the_next(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(database, 5)

    def dies(*_: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(sequencer, "_put_note", dies)
        with pytest.raises(RuntimeError):
            await Sequencer(database, [KEY], 60).work()
    await fill(database, 5)
    newest = await Sequencer(database, [KEY], 60).work()

    found = await rows(database, sa.select(CHECKPOINTS).order_by(CHECKPOINTS.c.size))
    assert [row.size for row in found] == [6, 11]
    assert all(VerifyingKey.read(KEY.vkey).signed(row.note) for row in found)
    assert newest is not None
    assert newest.size == 11


def _ignored(_: Signed) -> None:
    pass


@pytest.mark.parametrize("other_signs", [True, False])
async def test_entries_that_never_end_do_not_keep_it_from_telling(
    database: Database, other_signs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does another gateway that is always the first to sign."""
    told: list[Signed] = []
    working, other = (Sequencer(database, [KEY], 60, tell) for tell in (told.append, _ignored))
    await fill(database, 3)
    read, inside = database.read, list[bool]()

    async def and_then_more(work: Callable[[sa.Connection], Any]) -> Any:
        found = await read(work)
        if not inside:
            inside.append(True)
            await fill(database, 2)
            if other_signs:
                await other.work()
            inside.clear()
        return found

    monkeypatch.setattr(database, "read", and_then_more)
    async with asyncio.timeout(60):
        await working.work()

    assert len(told) == 1


CHANGES: dict[str, Callable[[], sa.Executable]] = {
    "a hash": lambda: sa.update(ENTRIES).filter_by(sequence=290).values(hash=bytes(32)),
    "a node": lambda: sa.update(NODES).filter_by(level=1, place=0).values(hash=bytes(32)),
    "an end": lambda: sa.delete(CHECKPOINTS).where(CHECKPOINTS.c.size > 100),
    "an unsigned row": lambda: sa.insert(CHECKPOINTS).values(
        size=305, root=bytes(32), time=datetime.now(UTC)
    ),
    "a root": lambda: sa.update(CHECKPOINTS).values(
        note=sa.func.replace(CHECKPOINTS.c.note, "301", "300")
    ),
}


@pytest.mark.parametrize("what", CHANGES)
async def test_a_changed_past_is_not_signed(database: Database, what: str) -> None:
    before = Sequencer(database, [KEY], 60)
    await fill(database, 50)
    await before.work()
    await fill(database, 250)
    await before.work()
    notes = len(await rows(database, sa.select(CHECKPOINTS.c.size)))
    working = before if what == "an end" else Sequencer(database, [KEY], 60)
    await change(database, CHANGES[what]())
    await fill(database, 10)

    with pytest.raises(Forked):
        await working.work()

    query = sa.select(CHECKPOINTS.c.size).where(CHECKPOINTS.c.note.is_not(None))
    assert len(await rows(database, query)) <= notes


async def test_a_new_key_is_named_and_signs_beside_the_old_one(database: Database) -> None:
    old, new = new_key("log"), new_key("log")
    await fill(database, 1)

    async def signed_by(*keys: SigningKey) -> list[str]:
        await fill(database, 1)
        newest = await Sequencer(database, keys, 60).work()
        assert newest is not None
        return [key_id for _, key_id in signers(newest.note)]

    assert await signed_by(old) == [old.id]
    assert await signed_by(old, new) == [old.id, new.id]
    assert await signed_by(old) == [old.id, new.id]  # it is behind, and leaves it to the others
    assert await signed_by(old, new) == [old.id, new.id]
    assert await signed_by(new) == [new.id]
    assert await signed_by(old, new) == [new.id]  # what was left off stays off
    query = sa.select(ENTRIES.c.body).where(ENTRIES.c.type == ActKind.SIGNING_KEYS.value)
    named = await rows(database, query.order_by(ENTRIES.c.sequence))
    assert [[row.body.decode().count(key.vkey) for key in (old, new)] for row in named] == [
        [2, 0],
        [1, 2],
        [1, 1],
    ]


async def test_a_quiet_hour_is_told(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(database, 1)
    working = Sequencer(database, [KEY], 60)
    first = await working.work()
    assert first is not None
    monkeypatch.setattr(sequencer, "IDLE", timedelta(0))

    second = await working.work()

    assert second is not None
    assert second.size == first.size + 1
    last = await rows(database, sa.select(ENTRIES.c.type).filter_by(sequence=second.size))
    assert last[0].type == ActKind.IDLE.value


async def test_it_works_beside_requests(database: Database) -> None:
    seen = asyncio.Event()

    def told(signed: Signed) -> None:
        if signed.size == 6:
            seen.set()

    working = Sequencer(database, [KEY], 0.01, told)
    async with working.running(), asyncio.timeout(60):
        await fill(database, 5)
        await seen.wait()


async def test_it_works_once_more_at_the_end(database: Database) -> None:
    working = Sequencer(database, [KEY], 600)
    async with working.running():
        await fill(database, 5)

    assert working.newest is not None
    count = (await rows(database, sa.select(sa.func.count()).select_from(ENTRIES)))[0][0]
    assert working.newest.size == count == 6


async def test_a_failure_is_counted_and_tried_again(database: Database) -> None:
    working = Sequencer(database, [KEY], 60)
    await fill(database, 3)
    newest = await working.work()
    assert newest is not None
    working.newest = replace(newest, size=10**6)

    async with working.running():
        pass

    with pytest.raises(Forked, match="lost entries"):
        await working.work()


def gauge(name: str) -> float:
    return REGISTRY.get_sample_value(f"inwit_ledger_{name}_seconds") or 0


def failures() -> float:
    name = "inwit_ledger_checkpoint_failures_total"
    return REGISTRY.get_sample_value(name, {"cause": "failed"}) or 0


async def look(working: Sequencer) -> None:
    """Two looks as the background has them, a quarter of a second after what came before."""
    await asyncio.sleep(0.25)
    async with working.running():
        pass


@pytest.mark.parametrize("away", [False, True])
async def test_ages_grow_while_signing_fails(
    database: Database, away: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A right that was taken away, a full disk; or nothing of the database answers at all."""
    await fill(database, 3)
    working = Sequencer(database, [KEY], 60)
    await look(working)
    assert gauge("unsigned") == 0
    await fill(database, 1)
    monkeypatch.setattr(sequencer, "_store", _fails)
    before = failures()

    await look(working)
    one = (gauge("unsigned"), gauge("checkpoint_age"))
    if away:
        monkeypatch.setattr(database, "read", _away)
    await look(working)

    assert 0.2 < one[0] < gauge("unsigned")
    assert 0.2 < one[1] < gauge("checkpoint_age")
    assert failures() == before + 4  # two looks each


def _fails(*_: object) -> None:
    raise OSError("no space left")


async def _away(_: object) -> None:
    raise LedgerError


async def test_what_another_gateway_signed_does_not_wait(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(database, 3)
    working = Sequencer(database, [KEY], 60)
    await look(working)
    await fill(database, 1)
    await Sequencer(database, [KEY], 60).work()
    monkeypatch.setattr(working, "work", _fails)

    await look(working)

    assert gauge("unsigned") == 0


@pytest.mark.parametrize("size", [1, 2, 300, 701])
async def test_proofs_come_from_tiles(database: Database, size: int) -> None:
    await fill(database, size)
    working = Sequencer(database, [KEY], 60)
    signed = await working.work()
    assert signed is not None
    tree = checkpoint_of(signed.note)

    for sequence in {1, size // 2 + 1, size}:
        row = (await rows(database, sa.select(ENTRIES).filter_by(sequence=sequence)))[0]
        proof = await database.read(lambda connection, row=row: proofs.proof_of(connection, row))
        assert proof is not None
        assert proof.body == row.body
        assert included(row.hash, proof.index, tree.size, list(proof.hashes), tree.root)
    await fill(database, 1)
    row = (await rows(database, sa.select(ENTRIES).filter_by(sequence=size + 2)))[0]
    assert await database.read(lambda connection: proofs.proof_of(connection, row)) is None
