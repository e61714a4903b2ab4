"""The same ledger on a real PostgreSQL, started here and stopped again."""

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from inwit.auth import ApiKeys
from inwit.errors import Conflict, LedgerError, SetupError
from inwit.ledger.database import Database
from inwit.ledger.responses import StoredResponses
from inwit.ledger.store import LedgerStore
from inwit.ledger.tables import IDEMPOTENCY, METADATA
from inwit.ledger.verify_database import verify_database
from inwit.types import KeyRole
from tests.ledger.test_idempotency import wanted
from tests.ledger.test_store import RECORD, another, append
from tests.process.processes import free_port

pytestmark = pytest.mark.process


def binaries() -> Path | None:
    """The folder of PostgreSQL's programs, where it is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


def as_owner(*command: str | Path) -> None:
    """PostgreSQL refuses to run as root; there it runs as the user that its package made."""
    root = os.geteuid() == 0
    owner = pwd.getpwnam("postgres").pw_uid if root else None
    subprocess.run(command, check=True, capture_output=True, user=owner, cwd="/", timeout=300)


@pytest.fixture(scope="module")
def postgres() -> Generator[tuple[str, Path]]:
    """The address of a server of its own, and its data folder."""
    programs = binaries()
    if programs is None:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL is not installed, and CI must not go without")
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    # Not in pytest's own folder: each run of pytest closes that to other users.
    with tempfile.TemporaryDirectory(prefix="inwit-postgres-") as name:
        yield from _serving(programs, Path(name))


def _serving(programs: Path, folder: Path) -> Generator[tuple[str, Path]]:
    data = folder / "data"
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    port = free_port()
    as_owner(programs / "initdb", "-D", data, "-U", "inwit", "-A", "trust", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    start = ("-l", folder / "log", "-w", "-o", options, "start")
    as_owner(programs / "pg_ctl", "-D", data, *start)
    yield f"postgresql://inwit@127.0.0.1:{port}/postgres", data
    as_owner(programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")


@pytest.fixture
async def databases(postgres: tuple[str, Path]) -> AsyncGenerator[list[Database]]:
    """Two gateways' connections to one database, opened at the same moment, empty."""
    opened = [Database(postgres[0]) for _ in range(2)]
    await asyncio.gather(*(database.open() for database in opened))
    yield opened
    await opened[0].write(METADATA.drop_all)
    await opened[0].write(lambda db: db.execute(sa.text("DROP TABLE alembic_version")))
    for database in opened:
        await database.close()


async def test_two_gateways_keep_one_chain(databases: list[Database]) -> None:
    await asyncio.gather(*(append(database, 25) for database in databases for _ in range(2)))

    found = await databases[0].read(verify_database)

    assert (found.entries, found.breaks) == (100, ())


async def test_migrations_make_exactly_the_tables(databases: list[Database]) -> None:
    def differences(connection: sa.Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), METADATA))

    assert await databases[0].read(differences) == []


async def test_keys_work_on_every_gateway(databases: list[Database]) -> None:
    one, two = (ApiKeys(database, cache_s=0) for database in databases)
    stored, key = await one.create(
        name="n", tenant="acme", policies=["default"], roles=[KeyRole.RESPOND]
    )

    principal = await two.authenticate(f"Bearer {key}", KeyRole.RESPOND)
    await one.revoke(stored.id)

    assert principal.tenant == "acme"
    assert (await two.list())[0].revoked is not None


async def test_one_gateway_answers_a_repeated_request(databases: list[Database]) -> None:
    stores = [LedgerStore(database) for database in databases]
    claims = [wanted(f"o{n}") for n in range(10)]
    contents = {"released": b'{"text":"The moon.","tool_calls":[]}'}
    async with stores[0].running(), stores[1].running():
        taken = await asyncio.gather(
            *(stores[n % 2].claim(each) for n, each in enumerate(claims)), return_exceptions=True
        )
        (owner,) = [claims[n].claim for n, each in enumerate(taken) if each is None]
        for each in claims:
            record = replace(RECORD, claim=each.claim, contents=contents)
            if each.claim == owner:
                await stores[1].append(record)
            else:
                with pytest.raises(Conflict):
                    await stores[0].append(record)
        answers = [await store.claim(wanted("late")) for store in stores]
        past = sa.update(IDEMPOTENCY).values(expires=datetime.now(UTC) - timedelta(seconds=1))
        await databases[0].write(lambda db: db.execute(past))
        new = [await stores[0].claim(wanted("new", key=name)) for name in ("a", "b")]

    assert {type(each) for each in taken} == {Conflict, type(None)}
    assert answers == ["resp_1", "resp_1"]
    assert new == [None, None]
    rows = await databases[1].read(lambda db: db.execute(sa.select(IDEMPOTENCY)).all())
    assert sorted(row.key_digest for row in rows) == ["a", "b"]
    for database in databases:
        stored = await StoredResponses(database).about("acme", "resp_1")
        assert stored is not None
        assert stored.response is not None
        assert stored.response.output.text == "The moon."
        assert stored.response.record.time == RECORD.time
        assert await StoredResponses(database).about("other", "resp_1") is None


