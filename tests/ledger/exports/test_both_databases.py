"""Both databases give the same entries, by place and by time."""

from datetime import timedelta
from pathlib import Path

from inwit.ledger.database import Database
from inwit.ledger.exports.leaves import Selection
from tests.ledger.both_databases import database as database
from tests.ledger.both_databases import postgres as postgres
from tests.ledger.exports.ledgers import RECORD, append, bodies, export, lines, of

NOON = RECORD.time


async def test_places_and_times(database: Database, tmp_path: Path) -> None:
    hours = [of(hour, time=NOON + timedelta(hours=hour)) for hour in range(5)]
    await append(database, [*hours, of(9, "globex", time=NOON + timedelta(hours=2))])

    await export(database, tmp_path / "all", rows=4)
    some = Selection(NOON + timedelta(hours=1), NOON + timedelta(hours=3))
    await export(database, tmp_path / "some", selection=some, rows=2)
    await export(database, tmp_path / "acme", selection=Selection(tenants=frozenset({"globex"})))

    told = lines(tmp_path / "all")
    assert [each["sequence"] for each in told] == [1, 2, 3, 4, 5, 6]
    assert len(await bodies(database)) == 6
    assert all("entry" in each for each in told)
    assert [each["sequence"] for each in lines(tmp_path / "some")] == [2, 3, 6]
    assert [each["sequence"] for each in lines(tmp_path / "acme")] == [6]
