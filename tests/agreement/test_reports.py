"""Reports, each computed in a process of its own: kept, bounded, and gone afterwards."""

import asyncio
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from inwit.agreement.compute import compute
from inwit.agreement.reports import Reports, compute_apart
from inwit.agreement.rows import Rows
from inwit.cases import RulingKind
from inwit.errors import Overloaded
from inwit.ledger.database import Database
from tests.agreement.book import ALL, NOON, Closed, write
from tests.agreement.drawn import two

pytestmark = pytest.mark.process

APPROVE, EDIT, BLOCK = RulingKind.APPROVE, RulingKind.EDIT, RulingKind.BLOCK
CHILD = (sys.executable, "-P", "-m", "inwit.agreement")
ROWS = Rows((two(APPROVE, BLOCK), two(BLOCK, BLOCK), two(EDIT, EDIT)))
BOTH_BLOCK = (("rev_ada", BLOCK, True, -20), ("rev_ben", BLOCK, True, -10))


async def test_a_process_of_its_own_computes_the_same() -> None:
    assert await compute_apart(ROWS) == compute(ROWS)


async def test_a_report_is_kept_for_a_minute_and_by_its_filters(database: Database) -> None:
    await write(database, Closed("a", BOTH_BLOCK, required=2))
    reports = Reports(database)
    first = await reports.report(ALL)
    await write(database, Closed("b", BOTH_BLOCK, required=2))

    assert await reports.report(ALL) is first
    assert (await reports.people(ALL)).pairs[0].by_ruling.cases == 1
    later = replace(ALL, until=NOON.replace(hour=13))
    assert (await reports.report(later)).counts.cases == 2


async def test_a_report_is_not_kept_for_longer(database: Database) -> None:
    reports = Reports(database, kept_s=0)
    await reports.report(ALL)
    await write(database, Closed("a", BOTH_BLOCK, required=2))

    assert (await reports.report(ALL)).counts.cases == 1


async def test_those_who_ask_at_once_share_one_report(database: Database) -> None:
    reports = Reports(database)

    first, *others = await asyncio.gather(*(reports.report(ALL) for _ in range(4)))

    assert all(each is first for each in others)


async def test_more_than_a_few_do_not_wait(database: Database) -> None:
    reports = Reports(database)

    found = await asyncio.gather(*(reports.report(ALL) for _ in range(6)), return_exceptions=True)

    refused = [each for each in found if isinstance(each, Overloaded)]
    assert len(refused) == 2
    assert (await reports.report(ALL)).counts.cases == 0


async def test_what_takes_too_long_is_ended_and_told() -> None:
    before = children()

    with pytest.raises(Overloaded, match="shorter period"):
        await compute_apart(ROWS, longest_s=0.0)

    assert children() == before


async def test_who_goes_away_leaves_no_process_behind() -> None:
    before = children()
    asking = asyncio.create_task(compute_apart(ROWS))
    async with asyncio.timeout(60):
        while children() == before:  # noqa: ASYNC110  # no event tells of a process
            await asyncio.sleep(0)

    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)

    assert asking.cancelled()
    assert children() == before


def children() -> set[str]:
    """The processes that this one has started and that are still there, zombies too."""
    tasks = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return {child for task in tasks for child in task.read_text().split()}


def test_what_is_no_rows_fails_and_tells_nobody_what_it_was() -> None:
    ended = subprocess.run(CHILD, input=b'{"cases": "x"}', capture_output=True, check=False)

    assert ended.returncode != 0
    assert ended.stdout == b""


def test_the_process_has_no_more_memory_than_it_may() -> None:
    """Rows that fill it end it, long before the machine is full."""
    with Path("/dev/zero").open("rb") as endless:
        ended = subprocess.run(CHILD, stdin=endless, capture_output=True, check=False)

    assert ended.returncode == 1
    assert b"MemoryError" in ended.stderr


def test_asking_needs_no_numpy() -> None:
    """A gateway's worker may import all that asks for reports."""
    code = "import sys, inwit.agreement.reports; print('numpy' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ended.stdout == "False\n"


async def test_it_works_from_any_folder_whatever_lies_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('not the library')")
    (tmp_path / "inwit.py").write_text("raise SystemExit('not the package')")
    monkeypatch.chdir(tmp_path)

    assert (await compute_apart(ROWS)).report.counts.cases == 3
