"""Content at rest: what is written opens again, in its place, by its key, and no other way."""

import json
import os
import sqlite3
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event

from inwit.errors import Gone, LedgerError, SetupError
from inwit.ledger.content_keys import KeyFile, KeyLines, KeyMissing, NoKeys, new_line
from inwit.ledger.database import Database, sqlite_url
from inwit.ledger.opened import open_rows
from inwit.ledger.read import stories
from inwit.ledger.responses import StoredResponses
from inwit.ledger.store import LedgerStore
from inwit.ledger.tables import CONTENTS, DATA_KEYS, SUBJECTS
from inwit.ledger.vault import (
    Owner,
    Piece,
    Shut,
    Vault,
    open_text,
    seal_text,
    sealed_text,
)
from tests.ledger.sealed import LINE, SEALED, append_for, sealed_database
from tests.ledger.test_store import RECORD

KEY = AESGCM(bytes(32))


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[Database]:
    async with sealed_database(tmp_path) as opened:
        yield opened


def bytes_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.glob("ledger.sqlite3*"))


async def rows(database: Database, table: sa.Table) -> list[Any]:
    return list(await database.read(lambda each: each.execute(sa.select(table)).all()))


async def contents(database: Database, response: str) -> dict[str, Any]:
    (story,) = await database.read(lambda each: stories(each, response))
    return story.contents


async def test_content_is_sealed_and_opens_again(database: Database, tmp_path: Path) -> None:
    await append_for(database, "ann", "resp_1")

    assert await contents(database, "resp_1") == {
        kind: json.loads(content) for kind, content in SEALED.items()
    }
    stored = bytes_in(tmp_path)
    assert all(content not in stored for content in SEALED.values())
    assert b"The moon" not in stored


async def test_the_salt_lies_inside(database: Database) -> None:
    await append_for(database, "ann", "resp_1")

    for row in await rows(database, CONTENTS):
        assert row.salt == b""
        assert len(row.nonce) == 12
        assert len(row.content) == 32 + len(SEALED[row.kind]) + 16


async def test_one_data_key_a_response_and_one_key_a_person(database: Database) -> None:
    await append_for(database, "ann", "resp_1")
    await append_for(database, "ann", "resp_2")
    await append_for(database, "bob", "resp_3")
    await append_for(database, None, "resp_4")

    subjects = {row.id for row in await rows(database, SUBJECTS)}
    owners = {row.response_id: row.subject for row in await rows(database, DATA_KEYS)}
    assert len(subjects) == 4  # three, and the key of their ids
    assert owners["resp_1"] == owners["resp_2"]
    assert len(set(owners.values())) == 3


async def test_a_tenants_people_are_not_another_tenants(database: Database) -> None:
    vault = database.vault
    assert vault is not None

    def ids(connection: sa.Connection) -> set[str]:
        asked = [("acme", "ann"), ("other", "ann"), ("acme", None), ("acmea", "nn")]
        return {vault.subject(connection, *each) for each in asked}

    assert len(await database.read(ids)) == 4


async def test_a_key_that_was_erased_is_not_used_again(database: Database) -> None:
    await append_for(database, "ann", "resp_1")
    await database.write(lambda each: each.execute(sa.delete(SUBJECTS).filter_by(tenant="acme")))
    (before,) = [row for row in await rows(database, DATA_KEYS) if row.response_id == "resp_1"]

    await append_for(database, "ann", "resp_2")

    (after,) = [row for row in await rows(database, DATA_KEYS) if row.response_id == "resp_2"]
    assert before.subject == after.subject  # the same person, by another key
    assert await contents(database, "resp_2")
    assert await contents(database, "resp_1") == {}


async def test_a_fresh_gateway_opens_what_another_sealed(tmp_path: Path) -> None:
    async with sealed_database(tmp_path) as first:
        await append_for(first, "ann", "resp_1")
    async with sealed_database(tmp_path) as second:
        assert await contents(second, "resp_1")


async def test_another_master_key_is_refused_at_the_start(tmp_path: Path) -> None:
    async with sealed_database(tmp_path) as first:
        await append_for(first, "ann", "resp_1")

    bare = Database(sqlite_url(tmp_path), needs_keys=True)
    with pytest.raises(SetupError, match=r"'k1'.*Set INWIT_CONTENT_KEY_FILE or INWIT_CONTENT_KEY"):
        await bare.open()
    for lines in (new_line(), "other:" + new_line().partition(":")[2]):
        other = Database(
            sqlite_url(tmp_path), vault=Vault(KeyLines(lines, "the test")), needs_keys=True
        )
        with pytest.raises(SetupError, match="sealed by the master key 'k1'"):
            await other.open()


async def test_without_keys_all_but_content_is_read(tmp_path: Path) -> None:
    async with sealed_database(tmp_path) as first:
        await append_for(first, "ann", "resp_1")
    bare = Database(sqlite_url(tmp_path))
    await bare.open()
    try:
        (story,) = await bare.read(lambda each: stories(each, "resp_1"))
        assert (story.contents, story.shut) == ({}, True)
        with pytest.raises(KeyMissing):
            await StoredResponses(bare).about("acme", "resp_1")
        with pytest.raises(LedgerError):  # and nothing is written in the clear beside it
            await append_for(bare, "ann", "resp_2")
    finally:
        await bare.close()


