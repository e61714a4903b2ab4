"""Gateways of two versions on one PostgreSQL, exchanged one by one under load, and back again.

    git worktree add /tmp/before COMMIT
    ROLL_FROM=/tmp/before/service python -m pytest -m process tests/process/test_rolling_upgrade.py

Without `ROLL_FROM` the version of before is this one.
"""

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ledger.test_postgres import postgres as postgres  # a fixture
from tests.process.ledger_callers import Callers
from tests.process.ledger_places import Place
from tests.process.processes import Inwit
from tests.process.test_ledger_crashes import callers_of, check_log, on_postgresql
from tests.process.test_ledger_crashes import place as place  # a fixture

pytestmark = [pytest.mark.process, on_postgresql]

HERE = str(Path(__file__).parents[2] / "service")
BEFORE = os.environ.get("ROLL_FROM", HERE)


@dataclass
class Serving:
    """A gateway that takes calls."""

    running: Inwit
    address: str
    calls: AsyncExitStack

    async def end(self) -> None:
        """As in a Deployment: no new call reaches it, and then it is told to stop."""
        await self.calls.aclose()
        assert await asyncio.to_thread(self.running.stop, signal.SIGTERM) == 0


@dataclass
class Deployment:
    """Starts gateways of any version in one place."""

    place: Place
    callers: Callers
    stack: AsyncExitStack

    async def start(self, service: str) -> Serving:
        """A gateway of that version, as soon as it answers and shows what was signed since."""
        gateway = self.place.gateway(PYTHONPATH=service)
        running, address = await self.stack.enter_async_context(gateway)
        calls = await self.stack.enter_async_context(AsyncExitStack())
        await calls.enter_async_context(self.callers.asking(address, at_once=6))
        await self.callers.grown(address)
        await self.callers.more(40)
        return Serving(running, address, calls)


async def test_no_answer_is_lost_while_versions_change(place: Place, tmp_path: Path) -> None:
    callers, kept = await callers_of(place), tmp_path / "kept"
    async with AsyncExitStack() as stack:
        deployment = Deployment(place, callers, stack)
        old = [await deployment.start(BEFORE) for _ in range(2)]
        new: list[Serving] = []
        for each in old:
            new.append(await deployment.start(HERE))
            await each.end()
        await callers.prove(new[-1].address)

        again = await deployment.start(BEFORE)
        for each in new:
            await each.end()
        await callers.more(40)
        await callers.prove(again.address)
        await again.end()

    callers.keep(kept)
    told = await place.verified(kept)
    assert told["result"] == "intact", told
    assert not callers.refused
    check_log(place, callers)
