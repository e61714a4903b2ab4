"""PostgreSQL that dies under its gateways, and gateways on one PostgreSQL that die or stand still.

With one signing key there is one log, whoever signs.
"""

import asyncio
import signal
from pathlib import Path

import pytest

from tests.ledger.test_postgres import as_owner, binaries
from tests.ledger.test_postgres import postgres as postgres  # a fixture
from tests.process.ledger_places import Place
from tests.process.test_ledger_crashes import callers_of, check_log, on_postgresql
from tests.process.test_ledger_crashes import place as place  # a fixture

pytestmark = [pytest.mark.process, on_postgresql]

SLOW = {"INWIT_CHECKPOINT_MS": "1000"}  # the other one signs ten times as often


async def test_postgresql_dies_and_comes_back(
    place: Place, postgres: tuple[str, Path], tmp_path: Path
) -> None:
    """Without it nothing is answered, and what was answered before is there afterwards."""
    callers, kept = await callers_of(place), tmp_path / "kept"
    async with place.gateway() as (_, address), callers.asking(address):
        await callers.grown(address)
        await callers.more(20)
        await asyncio.to_thread(control, postgres[1], "stop")
        try:
            callers.refused.clear()
            await callers.until(lambda: callers.refused.total() > 20)
            without = dict(callers.refused)
        finally:
            await asyncio.to_thread(control, postgres[1], "start")
        await callers.grown(address)
        await callers.more(20)

    callers.keep(kept)
    assert set(without) == {503}
    told = await place.verified(kept)
    assert told["result"] == "intact", told
    check_log(place, callers)


async def test_the_one_that_signs_is_killed(place: Place, tmp_path: Path) -> None:
    callers, kept = await callers_of(place), tmp_path / "kept"
    async with place.gateway() as (one, first), place.gateway(**SLOW) as (_, second):
        async with callers.asking(first, second, at_once=8):
            await callers.grown(first)
            await callers.grown(second)
            one.process.kill()
            await asyncio.to_thread(one.process.wait)
            before = place.checkpoints()[-1]
            await callers.grown(second)
            await callers.more(20)
        await callers.prove(second)

    size = callers.keep(kept)
    assert size > before
    told = await place.verified(kept)
    assert told["result"] == "intact", told
    check_log(place, callers)


async def test_the_one_that_signs_stands_still_for_a_while(place: Place, tmp_path: Path) -> None:
    """Wherever it stood, what it does next does not undo what the other did meanwhile."""
    callers, kept = await callers_of(place), tmp_path / "kept"
    async with place.gateway() as (one, first), place.gateway(**SLOW) as (_, second):
        async with callers.asking(first, second, at_once=8):
            await callers.grown(first)
            for _ in range(2):
                one.process.send_signal(signal.SIGSTOP)
                await callers.grown(second)
                one.process.send_signal(signal.SIGCONT)
                await callers.grown(first)
        await callers.prove(first)
        await callers.prove(second)

    callers.keep(kept)
    told = await place.verified(kept)
    assert told["result"] == "intact", told
    check_log(place, callers)


def control(data: Path, what: str) -> None:
    """Stop the server as a crash does, or start it as it was."""
    programs = binaries()
    assert programs is not None
    if what == "stop":
        as_owner(programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
        return
    options = (data / "postmaster.opts").read_text().split('"')[1::2]
    words = " ".join(options[2:])  # after -D and its folder
    as_owner(programs / "pg_ctl", "-D", data, "-l", data.parent / "log", "-w", "-o", words, "start")