async def test_old_content_is_read_as_it_was_written(tmp_path: Path) -> None:
    old = Database(sqlite_url(tmp_path))
    await old.open()
    await append_for(old, "ann", "resp_1")
    await old.close()

    async with sealed_database(tmp_path) as database:
        await append_for(database, "ann", "resp_2")
        assert await contents(database, "resp_1") == await contents(database, "resp_2")


CHANGES: dict[str, str] = {
    "content": "UPDATE contents SET content = zeroblob(length(content)) WHERE kind = 'released'",
    "a bit less": "UPDATE contents SET content = substr(content, 1, 20) WHERE kind = 'released'",
    "a text": "UPDATE contents SET content = 'abc' WHERE kind = 'released'",
    "a nonce": "UPDATE contents SET nonce = zeroblob(12) WHERE kind = 'released'",
    "a short nonce": "UPDATE contents SET nonce = zeroblob(1) WHERE kind = 'released'",
    "a data key": "UPDATE data_keys SET wrapped = zeroblob(length(wrapped))",
    "another kind": "UPDATE contents SET (content, nonce) = (SELECT o.content, o.nonce FROM "
    "contents o WHERE o.sequence = contents.sequence AND o.kind = 'candidate') "
    "WHERE kind = 'released'",
    "another's content": "UPDATE contents SET (content, nonce) = (SELECT o.content, o.nonce FROM "
    "contents o WHERE o.kind = contents.kind AND o.sequence != contents.sequence)",
    "another's data key": "UPDATE data_keys SET wrapped = (SELECT o.wrapped FROM data_keys o "
    "WHERE o.response_id != data_keys.response_id)",
    "made plain": "UPDATE contents SET nonce = NULL",
}


@pytest.mark.parametrize("change", CHANGES)
async def test_what_was_changed_is_not_told(tmp_path: Path, change: str) -> None:
    async with sealed_database(tmp_path) as database:
        await append_for(database, "ann", "resp_1")
        await append_for(database, "ann", "resp_2")
    with sqlite3.connect(tmp_path / "ledger.sqlite3") as raw:
        assert raw.execute(CHANGES[change]).rowcount
    raw.close()
    async with sealed_database(tmp_path) as database:
        with pytest.raises(Gone, match="changed after it was written"):
            await StoredResponses(database).about("acme", "resp_1")


async def test_rows_open_for_who_verifies(database: Database) -> None:
    await append_for(database, "ann", "resp_1")
    found = await rows(database, CONTENTS)

    opened = await database.read(lambda each: open_rows(each, found))

    assert [each[1] for each in opened if each] == [SEALED[row.kind] for row in found]
    assert all(each and len(each[0]) == 32 for each in opened)


async def test_a_step_that_is_undone_leaves_no_key(database: Database) -> None:
    store = LedgerStore(database)

    def fails(transaction: Any) -> None:
        transaction.add(replace(RECORD, contents=SEALED))
        raise LedgerError("no")

    async with store.running():
        with pytest.raises(LedgerError):
            await store.write(fails)
    assert not await rows(database, DATA_KEYS)
    assert not await rows(database, CONTENTS)


def sealed_by(vault: Vault, key: AESGCM, piece: Piece) -> Any:
    """A row as `contents` has it."""
    nonce = os.urandom(12)
    content = key.encrypt(nonce, piece.salt + piece.content, piece.aad)
    return _Row(piece.sequence, piece.kind, content, nonce)


class _Row:
    def __init__(self, sequence: int, kind: str, content: bytes, nonce: bytes) -> None:
        self.sequence, self.kind, self.content, self.nonce = sequence, kind, content, nonce


PIECES = st.builds(
    Piece,
    st.just(Owner("resp_1", "acme")),
    st.integers(1, 2**40),
    st.text("abcdefghijklmnopqrstuvwxyz_0123456789", min_size=1, max_size=16),
    st.binary(min_size=32, max_size=32),
    st.binary(max_size=200),
)


@given(PIECES)
def test_what_is_sealed_opens(piece: Piece) -> None:
    vault = Vault(NoKeys())

    assert vault.open(KEY, sealed_by(vault, KEY, piece)) == (piece.salt, piece.content)


@given(PIECES, PIECES)
def test_it_opens_nowhere_else(piece: Piece, other: Piece) -> None:
    vault, row = Vault(NoKeys()), sealed_by(Vault(NoKeys()), KEY, piece)
    row.sequence, row.kind = other.sequence, other.kind

    if (other.sequence, other.kind) == (piece.sequence, piece.kind):
        assert vault.open(KEY, row) == (piece.salt, piece.content)
    else:
        with pytest.raises(Shut):
            vault.open(KEY, row)


