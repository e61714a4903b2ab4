"""The texts of policies in the ledger, and the migration that made room for them."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

import inwit.ledger
from inwit.auth import ApiKeys
from inwit.errors import InwitError, LedgerError
from inwit.ledger.database import Database, sqlite_url
from inwit.ledger.policies import keep, read
from inwit.ledger.tables import POLICIES
from inwit.types import KeyRole, PolicyRef
from tests.ledger.test_postgres import postgres as postgres  # a fixture


def kept(text: bytes, name: str = "default", version: str = "1") -> tuple[PolicyRef, bytes]:
    return PolicyRef(name, version, hashlib.sha256(text).hexdigest()), text


ONE, TWO = kept(b"name: one\r\n\xc3\xa9"), kept(b"name: two\n", "two")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.process)])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[str]:
    """The address of an empty database."""
    if request.param == "sqlite":
        yield sqlite_url(tmp_path)
        return
    address: str = request.getfixturevalue("postgres")[0]
    yield address
    database = Database(address)
    await database.write(_drop_everything)
    await database.close()


@pytest.fixture
async def databases(url: str) -> AsyncGenerator[list[Database]]:
    """The connections of three gateways that start at the same moment."""
    opened = [Database(url) for _ in range(3)]
    await asyncio.gather(*(database.open() for database in opened))
    yield opened
    for database in opened:
        await database.close()


async def test_a_policy_is_read_back_as_the_very_bytes_it_was(databases: list[Database]) -> None:
    before = datetime.now(UTC)
    await keep(databases[0], [ONE, TWO])

    found = await read(databases[1], ONE[0].digest)

    assert found is not None
    assert (found.ref, found.text) == ONE
    assert before <= _aware(found.first_in_force) <= datetime.now(UTC)
    assert await read(databases[1], "0" * 64) is None


async def test_gateways_that_keep_the_same_at_once_all_succeed(databases: list[Database]) -> None:
    many = [kept(b"name: %d\n" % number) for number in range(20)]

    await asyncio.gather(
        *(
            keep(database, each)
            for database in databases
            for each in (many, many[::-1], many[5:], [ONE])
        )
    )

    count = sa.select(sa.func.count()).select_from(POLICIES)
    assert await databases[0].read(lambda db: db.execute(count).scalar()) == 21


async def test_what_is_kept_already_stays_as_it_is(databases: list[Database]) -> None:
    await keep(databases[0], [ONE])
    first = await read(databases[0], ONE[0].digest)

    await keep(databases[0], [ONE, TWO])
    await keep(databases[0], [])

    assert await read(databases[0], ONE[0].digest) == first


async def test_a_text_that_is_not_its_digests_is_refused_with_all_that_came_with_it(
    databases: list[Database],
) -> None:
    with pytest.raises(InwitError, match="digest"):
        await keep(databases[0], [TWO, (ONE[0], b"another text")])

    assert await read(databases[0], TWO[0].digest) is None


async def test_a_text_that_was_changed_in_the_ledger_is_not_passed_off(
    databases: list[Database],
) -> None:
    await keep(databases[0], [ONE])
    await databases[0].write(lambda db: db.execute(sa.update(POLICIES).values(text=b"name: me")))

    with pytest.raises(LedgerError, match="not the one with that digest"):
        await read(databases[0], ONE[0].digest)


async def test_a_ledger_that_fails_keeps_nothing_and_says_so(databases: list[Database]) -> None:
    await databases[0].write(lambda db: db.execute(sa.text("DROP TABLE policies")))

    with pytest.raises(LedgerError):
        await keep(databases[0], [ONE])


async def test_keys_from_before_go_on_with_the_policy_they_had(url: str) -> None:
    database = Database(url)
    await database.write(lambda db: command.upgrade(_alembic(db), "0001"))
    await database.write(_insert_old_key)

    await database.open()
    keys = ApiKeys(database, cache_s=0)
    (key,) = await keys.list()
    principal = await keys.authenticate("Bearer inwit_k1_secret", KeyRole.RESPOND)
    long = tuple(f"policy-{number}-{'x' * 50}" for number in range(20))
    stored, _ = await keys.create(name="n", tenant="t", policies=long, roles=[KeyRole.RESPOND])
    await database.close()

    assert (key.id, key.tenant, key.policies) == ("k1", "acme", ("support",))
    assert principal.default_policy == "support"
    assert stored.policies == long


async def test_the_migration_can_be_undone(url: str) -> None:
    database = Database(url)
    await database.open()
    keys = ApiKeys(database, cache_s=0)
    await keys.create(name="n", tenant="t", policies=["support", "default"], roles=[])
    await keep(database, [ONE])

    await database.write(lambda db: command.downgrade(_alembic(db), "0001"))
    found = await database.read(lambda db: db.execute(sa.text("SELECT policy FROM api_keys")).all())
    await database.close()

    assert [tuple(row) for row in found] == [("support",)]


def _alembic(connection: sa.Connection) -> Config:
    config = Config()
    migrations = Path(str(inwit.ledger.__file__)).parent / "migrations"
    config.set_main_option("script_location", str(migrations))
    config.attributes["connection"] = connection
    return config


def _insert_old_key(connection: sa.Connection) -> None:
    connection.execute(
        sa.text(
            "INSERT INTO api_keys (id, secret_hash, name, tenant, policy, roles, created) "
            "VALUES ('k1', :hash, 'old', 'acme', 'support', 'respond', :now)"
        ),
        {"hash": hashlib.sha256(b"secret").digest(), "now": datetime(2026, 1, 1, tzinfo=UTC)},
    )


def _drop_everything(connection: sa.Connection) -> None:
    found = sa.MetaData()
    found.reflect(connection)
    found.drop_all(connection)


def _aware(moment: datetime) -> datetime:
    """SQLite gives times back in UTC and does not say so."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