async def test_connections_that_were_cut_meanwhile_go_unnoticed(
    databases: list[Database],
) -> None:
    await append(databases[0], 1)
    cut = (
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    )
    await databases[1].read(lambda db: db.execute(sa.text(cut)))
    await append(databases[0], 2)

    found = await databases[0].read(verify_database)
    assert (found.entries, found.breaks) == (3, ())


async def test_a_lock_that_is_held_elsewhere_ends_in_an_error_and_leaves_nothing(
    postgres: tuple[str, Path], databases: list[Database]
) -> None:
    impatient = Database(postgres[0], timeout_s=8)
    await impatient.open()
    release, held = threading.Event(), threading.Event()

    def hold(connection: sa.Connection) -> None:
        held.set()
        while not release.is_set():  # one that stood still would be thrown out
            connection.execute(sa.text("SELECT pg_sleep(0.1)"))

    holding = asyncio.create_task(databases[0].write(hold))
    await asyncio.to_thread(held.wait, 60)
    store = LedgerStore(impatient)
    async with store.running():
        failed = await asyncio.gather(
            *(store.append(another()) for _ in range(3)), return_exceptions=True
        )
        release.set()
        await holding
        receipt = await store.append(another())
    await impatient.close()

    assert all(isinstance(each, LedgerError) for each in failed)
    assert receipt.sequence == 1


@pytest.mark.parametrize("query", ["sslmode=sometimes", "channel_binding=require"])
def test_an_option_that_is_not_known_is_one_sentence(query: str) -> None:
    with pytest.raises(SetupError, match="sslmode"):
        Database(f"postgresql://u@127.0.0.1/x?{query}")


async def test_a_server_without_tls_is_refused_where_tls_is_asked_for(
    postgres: tuple[str, Path],
) -> None:
    with pytest.raises(SetupError, match="INWIT_DATABASE_URL"):
        await Database(f"{postgres[0]}?sslmode=require").open()


def between_statements(_connection: sa.Connection) -> None:
    """Nothing is under way."""


def within_a_statement(connection: sa.Connection) -> None:
    """The server has a part of what this statement needs, and waits for the rest of it."""
    driver = connection.connection.driver_connection
    assert driver is not None
    driver.send_PARSE(b"\0", "SELECT 1")
    driver._sock.flush()


@pytest.mark.parametrize("stop", [between_statements, within_a_statement])
async def test_a_gateway_that_stands_still_in_a_commit_is_thrown_out(
    postgres: tuple[str, Path],
    databases: list[Database],
    stop: Callable[[sa.Connection], None],
) -> None:
    """A paused machine, or a network that is gone: the others do not wait for it for ever."""
    still, other = (Database(postgres[0], timeout_s=8) for _ in range(2))
    await asyncio.gather(still.open(), other.open())
    release, held = threading.Event(), threading.Event()

    def hold(connection: sa.Connection) -> None:
        stop(connection)
        held.set()
        release.wait(120)
        connection.execute(sa.text("SELECT 1"))

    holding = asyncio.create_task(still.write(hold))
    await asyncio.to_thread(held.wait, 60)
    for _ in range(10):
        with suppress(LedgerError):
            await append(other, 1)
            break
    release.set()
    with pytest.raises(LedgerError):
        await holding
    await append(still, 1)

    found = await databases[0].read(verify_database)
    assert (found.entries, found.breaks) == (2, ())
    await asyncio.gather(still.close(), other.close())
