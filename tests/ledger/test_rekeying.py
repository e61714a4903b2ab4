"""Keys of content are rotated while gateways run; afterwards the old one is needed no more."""

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from inwit.ledger import rekeying
from inwit.ledger.case_files import case_file
from inwit.ledger.content_keys import KeyFile, KeyLines, new_line
from inwit.ledger.database import Database, sqlite_url
from inwit.ledger.drafts import ruling_text
from inwit.ledger.erasure import subject_of
from inwit.ledger.read import stories
from inwit.ledger.rekeying import Rotated, rotate_master, rotate_subjects
from inwit.ledger.responses import StoredResponses
from inwit.ledger.tables import CONTENTS, DATA_KEYS, EDITS, RULINGS, SUBJECTS
from inwit.ledger.vault import Vault, rewrapped
from tests.ledger.forgotten import CASE, HELD, REVIEWER, bytes_in, edited, erased, held, rows
from tests.ledger.sealed import LINE, SEALED, append_for, sealed_database
from tests.ledger.sealed_both import database as database
from tests.ledger.sealed_both import postgres as postgres

SECOND = "k2:" + new_line().partition(":")[2]


async def opened(folder: Path, *lines: str) -> Database:
    database = Database(sqlite_url(folder), vault=Vault(KeyLines("\n".join(lines), "the test")))
    await database.open()
    return database


def vault_of(database: Database) -> Vault:
    assert database.vault is not None
    return database.vault


async def test_afterwards_the_new_master_key_is_enough(tmp_path: Path) -> None:
    async with sealed_database(tmp_path) as first:
        await append_for(first, "ann", "resp_1", "resp_2")
        await append_for(first, "bob", "resp_3")
        subject = await first.read(lambda each: subject_of(each, "acme", "ann"))
    both = await opened(tmp_path, LINE, SECOND)

    done = await rotate_master(both, vault_of(both))

    assert done == Rotated(subjects=3, contents=0, texts=0, left=0)
    await both.close()
    alone = await opened(tmp_path, SECOND)
    for name in ("resp_1", "resp_2", "resp_3"):
        assert await StoredResponses(alone).about("acme", name) is not None
    assert await alone.read(lambda each: subject_of(each, "acme", "ann")) == subject
    await append_for(alone, "ann", "resp_4")
    await erased(alone, end_user="ann")
    assert len(await rows(alone, CONTENTS)) == 3
    await alone.close()


async def test_a_gateway_goes_on_beside_the_rotation(tmp_path: Path) -> None:
    file = tmp_path / "content.key"
    running = Database(sqlite_url(tmp_path), vault=Vault(KeyFile(file, make=True)))
    await running.open()
    await append_for(running, "ann", "resp_1")
    other = Database(sqlite_url(tmp_path), vault=Vault(keys := KeyFile(file)))
    await other.open()
    keys.add()
    await rotate_master(other, vault_of(other))
    await other.close()

    await append_for(running, "ann", "resp_2")
    await append_for(running, "new", "resp_3")

    assert {row.master for row in await rows(running, SUBJECTS)} == {"k2"}
    for name in ("resp_1", "resp_2", "resp_3"):
        assert await StoredResponses(running).about("acme", name) is not None
    await running.close()


async def test_it_goes_on_where_it_was_stopped(tmp_path: Path, database: Database) -> None:
    await append_for(database, "ann", "resp_1")
    await append_for(database, "bob", "resp_2")

    def half(connection: sa.Connection) -> None:
        row = connection.execute(sa.select(SUBJECTS).where(SUBJECTS.c.tenant != "")).first()
        holder = KeyLines(f"{LINE}\n{SECOND}", "the test")
        assert row is not None
        change = sa.update(SUBJECTS).where(SUBJECTS.c.id == row.id)
        connection.execute(change.values(**rewrapped(holder, row)))

    await database.write(half)

    done = await rotate_master(database, Vault(KeyLines(f"{LINE}\n{SECOND}", "the test")))

    assert (done.subjects, done.left) == (2, 0)


