"""What a ledger commit costs, alone and shared: `python -m load_tests.ledger_commit`.

Appends records to a SQLite ledger in a temporary folder, one at a time and many at once, and runs
the same inserts through SQLAlchemy's asynchronous SQLite driver where aiosqlite and greenlet are
installed (`pip install aiosqlite greenlet`); they are no dependency of Inwit. Ratios of one run
mean something, absolute times are those of this disk.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa
from tests.ledger import test_store

from inwit.ledger.database import Database, sqlite_url
from inwit.ledger.store import LedgerStore
from inwit.ledger.tables import CONTENTS, ENTRIES, METADATA

COUNT = 400
AT_ONCE = (1, 8, 32, 128)
TEXT = b'{"text":"' + b"x" * 800 + b'"}'
RECORD = replace(
    test_store.RECORD,
    timings_ms={"generate": 1.0, "judge": 1.0, "total": 2.0},
    contents={"request": TEXT, "candidate": TEXT, "released": TEXT},
)


async def closed_loop(append: Callable[[], Awaitable[Any]], at_once: int) -> tuple[float, float]:
    """Entries a second, and the median time of one append in milliseconds."""
    took: list[float] = []

    async def worker() -> None:
        for _ in range(COUNT // at_once):
            start = time.perf_counter()
            await append()
            took.append(time.perf_counter() - start)

    start = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    return len(took) / (time.perf_counter() - start), statistics.median(took) * 1e3


async def inwit(folder: Path) -> None:
    """The gateway's own store."""
    database = Database(sqlite_url(folder))
    await database.open()
    store = LedgerStore(database)
    async with store.running():
        for at_once in AT_ONCE:
            rate, median = await closed_loop(lambda: store.append(RECORD), at_once)
            print(f"store, {at_once:>3} at once: {rate:7.0f} entries/s, median {median:6.2f} ms")
    await database.close()


async def asynchronous(folder: Path) -> None:
    """The same rows, one transaction each, through aiosqlite."""
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(f"sqlite+aiosqlite:///{folder / 'async.sqlite3'}")
    head = sa.select(ENTRIES.c.sequence).order_by(ENTRIES.c.sequence.desc()).limit(1)
    async with engine.connect() as connection:
        await connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        await connection.exec_driver_sql("PRAGMA synchronous=FULL")
        await connection.run_sync(METADATA.create_all)
        await connection.commit()

        async def append() -> None:
            async with connection.begin():
                last = (await connection.execute(head)).scalar() or 0
                await connection.execute(sa.insert(ENTRIES), [_entry(last + 1)])
                rows = [
                    {"sequence": last + 1, "kind": kind, "salt": b"s" * 32, "content": TEXT}
                    for kind in RECORD.contents
                ]
                await connection.execute(sa.insert(CONTENTS), rows)

        rate, median = await closed_loop(append, 1)
    print(f"aiosqlite,  1 at once: {rate:7.0f} entries/s, median {median:6.2f} ms")
    await engine.dispose()


def _entry(sequence: int) -> dict[str, Any]:
    return {
        "sequence": sequence,
        "id": f"ent_{sequence}",
        "time": RECORD.time,
        "type": "decision",
        "tenant": "load",
        "response_id": "resp_load",
        "body": b"x" * 1100,
        "hash": b"h" * 32,
        "previous": b"p" * 32,
    }


async def main() -> None:
    """Both, in one run."""
    with TemporaryDirectory() as folder:
        await inwit(Path(folder))
        if find_spec("aiosqlite") and find_spec("greenlet"):
            await asynchronous(Path(folder))
        else:
            print("aiosqlite and greenlet are not installed: no comparison", file=sys.stderr)


if __name__ == "__main__":
    asyncio.run(main())
