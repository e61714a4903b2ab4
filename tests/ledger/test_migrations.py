"""A ledger of schema 4 with rows in all its tables goes up, down and up again, and loses nothing.

`schema_4.json` was written by the code of the last commit before schema 5 (cf1b0cf): responses that
were released, a stream that was cut, cases that were ruled, edited, expired and are open. Content
stands in the clear there.
"""

import base64
import json
from collections.abc import Generator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from inwit.decisions import AcceptedRecord, Asked
from inwit.ledger import read, schema, verify
from inwit.ledger.database import Database, sqlite_url
from inwit.ledger.notes import new_key
from inwit.ledger.opened import open_rows
from inwit.ledger.responses import StoredResponses
from inwit.ledger.sequencer import Sequencer
from inwit.ledger.store import LedgerStore
from inwit.ledger.tables import CONTENTS, METADATA
from inwit.ledger.verify_database import Verification, verify_database
from tests.ledger.both_databases import drop_everything
from tests.ledger.sealed import fixed_vault
from tests.ledger.test_postgres import postgres as postgres
from tests.ledger.test_store import ORIGIN, RECORD

MIGRATIONS = Path(schema.__file__).parent / "migrations"
DUMP: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parent / "schema_4.json").read_text()
)
RESPONSES = 9  # that have a decision or a cut there


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.process)])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[str]:
    """A database of schema 4, as a gateway of then left it."""
    sqlite = request.param == "sqlite"
    url = sqlite_url(tmp_path) if sqlite else request.getfixturevalue("postgres")[0]
    migrate(url, "0004")
    engine = engine_of(url)
    with engine.begin() as connection:
        for table in METADATA.sorted_tables:
            if DUMP.get(table.name):
                connection.execute(sa.insert(table), [loaded(row) for row in DUMP[table.name]])
    yield url
    if not sqlite:
        with engine.begin() as connection:
            drop_everything(connection)


def engine_of(url: str) -> sa.Engine:
    driver = url.replace("postgresql://", "postgresql+pg8000://")
    return sa.create_engine(driver, poolclass=sa.NullPool)


def migrate(url: str, revision: str) -> None:
    """Up or down to it."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine_of(url).begin() as connection:
        config.attributes["connection"] = connection
        tables = sa.inspect(connection).get_table_names()
        down = "checkpoints" in tables and revision == "0004"
        (command.downgrade if down else command.upgrade)(config, revision)


def loaded(row: dict[str, Any]) -> dict[str, Any]:
    """A row as it was before it was JSON."""

    def value(told: Any) -> Any:
        match told:
            case {"bytes": str(text)}:
                return base64.b64decode(text)
            case {"time": str(text)}:
                return datetime.fromisoformat(text).replace(tzinfo=UTC)
            case _:
                return told

    return {name: value(told) for name, told in row.items()}


def rows_of(url: str) -> dict[str, list[dict[str, Any]]]:
    """All that a gateway of schema 4 finds, in the order of the keys."""
    found: dict[str, list[dict[str, Any]]] = {}
    with engine_of(url).connect() as connection:
        for name, rows in DUMP.items():
            table = METADATA.tables[name]
            query = sa.select(*(table.c[each] for each in rows[0])).order_by(*table.primary_key)
            found[name] = [timed(dict(row)) for row in connection.execute(query).mappings()]
    return found


def timed(row: dict[str, Any]) -> dict[str, Any]:
    """SQLite does not say that its times are in UTC."""
    moments = {name: each for name, each in row.items() if isinstance(each, datetime)}
    return row | {name: each.replace(tzinfo=UTC) for name, each in moments.items()}


def kept_rows() -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for name, rows in DUMP.items():
        keys = [column.name for column in METADATA.tables[name].primary_key]
        made = [loaded(row) for row in rows]
        found[name] = sorted(made, key=lambda row, keys=keys: [row[each] for each in keys])
    return found


def verified(connection: sa.Connection) -> Verification:
    return verify_database(connection, open_rows=open_rows)


async def test_what_was_written_before_stays_whole_and_readable(address: str) -> None:
    database = Database(address, vault=fixed_vault())

    found = await database.open()
    looked = await database.read(verified)
    released = await StoredResponses(database).about("acme", "resp_2")
    (story,) = await database.read(lambda db: read.stories(db, "resp_2"))

    assert (found.found, found.older) == ("0004", True)
    assert (looked.entries, looked.breaks, looked.gaps) == (len(DUMP["entries"]), (), ())
    assert looked.opened == len(DUMP["contents"])
    assert f"Before schema 5: {RESPONSES} responses" in "\n".join(verify.words(looked.result))
    assert looked.result.log.open == {}
    assert released is not None
    assert released.response is not None
    assert released.response.output.text == "The moon."
    assert story.contents["candidate"] == {"text": "The moon."}
    assert rows_of(address) == kept_rows()
    await database.close()


async def test_down_and_up_again(address: str, tmp_path: Path) -> None:
    """What was sealed meanwhile is lost with its keys; no entry is, and no checkpoint is broken."""
    database, key = Database(address, vault=fixed_vault()), new_key("log.example")
    await database.open()
    store = LedgerStore(database)
    async with store.running():
        origin = replace(ORIGIN, response_id="resp_new")
        await store.append(AcceptedRecord(origin, RECORD.time, Asked.RESPONSE))
        await store.append(replace(RECORD, origin=origin))
    signed = await Sequencer(database, [key], 60).work()
    assert signed is not None
    sealed = await database.read(lambda db: db.execute(sa.select(CONTENTS.c.nonce)).scalars().all())
    assert sum(nonce is not None for nonce in sealed) == len(RECORD.contents)
    await database.close()

    migrate(address, "0004")
    down = rows_of(address)
    entries = down.pop("entries")
    assert down == {name: rows for name, rows in kept_rows().items() if name != "entries"}
    assert len(entries) == signed.size
    again = Database(address, vault=fixed_vault())
    await again.open()
    newest = await Sequencer(again, [key], 60).work()
    notes = [verify.note_of(signed.note)]
    looked = await again.read(
        lambda db: verify_database(db, verify.keys_of([key.vkey]), notes, open_rows)
    )
    await again.close()

    assert newest is not None
    assert newest.size == signed.size
    assert (looked.breaks, looked.gaps, looked.sealed) == ((), (), 0)
    assert looked.opened == len(DUMP["contents"])
    assert looked.result.log.outcomes["released"] == 3  # the new one, and two that were ruled on
