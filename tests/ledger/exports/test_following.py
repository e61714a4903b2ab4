"""An export that goes on: parts of a sensible size, and nothing left at its end."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from inwit.errors import SetupError
from inwit.ledger.database import Database
from inwit.ledger.exports.exporter import Exporter, Wanted
from inwit.ledger.exports.following import Pace, export_all, follow
from inwit.ledger.exports.forms import Form
from inwit.ledger.exports.places import Folder, PlaceError
from inwit.ledger.tables import CONTENTS, ENTRIES
from tests.ledger.exports.ledgers import grow, lines


class Watched(Folder):
    """A folder that says when a part has come, and that fails as often as it is told to."""

    def __init__(self, folder: Path, failures: int = 0) -> None:
        super().__init__(folder)
        self.came = asyncio.Event()
        self.failures = failures

    def put_file(self, name: str, file: Path) -> None:
        if "/part-" in name and self.failures:
            self.failures -= 1
            raise PlaceError("No.")
        super().put_file(name, file)
        if "/part-" in name:
            self.came.set()

    async def next(self) -> None:
        async with asyncio.timeout(60):
            await self.came.wait()
        self.came.clear()


async def exporter(database: Database, place: Folder, rows: int) -> Exporter:
    made = Exporter(database, place, Wanted(Form.JSONL, rows=rows))
    await made.open()
    return made


def parts(folder: Path) -> list[tuple[int, int]]:
    names = sorted(each.stem for each in (folder / "jsonl").glob("part-*"))
    return [(int(name[5:17]), int(name[18:])) for name in names]


async def test_full_parts_at_once_and_the_rest_at_the_end(
    database: Database, tmp_path: Path
) -> None:
    place, stop = Watched(tmp_path / "out"), asyncio.Event()
    made = await exporter(database, place, 4)
    await grow(database, 9)
    task = asyncio.create_task(follow([made], Pace(4, 0.01, 3600), stop))

    await place.next()
    await grow(database, 3)
    while made.done < 12:
        await place.next()
    await grow(database, 2)
    stop.set()
    await task

    assert parts(tmp_path / "out") == [(1, 4), (5, 8), (9, 12), (13, 14)]
    assert [each["sequence"] for each in lines(tmp_path / "out")] == list(range(1, 15))


async def test_what_has_waited_long_enough_goes(database: Database, tmp_path: Path) -> None:
    place, stop = Watched(tmp_path / "out"), asyncio.Event()
    made = await exporter(database, place, 50_000)
    task = asyncio.create_task(follow([made], Pace(50_000, 0.01, 0.02), stop))

    await grow(database, 2)
    await place.next()
    await grow(database, 1)
    await place.next()
    stop.set()
    await task

    assert [each["sequence"] for each in lines(tmp_path / "out")] == [1, 2, 3]


async def test_a_place_that_fails_is_tried_again(database: Database, tmp_path: Path) -> None:
    place, stop = Watched(tmp_path / "out", failures=3), asyncio.Event()
    made = await exporter(database, place, 2)
    await grow(database, 2)
    task = asyncio.create_task(follow([made], Pace(2, 0.01, 3600), stop))

    await place.next()
    stop.set()
    await task

    assert parts(tmp_path / "out") == [(1, 2)]


class Full(Watched):
    """A folder of a disk that is full as often as it is told to be."""

    @contextmanager
    def scratch(self) -> Generator[Path]:
        with super().scratch() as scratch:
            if self.failures:
                self.failures -= 1
                (scratch / "lines").symlink_to("/dev/full")
            yield scratch


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk that is always full")
async def test_a_disk_that_is_full_is_tried_again(database: Database, tmp_path: Path) -> None:
    place, stop = Full(tmp_path / "out"), asyncio.Event()
    made = await exporter(database, place, 2)
    place.failures = 9
    await grow(database, 2)
    task = asyncio.create_task(follow([made], Pace(2, 0.01, 3600), stop))

    await place.next()
    stop.set()
    await task

    assert place.failures == 0
    assert [each["sequence"] for each in lines(tmp_path / "out")] == [1, 2]


async def restore(database: Database, last: int, more: int) -> None:
    """Set the ledger back to `last` entries; so many others have come since."""
    for table in (CONTENTS, ENTRIES):
        gone = sa.delete(table).where(table.c.sequence > last)
        await database.write(lambda each, gone=gone: each.execute(gone))
    await grow(database, more, "globex")


RESTORED = pytest.mark.parametrize(
    ("more", "problem"),
    [(0, "up to 10, and the ledger ends at 5"), (4, "ends at 9"), (5, "entry 10 is not")],
)


@RESTORED
@pytest.mark.parametrize("stopped", [True, False])
async def test_a_restored_ledger_ends_it_also_where_there_is_nothing_to_do(
    database: Database, tmp_path: Path, more: int, problem: str, stopped: bool
) -> None:
    stop = asyncio.Event()
    made = await exporter(database, Folder(tmp_path / "out"), 50_000)
    await grow(database, 10)
    await export_all(made)
    await restore(database, 5, more)

    if stopped:
        stop.set()
    with pytest.raises(SetupError, match=problem):
        async with asyncio.timeout(60):
            await follow([made], Pace(50_000, 0.01, 3600), stop)

    assert parts(tmp_path / "out") == [(1, 10)]


@RESTORED
async def test_a_step_with_nothing_to_do_finds_a_restored_ledger(
    database: Database, tmp_path: Path, more: int, problem: str
) -> None:
    made = await exporter(database, Folder(tmp_path / "out"), 50_000)
    await grow(database, 10)
    await export_all(made)
    await restore(database, 5, more)

    with pytest.raises(SetupError, match=problem):
        await made.step()


class Counting:
    """A database that counts how often it is read."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.readings = 0

    async def read(self, work: Any) -> Any:
        self.readings += 1
        return await self._database.read(work)


async def test_a_step_with_nothing_to_do_is_one_reading(database: Database, tmp_path: Path) -> None:
    await grow(database, 10)
    counting = Counting(database)
    made = Exporter(counting, Folder(tmp_path / "out"), Wanted(Form.JSONL))
    await made.open()
    await export_all(made)
    counting.readings = 0

    assert not await made.step()

    assert counting.readings == 1
