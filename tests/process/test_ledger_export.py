"""A running export by a real process: ended by SIGTERM, and killed."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from inwit.ledger.database import Database, sqlite_url
from inwit.ledger.exports.forms import Form
from tests.ledger.exports.ledgers import grow, lines, tiles
from tests.process.processes import inwit

pytestmark = pytest.mark.process


def fill(data_dir: Path, count: int) -> None:
    async def work() -> None:
        database = Database(sqlite_url(data_dir))
        await database.open()
        await grow(database, count, contents={})  # sealed content would need the process's key
        await database.close()

    data_dir.mkdir(exist_ok=True)
    asyncio.run(work())


def test_sigterm_exports_what_is_left(tmp_path: Path) -> None:
    out, data = tmp_path / "out", tmp_path / "var"
    fill(data, 10)
    with inwit(f"ledger export --to {out} --follow --rows 4 --look 0.05", data) as running:
        running.wait_for("exported_part")
        fill(data, 7)
        assert running.stop(signal.SIGTERM) == 0

    # Ten, the act that it began, and seven.
    assert [each["sequence"] for each in lines(out)] == list(range(1, 19))
    assert tiles(out, Form.JSONL, 18)


def test_killed_again_and_again_it_loses_and_repeats_nothing(tmp_path: Path) -> None:
    out, data = tmp_path / "out", tmp_path / "var"
    command = f"ledger export --to {out} --follow --look 0.05 --rows"
    fill(data, 60)
    for rows in (3, 5, 2):
        with inwit(f"{command} {rows}", data) as one, inwit(f"{command} {rows + 1}", data) as two:
            one.wait_for("exported_part")
            os.kill(one.process.pid, signal.SIGKILL)
            two.wait_for("exported_part")
            os.kill(two.process.pid, signal.SIGKILL)
        fill(data, 30)
    with inwit(f"ledger export --to {out}", data) as last:
        told = last.wait_for("up to entry")

    done = int(told.rpartition(" ")[2].rstrip("."))
    assert done >= 150
    assert [each["sequence"] for each in lines(out)] == list(range(1, done + 1))
    assert tiles(out, Form.JSONL, done)
