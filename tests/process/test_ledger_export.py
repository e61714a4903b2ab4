"""A running export by a real process: ended by SIGTERM, and killed."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from inwit.ledger.database import Database, sqlite_url
from inwit.ledger.exports.forms import Form
from tests.ledger.exports.ledgers import grow, lines, tiles
from tests.process.processes import START_S, inwit

pytestmark = pytest.mark.process


def fill(data_dir: Path, count: int) -> None:
    async def work() -> None:
        database = Database(sqlite_url(data_dir))
        await database.open()
        await grow(database, count, contents={})  # sealed content would need the process's key
        await database.close()

    data_dir.mkdir(exist_ok=True)
    asyncio.run(work())


def parts(out: Path) -> int:
    """How many there are by now."""
    return len(list((out / Form.JSONL.value).glob("part-*")))


def wait_for_part(out: Path, before: int) -> None:
    """Wait until there are more, whoever made them."""
    end = time.monotonic() + START_S
    while parts(out) <= before:
        assert time.monotonic() < end, "nothing was exported"
        time.sleep(0.01)


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
        before = parts(out)
        with inwit(f"{command} {rows}", data) as one, inwit(f"{command} {rows + 1}", data) as two:
            wait_for_part(out, before)
            os.kill(one.process.pid, signal.SIGKILL)
            fill(data, 10)  # so that there is something left for the other one
            two.wait_for("exported_part")
            os.kill(two.process.pid, signal.SIGKILL)
        fill(data, 30)
    with inwit(f"ledger export --to {out}", data) as last:
        told = last.wait_for("up to entry")

    done = int(told.rpartition(" ")[2].rstrip("."))
    assert done >= 150
    assert [each["sequence"] for each in lines(out)] == list(range(1, done + 1))
    assert tiles(out, Form.JSONL, done)
