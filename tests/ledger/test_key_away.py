"""A person's master key is away, while those of others are here."""

import asyncio
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa

from inwit.decisions import Record
from inwit.errors import LedgerError
from inwit.ledger.store import LedgerStore
from inwit.ledger.tables import SUBJECTS
from inwit.ledger.verify_database import verify_database
from tests.ledger.sealed import append_for, sealed_database
from tests.ledger.test_store import ORIGIN, RECORD


def of_person(name: str, turn: int) -> Record:
    return replace(RECORD, origin=replace(ORIGIN, response_id=f"resp_{turn}", end_user=name))


async def test_those_who_share_a_commit_with_such_a_person_are_recorded(tmp_path: Path) -> None:
    async with sealed_database(tmp_path) as database:
        await append_for(database, "ann", "resp_0")
        of_ann = sa.update(SUBJECTS).where(SUBJECTS.c.id != "index").values(master="gone")
        await database.write(lambda each: each.execute(of_ann))
        assert database.vault is not None
        database.vault.forget()
        store, people = LedgerStore(database), ("bob", "ann", "cy", "dan", "ann")
        async with store.running():
            done = await asyncio.gather(
                *(store.append(of_person(name, turn)) for turn, name in enumerate(people, 1)),
                return_exceptions=True,
            )
        found = await database.read(verify_database)

    assert [isinstance(each, LedgerError) for each in done] == [name == "ann" for name in people]
    assert (found.entries, found.breaks) == (4, ())
