"""Each entry is exported exactly once, whatever ends a run, and whoever else runs."""

import asyncio
import json
import os
import random
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from inwit.errors import SetupError
from inwit.ledger.database import Database, sqlite_url
from inwit.ledger.exports.exporter import Exporter, Wanted
from inwit.ledger.exports.forms import Form
from inwit.ledger.exports.leaves import Selection
from inwit.ledger.exports.places import Folder, PlaceError
from inwit.ledger.tables import CONTENTS, ENTRIES
from tests.ledger.exports.ledgers import (
    GROUNDS,
    Crash,
    Crashing,
    change,
    export,
    grow,
    lines,
    parquet_rows,
    tiles,
)

STATE = "inwit-export-jsonl.json"
SEEDS = int(os.environ.get("EXPORT_SEEDS", "3"))


class Failing(Folder):
    """A folder in which no part comes to its name."""

    def put_file(self, name: str, file: Path) -> None:
        if "/part-" in name:
            raise PlaceError("No.")
        super().put_file(name, file)


def sequences(folder: Path) -> list[int]:
    return [line["sequence"] for line in lines(folder)]


async def test_a_run_goes_on_where_the_last_one_ended(database: Database, tmp_path: Path) -> None:
    await grow(database, 5)
    await export(database, tmp_path / "out", rows=2)
    await grow(database, 4)
    again = await export(database, tmp_path / "out", rows=3)
    nothing = await export(database, tmp_path / "out")

    assert sequences(tmp_path / "out") == list(range(1, 10))
    names = sorted(each.name for each in (tmp_path / "out" / "jsonl").iterdir())
    assert names == [
        "part-000000000001-000000000002.jsonl",
        "part-000000000003-000000000004.jsonl",
        "part-000000000005-000000000005.jsonl",
        "part-000000000006-000000000008.jsonl",
        "part-000000000009-000000000009.jsonl",
    ]
    assert (again.told.rows, nothing.told.rows) == (4, 0)


@pytest.mark.parametrize("lost", [STATE, "claims", "both"])
async def test_what_is_there_is_found_without_the_state(
    database: Database, tmp_path: Path, lost: str
) -> None:
    await grow(database, 7)
    await export(database, tmp_path, rows=3)
    if lost in (STATE, "both"):
        (tmp_path / STATE).unlink()
    if lost in ("claims", "both"):
        for claim in (tmp_path / "inwit-export-jsonl").iterdir():
            claim.unlink()
    await grow(database, 3)

    await export(database, tmp_path, rows=50)

    assert sequences(tmp_path) == list(range(1, 11))


async def test_a_part_that_was_taken_away_is_written_again_without_the_state(
    database: Database, tmp_path: Path
) -> None:
    await grow(database, 9)
    await export(database, tmp_path, rows=3)
    (tmp_path / "jsonl" / "part-000000000004-000000000006.jsonl").unlink()
    (tmp_path / STATE).unlink()
    for claim in (tmp_path / "inwit-export-jsonl").iterdir():
        claim.unlink()

    await export(database, tmp_path, rows=50)

    assert sequences(tmp_path) == list(range(1, 10))


@pytest.mark.parametrize("lost", [None, STATE])
async def test_parts_that_are_taken_elsewhere_are_not_written_again(
    database: Database, tmp_path: Path, lost: str | None
) -> None:
    await grow(database, 4)
    await export(database, tmp_path, rows=2)
    for part in (tmp_path / "jsonl").iterdir():
        part.unlink()
    if lost:
        (tmp_path / lost).unlink()
    await grow(database, 1)

    for _ in range(2):
        await export(database, tmp_path, rows=2)

    assert sequences(tmp_path) == [5]


async def test_a_claim_that_was_not_finished_is_written(database: Database, tmp_path: Path) -> None:
    await grow(database, 4)
    exporter = Exporter(database, Failing(tmp_path), Wanted(Form.JSONL))
    await exporter.open()
    with pytest.raises(PlaceError):
        await exporter.step()
    await grow(database, 1)

    await export(database, tmp_path)

    assert sequences(tmp_path) == [1, 2, 3, 4, 5]
    assert tiles(tmp_path, Form.JSONL, 5)


