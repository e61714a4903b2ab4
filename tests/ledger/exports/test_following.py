"""An export that goes on: parts of a sensible size, and nothing left at its end."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from inwit.ledger.database import Database
from inwit.ledger.exports.exporter import Exporter, Wanted
from inwit.ledger.exports.following import Pace, follow
from inwit.ledger.exports.forms import Form
from inwit.ledger.exports.places import Folder, PlaceError
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
