"""A place that tells of entries which the ledger does not have, or did not have a moment ago."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
import sqlalchemy as sa

from inwit.errors import SetupError
from inwit.ledger.database import Database
from inwit.ledger.exports.exporter import Exporter, Wanted
from inwit.ledger.exports.forms import Form
from inwit.ledger.exports.leaves import Selection
from inwit.ledger.exports.places import Folder
from inwit.ledger.exports.progress import Progress
from tests.ledger.exports.ledgers import RECORD, export, grow, lines

T = TypeVar("T")


class Meanwhile:
    """A database in which something happens right after a reading, before it is made use of."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.then: Callable[[], Awaitable[None]] | None = None

    async def read(self, work: Callable[[sa.Connection], T]) -> T:
        found = await self._database.read(work)
        then, self.then = self.then, None
        if then is not None:
            await then()
        return found


async def test_a_batch_of_an_exporter_that_has_seen_more_is_gone_on_with(
    database: Database, tmp_path: Path
) -> None:
    await grow(database, 3)
    seeing = Meanwhile(database)
    exporter = Exporter(seeing, Folder(tmp_path), Wanted(Form.JSONL))
    await exporter.open()

    async def another() -> None:
        await grow(database, 2)
        Progress(Folder(tmp_path), "jsonl").claim(1, 5)

    seeing.then = another
    assert await exporter.step()

    assert [each["sequence"] for each in lines(tmp_path)] == [1, 2, 3, 4, 5]
    assert not await exporter.step()


@pytest.mark.parametrize("seen", ["claim", "part"])
async def test_a_ledger_that_ends_before_what_was_seen_of_it_is_refused(
    database: Database, tmp_path: Path, seen: str
) -> None:
    """As one is that ends before what the notes say is done; when it has caught up, it goes on."""
    await grow(database, 5)
    await export(database, tmp_path, rows=2)
    if seen == "claim":
        Progress(Folder(tmp_path), "jsonl").claim(6, 9)
    else:
        (tmp_path / "inwit-export-jsonl.json").unlink()
        (tmp_path / "jsonl" / "part-000000000006-000000000009.jsonl").write_bytes(b"")

    with pytest.raises(SetupError, match="up to 9, and the ledger ends at 5"):
        await export(database, tmp_path)
    await grow(database, 1)
    with pytest.raises(SetupError, match="up to 9, and the ledger ends at 6"):
        await export(database, tmp_path)
    await grow(database, 3)
    await export(database, tmp_path)

    assert [each["sequence"] for each in lines(tmp_path)] == list(range(1, 10))


async def test_an_export_of_a_time_finishes_a_batch_that_goes_beyond_its_own_end(
    database: Database, tmp_path: Path
) -> None:
    """Two that begin at once may have seen different ends: a batch is of both as it was claimed."""
    wanted = Wanted(Form.JSONL, Selection(since=RECORD.time))
    await grow(database, 3)
    exporter = Exporter(database, Folder(tmp_path), wanted)
    await exporter.open()
    await grow(database, 2)
    Progress(Folder(tmp_path), "jsonl").claim(1, 5)

    assert await exporter.step()

    assert [each["sequence"] for each in lines(tmp_path)] == [1, 2, 3, 4, 5]
    assert not await exporter.step()