async def test_a_part_is_a_shippers_when_its_claim_lists_it(
    database: Database, tmp_path: Path
) -> None:
    """One that is taken away between its coming and that, and the process ends there, comes again.

    docs/exports.md tells shippers so.
    """
    await grow(database, 2)
    out, writes = tmp_path / "jsonl", iter(range(9))
    dying = Crashing(Folder(tmp_path), lambda: out.exists() and next(writes) == 0)
    with pytest.raises(Crash):
        await export(database, dying)
    (part,) = out.iterdir()
    taken, claim = part.read_bytes(), tmp_path / "inwit-export-jsonl" / "000000000001.json"
    part.unlink()
    assert "files" not in json.loads(claim.read_bytes())

    await export(database, tmp_path)
    assert part.read_bytes() == taken
    assert json.loads(claim.read_bytes())["files"] == [f"jsonl/{part.name}"]
    part.unlink()
    await export(database, tmp_path)
    assert not part.exists()


@pytest.mark.parametrize("form", list(Form))
async def test_exactly_once_under_crashes(database: Database, tmp_path: Path, form: Form) -> None:
    """Two exporters at once, each dying anywhere, with states lost between them."""
    for seed in range(SEEDS):
        draw = random.Random(seed)  # noqa: S311  # to be drawn again
        folder = tmp_path / str(seed)
        place = Crashing(Folder(folder), lambda draw=draw: draw.random() < 0.08)
        for _ in range(12):
            await grow(database, draw.randrange(2), draw.choice(["acme", "Acme", "a/../b"]))
            try:
                await two_at_once(database, place, form, draw)
            except Crash:
                if draw.random() < 0.2:
                    (folder / f"inwit-export-{form.value}.json").unlink(missing_ok=True)

        await export(database, folder, form)
        last = json.loads((folder / f"inwit-export-{form.value}.json").read_bytes())["done"]
        if form is Form.PARQUET:
            assert [row["sequence"] for row in parquet_rows(folder)] == list(range(1, last + 1)), (
                seed
            )
        elif form is not Form.DSA:
            assert tiles(folder, form, last), seed
        if form is Form.JSONL:
            assert sequences(folder) == list(range(1, last + 1)), seed
        assert not list(folder.glob(".inwit-*"))


async def two_at_once(database: Database, place: Crashing, form: Form, draw: random.Random) -> None:
    pair = [
        Exporter(database, place, Wanted(form, Selection(), GROUNDS, draw.randrange(2, 9)))
        for _ in range(2)
    ]
    for each in pair:
        await each.open()
    went_on: list[bool | BaseException] = [True]
    while any(went_on):
        went_on = await asyncio.gather(*(each.step() for each in pair), return_exceptions=True)
        if failed := [each for each in went_on if isinstance(each, BaseException)]:
            raise failed[0]


async def test_another_export_is_not_mixed_in(database: Database, tmp_path: Path) -> None:
    await grow(database, 3)
    await export(database, tmp_path, rows=2)

    with pytest.raises(SetupError, match="other times or tenants"):
        await export(database, tmp_path, selection=Selection(tenants=frozenset({"acme"})))
    stray = tmp_path / "jsonl" / "part-000000000002-000000000009.jsonl"
    stray.write_text("")
    with pytest.raises(SetupError, match="both have the entry 2"):
        await export(database, tmp_path)
    stray.unlink()
    (tmp_path / "jsonl" / "part-000000000003-000000000003.jsonl").rename(
        tmp_path / "jsonl" / "part-000000000003-000000000004.jsonl"
    )
    with pytest.raises(SetupError, match="A part goes beyond"):
        await export(database, tmp_path)
    (tmp_path / STATE).write_text("{}")
    with pytest.raises(SetupError, match="not what an export wrote"):
        await export(database, tmp_path)


async def test_another_ledger_is_not_mixed_in(database: Database, tmp_path: Path) -> None:
    await grow(database, 3)
    await export(database, tmp_path)
    await change(database, 1, hash=bytes(32))

    with pytest.raises(SetupError, match="another ledger"):
        await export(database, tmp_path)


