"""Reads what a response left behind: its ledger entry and the metrics."""

from dataclasses import dataclass
from typing import Any

from inwit.ledger import read
from inwit.ledger.read import Story
from inwit.ledger.verify_database import verify_database
from tests.conftest import Caller


async def entry(caller: Caller, body: dict[str, Any]) -> Story:
    """The one entry about a response after its acceptance, in a ledger that holds together."""
    accepted, story = await caller.database.read(lambda db: read.stories(db, body["id"]))
    assert accepted.facts["type"] == "accepted"
    found = await caller.database.read(verify_database)
    assert (found.breaks, found.gaps) == ((), ())
    return story


async def metric(caller: Caller, series: str) -> float:
    """The value of one series, 0 where it is not there yet."""
    for line in (await caller.http.get("/metrics")).text.splitlines():
        if line.startswith(f"{series} "):
            return float(line.rpartition(" ")[2])
    return 0.0


@dataclass
class Counting:
    """How much a series has grown since this was made."""

    caller: Caller
    series: str
    before: float

    async def grown(self) -> float:
        return await metric(self.caller, self.series) - self.before


async def counting(caller: Caller, series: str) -> Counting:
    """Begin to count."""
    return Counting(caller, series, await metric(caller, series))