@given(PIECES, st.integers(0), st.integers(1, 255), st.booleans())
def test_no_bit_can_be_changed(piece: Piece, at: int, bits: int, in_nonce: bool) -> None:
    vault, row = Vault(NoKeys()), sealed_by(Vault(NoKeys()), KEY, piece)
    changed = bytearray(row.nonce if in_nonce else row.content)
    changed[at % len(changed)] ^= bits
    if in_nonce:
        row.nonce = bytes(changed)
    else:
        row.content = bytes(changed)

    with pytest.raises(Shut):
        vault.open(KEY, row)


@given(PIECES, st.binary(min_size=32, max_size=32).filter(any))
def test_no_other_key_opens_it(piece: Piece, key: bytes) -> None:
    vault = Vault(NoKeys())
    with pytest.raises(Shut):
        vault.open(AESGCM(key), sealed_by(vault, KEY, piece))


@given(st.text(st.characters(codec=None), max_size=200), st.text(max_size=20), st.text(max_size=20))
def test_texts_beside_the_entries(text: str, place: str, other: str) -> None:
    both = sealed_text(seal_text(KEY, text, place.encode(errors="ignore").decode()))
    assert both is not None

    assert open_text(KEY, both, place.encode(errors="ignore").decode()) == text
    if other != place:
        with pytest.raises(Shut):
            open_text(KEY, both, other + "/")


@pytest.mark.parametrize("plain", ["", "v1", "v1.", "v1. the first one", "v1.abcd", "hello"])
def test_a_plain_text_is_taken_for_one(plain: str) -> None:
    assert sealed_text(plain) is None


def test_a_file_of_keys(tmp_path: Path) -> None:
    file = tmp_path / "content.key"
    keys = KeyFile(file, make=True)
    assert not file.exists()

    master, wrapped = keys.wrap(b"a" * 32, b"place")

    assert (file.stat().st_mode & 0o777, master) == (0o600, "k1")
    assert KeyFile(file).unwrap(master, wrapped, b"place") == b"a" * 32
    with pytest.raises(KeyMissing):
        keys.unwrap(master, wrapped, b"elsewhere")
    with pytest.raises(KeyMissing):
        keys.unwrap("k9", wrapped, b"place")
    assert [each.name for each in tmp_path.iterdir()] == ["content.key"]


def test_a_key_that_is_added_is_found_without_a_restart(tmp_path: Path) -> None:
    writer, reader = (KeyFile(tmp_path / "content.key", make=True) for _ in range(2))
    old = writer.wrap(b"a" * 32, b"")
    assert writer.add() == "k2"

    new = writer.wrap(b"b" * 32, b"")

    assert (old[0], new[0]) == ("k1", "k2")
    assert reader.unwrap(*new, b"") == b"b" * 32
    assert reader.unwrap(*old, b"") == b"a" * 32
    assert reader.active == "k2"


@pytest.mark.parametrize(
    "lines", ["", "k1", "k1:abc", "k1:" + "A" * 44, f"{LINE}\n{LINE}", f"a b:{LINE[3:]}", ":x"]
)
def test_lines_that_are_no_keys(lines: str) -> None:
    with pytest.raises(SetupError, match="the test"):
        KeyLines(lines, "the test")


def test_lines_of_an_environment_may_have_commas() -> None:
    second = "k2:" + new_line().partition(":")[2]
    assert KeyLines(f" {LINE}, {second}\n", "the test").ids == ("k1", "k2")


class Kms:
    """A provider's service, as the docstring of `KeyHolder` has it: it lends no key out."""

    active = "alias/inwit"

    def __init__(self) -> None:
        self._key = AESGCM(os.urandom(32))
        self.calls = 0

    def wrap(self, key: bytes, aad: bytes) -> tuple[str, bytes]:
        self.calls += 1
        nonce = os.urandom(12)
        return self.active, nonce + self._key.encrypt(nonce, key, aad)

    def unwrap(self, master: str, wrapped: bytes, aad: bytes) -> bytes:
        self.calls += 1
        try:
            return self._key.decrypt(wrapped[:12], wrapped[12:], aad)
        except InvalidTag as error:
            raise KeyMissing(master) from error


async def test_a_kms_is_asked_once_for_a_person(tmp_path: Path) -> None:
    kms = Kms()
    database = Database(sqlite_url(tmp_path), vault=Vault(kms))
    await database.open()
    try:
        before = kms.calls
        for number in range(5):
            await append_for(database, "ann", f"resp_{number}")
            assert await contents(database, f"resp_{number}")
        assert kms.calls - before == 1
    finally:
        await database.close()


async def test_a_batch_costs_one_question(database: Database) -> None:
    await append_for(database, "ann", "resp_1")
    vault = database.vault
    assert vault is not None
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    def seal(connection: sa.Connection) -> None:
        event.listen(connection, "before_cursor_execute", note)
        owners = [Owner(f"resp_{n}", "acme", "ann") for n in range(2, 200)]
        pieces = [Piece(each, 1, "request", bytes(32), b"x") for each in owners]
        vault.seal(connection, pieces, datetime.now(UTC))

    await database.write(seal)

    assert [each.split()[0] for each in asked] == ["SELECT", "INSERT"]
