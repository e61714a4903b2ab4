"""While somebody reads, SQLite keeps what is deleted: that is said, and it goes later."""

import asyncio
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from inwit.errors import LedgerError
from inwit.ledger import scrubbing
from inwit.ledger.database import Database, sqlite_file
from inwit.ledger.erasure import Wanted, erase
from inwit.ledger.scrubbing import Scrubbing
from inwit.ledger.store import LedgerStore
from inwit.ledger.tables import CONTENTS
from tests.ledger.forgotten import bytes_in, key_bytes, rows
from tests.ledger.sealed import append_for, sealed_database
from tests.ledger.test_store import another

ANN = Wanted("acme", end_user="ann")


@contextmanager
def reader(folder: Path) -> Generator[None]:
    """A bundle that is being written, or a verifier, in another process."""
    with closing(sqlite3.connect(sqlite_file(folder))) as other:
        other.isolation_level = None
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM entries").fetchone()
        yield


async def secrets(database: Database) -> list[bytes]:
    """Of ann: her keys, and what they open."""
    sealed = [row.content for row in await rows(database, CONTENTS)]
    return [*await key_bytes(database, "resp_1"), *sealed]


def those_in(folder: Path, wanted: list[bytes]) -> int:
    return sum(each in bytes_in(folder) for each in wanted)


async def gone(folder: Path, wanted: list[bytes]) -> None:
    async with asyncio.timeout(60):
        while those_in(folder, wanted):  # noqa: ASYNC110  # files tell nobody
            await asyncio.sleep(0.02)


async def test_a_reader_holds_it_up_and_it_goes_once_nobody_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrubbing, "_AGAIN_S", 0.02)
    async with sealed_database(tmp_path) as database:
        await append_for(database, "ann", "resp_1")
        store, wanted = LedgerStore(database), await secrets(database)
        async with store.running(), Scrubbing(database, every_s=0.02).running():
            with reader(tmp_path):
                done = await erase(database, store.write, ANN)
                await asyncio.sleep(0.2)
                assert done.scrubbed is False
                assert those_in(tmp_path, wanted)
            await store.append(another())
            await gone(tmp_path, wanted)

            assert (await rows(database, CONTENTS)) != []  # the other's


async def test_what_another_process_left_goes_too(tmp_path: Path) -> None:
    """A command that has ended, or a gateway that was killed: a gateway that starts knows nothing
    of it, and empties the file all the same.
    """
    async with sealed_database(tmp_path) as command:
        await append_for(command, "ann", "resp_1")
        wanted = await secrets(command)
        store = LedgerStore(command)
        with reader(tmp_path):
            async with store.running():
                assert (await erase(command, store.write, ANN)).scrubbed is False
        assert those_in(tmp_path, wanted)

        async with (
            sealed_database(tmp_path) as database,
            Scrubbing(database, every_s=0.02).running(),
        ):
            await gone(tmp_path, wanted)


async def test_nobody_waits_for_a_try_in_vain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A try that waited for the reader as long as a commit waits for others would take minutes."""
    monkeypatch.setattr("inwit.ledger.database._BUSY_MS", 120_000)
    monkeypatch.setattr("inwit.ledger.database._PRAGMAS", ("busy_timeout=120000",))
    async with sealed_database(tmp_path) as database:
        await append_for(database, "ann", "resp_1")
        store = LedgerStore(database)
        async with store.running():
            with reader(tmp_path):
                async with asyncio.timeout(60):
                    erasing = asyncio.create_task(erase(database, store.write, ANN))
                    while not erasing.done():
                        await store.append(another())
                    assert (await erasing).scrubbed is False


async def test_where_it_fails_what_was_erased_is_erased(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> bool:
        raise sqlite3.OperationalError("database or disk is full")

    async with sealed_database(tmp_path) as database:
        await append_for(database, "ann", "resp_1")
        store = LedgerStore(database)
        monkeypatch.setattr("inwit.ledger.database.empty_write_ahead_file", full)
        async with store.running():
            done = await erase(database, store.write, ANN)

        assert (done.found.pieces, done.scrubbed) == (3, False)


async def test_the_connection_waits_for_others_as_before(tmp_path: Path) -> None:
    async with sealed_database(tmp_path) as database:
        await append_for(database, "ann", "resp_1")
        with reader(tmp_path):
            assert await database.scrub() is False

        def wait_ms(connection: sa.Connection) -> int:
            return connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()

        assert await database.write(wait_ms) == 5_000


class Failing:
    """Fails so many times, or is busy; then it works, and says that it was asked."""

    def __init__(self, *answers: bool | Exception | None) -> None:
        self.answers = list(answers)
        self.done = asyncio.Event()
        self.asked = 0

    async def scrub(self) -> bool | None:
        self.asked += 1
        if len(self.answers) == 1:
            self.done.set()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_it_goes_on_after_whatever_fails_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrubbing, "_TOLD_AFTER_S", 0.03)
    failing = Failing(LedgerError(), ZeroDivisionError(), False, False, False, True, False)

    with capture_logs() as logs:
        async with asyncio.timeout(60), Scrubbing(failing, every_s=0.01).running():
            await failing.done.wait()

    assert [line["event"] for line in logs][:4] == [
        "scrubbing_failed",
        "scrubbing_failed",
        "write_ahead_file_kept",
        "write_ahead_file_emptied",
    ]


async def test_on_postgresql_it_asks_once_and_rests() -> None:
    asked = Failing(None)
    async with Scrubbing(asked, every_s=0.0).running():
        await asked.done.wait()
        await asyncio.sleep(0.05)

    assert asked.asked == 1
