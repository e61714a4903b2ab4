"""Ledgers to be exported, and places that fail."""

import json
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from inwit.decisions import Record
from inwit.ledger.chain import leaf_hash
from inwit.ledger.database import Database
from inwit.ledger.exports.exporter import ROWS, Exporter, Wanted
from inwit.ledger.exports.forms import Form
from inwit.ledger.exports.leaves import Selection
from inwit.ledger.exports.places import Folder, Place
from inwit.ledger.exports.statements import Grounds
from inwit.ledger.tables import ENTRIES
from inwit.ledger.transaction import Transaction
from tests.ledger import test_store as store

VERDICT = replace(store.VERDICT, raw_risk=0.2, calibrated=True, calibration="ca" * 32)
ORIGIN = store.ORIGIN
DECISION = replace(store.DECISION, verdicts=(VERDICT,))
RECORD = replace(
    store.RECORD,
    time=datetime(2026, 11, 23, 12, tzinfo=UTC),
    decision=DECISION,
    rounds=(replace(store.RECORD.rounds[0], decision=DECISION),),
)
GROUNDS = Grounds("incompatible", "Terms, section 4", "Our terms forbid it.", ("DE", "FR"))


def of(number: int, tenant: str = "acme", **more: Any) -> Record:
    """A decision of a response of its own."""
    principal = replace(ORIGIN.principal, tenant=tenant)
    origin = replace(ORIGIN, response_id=f"resp_{number}", principal=principal)
    return replace(RECORD, origin=origin, **more)


async def append(database: Database, records: Sequence[Any]) -> None:
    """Write entries in one commit."""

    def steps(connection: sa.Connection) -> None:
        transaction = Transaction(connection)
        for record in records:
            transaction.add(record)
        transaction.flush()

    await database.write(steps)


async def grow(database: Database, count: int, tenant: str = "acme", **more: Any) -> None:
    """So many more decisions."""
    before = await database.read(
        lambda each: each.execute(sa.select(sa.func.count()).select_from(ENTRIES)).scalar_one()
    )
    await append(database, [of(before + number + 1, tenant, **more) for number in range(count)])


async def bodies(database: Database) -> dict[int, bytes]:
    """The exact bytes of every entry."""
    query = sa.select(ENTRIES.c.sequence, ENTRIES.c.body)
    rows = await database.read(lambda each: each.execute(query).all())
    return {row.sequence: row.body for row in rows}


async def change(database: Database, sequence: int, **values: Any) -> None:
    """What somebody with access to the database may do to an entry."""
    query = sa.update(ENTRIES).where(ENTRIES.c.sequence == sequence).values(**values)
    await database.write(lambda each: each.execute(query))


async def forge(database: Database, made: Sequence[bytes]) -> None:
    """Append entries of any bytes, with hashes that fit them."""
    row: Any = await database.read(
        lambda each: each.execute(sa.select(ENTRIES).order_by(ENTRIES.c.sequence.desc())).first()
    )
    rows = [
        {
            **row._mapping,
            "sequence": row.sequence + number,
            "id": f"ent_forged_{number}",
            "body": body,
            "hash": leaf_hash(body),
        }
        for number, body in enumerate(made, 1)
    ]
    await database.write(lambda each: each.execute(sa.insert(ENTRIES), rows))


async def export(
    database: Database,
    place: Place | Path,
    form: Form = Form.JSONL,
    selection: Selection | None = None,
    rows: int = ROWS,
) -> Exporter:
    """Export all that there is."""
    where = Folder(place) if isinstance(place, Path) else place
    wanted = Wanted(form, selection or Selection(), GROUNDS, rows)
    exporter = Exporter(database, where, wanted)
    await exporter.open()
    while await exporter.step():
        pass
    return exporter


def lines(folder: Path, form: Form = Form.JSONL) -> list[dict[str, Any]]:
    """Every line of every part, in the order of the log."""
    files = sorted((folder / form.value).glob("part-*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_bytes().splitlines()]


def parquet_rows(folder: Path) -> list[dict[str, Any]]:
    """Every row of every Parquet file, in the order of the log."""
    read = import_module("pyarrow.parquet").read_table
    rows: list[dict[str, Any]] = []
    for file in folder.rglob("*.parquet"):
        rows += read(file, partitioning=None).to_pylist()
    return sorted(rows, key=lambda row: row["sequence"])


def tiles(folder: Path, form: Form, last: int) -> bool:
    """Whether parts, by their names, cover each place once."""
    names = {each.name.partition(".")[0] for each in (folder / form.value).rglob("part-*")}
    found = [re.fullmatch(r"part-(\d+)-(\d+)", each) for each in sorted(names)]
    covered = [n for each in found if each for n in range(int(each[1]), int(each[2]) + 1)]
    return covered == list(range(1, last + 1))


class Crash(Exception):
    """The process ended here."""


class Crashing:
    """A place whose process ends before or after any of its writes, as `die` says."""

    def __init__(self, place: Place, die: Callable[[], bool]) -> None:
        self._place = place
        self._die = die

    @property
    def root(self) -> str:
        return self._place.root

    def get(self, name: str) -> bytes | None:
        self._maybe()
        return self._place.get(name)

    def put(self, name: str, content: bytes) -> None:
        self._maybe()
        self._place.put(name, content)
        self._maybe()

    def put_file(self, name: str, file: Path) -> None:
        self._maybe()
        self._place.put_file(name, file)
        self._maybe()

    def create(self, name: str, content: bytes) -> bool:
        self._maybe()
        made = self._place.create(name, content)
        self._maybe()
        return made

    def names(self, prefix: str) -> list[str]:
        return self._place.names(prefix)

    def scratch(self) -> AbstractContextManager[Path]:
        return self._place.scratch()

    def _maybe(self) -> None:
        if self._die():
            raise Crash