async def test_what_older_versions_wrote_is_sealed(tmp_path: Path) -> None:
    old = Database(sqlite_url(tmp_path))
    await old.open()
    await append_for(old, "ann", *(f"resp_{n}" for n in range(150)))
    await held(old)
    await edited(old, "An edit: xyloedit.", rule=True)
    plain = await old.read(lambda each: stories(each, "resp_1"))
    file = await old.read(lambda each: case_file(each, CASE, REVIEWER.id))
    count = len(await rows(old, CONTENTS))
    await old.close()
    async with sealed_database(tmp_path) as database:
        done = await rotate_master(database, vault_of(database))
        await database.scrub()

        assert (done.contents, done.texts) == (count, 4)
        assert await database.read(lambda each: stories(each, "resp_1")) == plain
        assert await database.read(lambda each: case_file(each, CASE, REVIEWER.id)) == file
        (ruling,) = await rows(database, RULINGS)
        assert (
            await database.read(lambda each: ruling_text(each, ruling.id)) == "An edit: xyloedit."
        )
        left = bytes_in(tmp_path)
        words = (b"xyloedit", b"xyloreason", b"xylopyrographer", b"moon a secret")
        assert not [each for each in words if each in left]
        assert (await rotate_master(database, vault_of(database))) == Rotated(0, 0, 0, 0)

        await erased(database, end_user="ann")  # it knew whose each of them was

        assert not await rows(database, CONTENTS)
        assert not await rows(database, EDITS)


async def test_content_that_was_damaged_stays_to_be_seen(tmp_path: Path) -> None:
    old = Database(sqlite_url(tmp_path))
    await old.open()
    await append_for(old, "ann", "resp_1")
    damage = sa.update(CONTENTS).where(CONTENTS.c.kind == "released").values(salt=b"short")
    await old.write(lambda each: each.execute(damage))
    await old.close()
    async with sealed_database(tmp_path) as database:
        done = await rotate_master(database, vault_of(database))

        assert done.contents == len(SEALED) - 1
        nonces = {row.kind: row.nonce for row in await rows(database, CONTENTS)}
        assert nonces["released"] is None


async def test_subjects_get_new_keys(database: Database) -> None:
    await append_for(database, "ann", "resp_1", "resp_2")
    await append_for(database, "bob", "resp_3")
    await held(database)
    await edited(database, "An edit: xyloedit.", rule=False)
    await erased(database, response="resp_2")
    before = {row.id: row.wrapped for row in await rows(database, SUBJECTS)}
    keys = {row.response_id: row.wrapped for row in await rows(database, DATA_KEYS)}
    ann = await database.read(lambda each: subject_of(each, "acme", "ann"))

    assert await rotate_subjects(database, vault_of(database), ann) == 1

    after = {row.id: row.wrapped for row in await rows(database, SUBJECTS)}
    assert {each for each in after if after[each] != before[each]} == {ann}
    again = {row.response_id: row.wrapped for row in await rows(database, DATA_KEYS)}
    assert {each for each in again if again[each] != keys[each]} == {"resp_1", HELD}
    for name in ("resp_1", "resp_3"):
        assert await StoredResponses(database).about("acme", name) is not None
    file = await database.read(lambda each: case_file(each, CASE, REVIEWER.id))
    assert file.draft == "An edit: xyloedit."
    assert await rotate_subjects(database, vault_of(database)) == 2


async def test_batches_end(database: Database, monkeypatch: Any) -> None:
    monkeypatch.setattr(rekeying, "_BATCH", 2)
    for number in range(5):
        await append_for(database, f"u{number}", f"resp_{number}")

    done = await rotate_master(database, Vault(KeyLines(f"{LINE}\n{SECOND}", "the test")))

    assert (done.subjects, done.left) == (6, 0)