@asynccontextmanager
async def ledger_in(folder: Path) -> AsyncGenerator[Database]:
    database = Database(sqlite_url(folder))
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def backup(tmp_path: Path) -> Path:
    """A copy of a ledger of three entries; six were exported of the one that it was copied from."""
    (tmp_path / "var").mkdir()
    async with ledger_in(tmp_path / "var") as database:
        await grow(database, 3)
    shutil.copytree(tmp_path / "var", tmp_path / "backup")
    async with ledger_in(tmp_path / "var") as database:
        await grow(database, 3)
        await export(database, tmp_path / "out", rows=2)
    return tmp_path / "backup"


def only_acme(out: Path) -> bool:
    return {line["entry"]["tenant"] for line in lines(out)} == {"acme"} and tiles(
        out, Form.JSONL, 6
    )


@pytest.mark.parametrize(
    ("more", "problem"),
    [(0, "up to 6, and the ledger ends at 3"), (3, "entry 6 is not"), (9, "entry 6 is not")],
)
async def test_a_ledger_that_was_restored_is_not_mixed_in(
    backup: Path, tmp_path: Path, more: int, problem: str
) -> None:
    async with ledger_in(backup) as database:
        await grow(database, more, "globex")
        with pytest.raises(SetupError, match=problem):
            await export(database, tmp_path / "out")
    assert only_acme(tmp_path / "out")


async def test_a_ledger_that_was_restored_is_known_by_the_claims(
    backup: Path, tmp_path: Path
) -> None:
    (tmp_path / "out" / STATE).unlink()
    async with ledger_in(backup) as database:
        await grow(database, 9, "globex")
        with pytest.raises(SetupError, match="entry 4 is not"):
            await export(database, tmp_path / "out")
    assert only_acme(tmp_path / "out")


async def test_a_ledger_that_is_replaced_meanwhile_ends_the_export(
    database: Database, tmp_path: Path
) -> None:
    await grow(database, 3)
    exporter = await export(database, tmp_path)
    await change(database, 3, hash=bytes(32))
    await grow(database, 1)

    with pytest.raises(SetupError, match="entry 3 is not"):
        await exporter.step()


async def test_notes_of_before_go_on_working(database: Database, tmp_path: Path) -> None:
    await grow(database, 4)
    await export(database, tmp_path, rows=2)
    for notes in (tmp_path / STATE, *(tmp_path / "inwit-export-jsonl").iterdir()):
        told = json.loads(notes.read_bytes())
        del told["leaf"]
        notes.write_text(json.dumps(told))
    await change(database, 4, hash=bytes(32))
    await grow(database, 1)

    await export(database, tmp_path, rows=2)

    assert sequences(tmp_path) == [1, 2, 3, 4, 5]


async def test_what_was_changed_stops_nothing_and_is_told(
    database: Database, tmp_path: Path
) -> None:
    await grow(database, 6)
    await change(database, 2, body=b"")
    await change(database, 3, body=b'{"type":"decision"}')
    torn = sa.text("UPDATE entries SET body = 'no bytes at all' WHERE sequence = 5")
    await database.write(lambda each: each.execute(torn))
    for table in (CONTENTS, ENTRIES):
        gone = sa.delete(table).filter_by(sequence=4)
        await database.write(lambda each, gone=gone: each.execute(gone))
    await grow(database, 1)

    told = (await export(database, tmp_path)).told
    await export(database, tmp_path, Form.OTEL)

    found = lines(tmp_path)
    assert [each["sequence"] for each in found] == list(range(1, 8))
    assert found[1].keys() == {"sequence", "leaf_index", "leaf_hash", "pruned"}
    assert found[2].keys() == {"sequence", "leaf_index", "leaf_hash", "changed"}
    assert found[3] == {"sequence": 4, "leaf_index": 3, "missing": True}
    assert (told.rows, told.pruned, told.changed, told.missing) == (7, 1, 2, 1)
    assert told.some == [3, 4, 5]
    assert len(lines(tmp_path, Form.OTEL)) == 3
