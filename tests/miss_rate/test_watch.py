"""The gauge, as Prometheus reads it."""

import asyncio
from collections.abc import Generator
from dataclasses import replace

import pytest
import sqlalchemy as sa

from inwit import telemetry
from inwit.miss_rate.reading import read_misses
from inwit.miss_rate.watch import MissRates, show
from tests.conftest import Caller, MakeCaller
from tests.fakes import FakeClassifiers, FakeModel, risk_of
from tests.miss_rate.test_front_door import with_rate

LONGEST_S = 60


@pytest.fixture(autouse=True)
def _clear() -> Generator[None]:  # pyright: ignore[reportUnusedFunction]
    """The gauge is the process's, and other tests read it too."""
    yield
    telemetry.MISS_RATE.clear()


async def series(caller: Caller) -> dict[str, float]:
    """What `/metrics` says of the miss rate: source and bound."""
    found: dict[str, float] = {}
    for line in (await caller.http.get("/metrics")).text.splitlines():
        if line.startswith("inwit_miss_rate{"):
            labels, _, value = line.rpartition(" ")
            parts = dict(part.split("=") for part in labels[16:-1].split(","))
            assert parts["policy"] == '"default"'
            found[f"{parts['source']} {parts['bound']}".replace('"', "")] = float(value)
    return found


async def half_missed(make_caller: MakeCaller) -> Caller:
    """A slice of everything: one of two harmful responses passes the conscience.

    The next one passes it too, and is harmful.
    """
    caller = await make_caller(
        FakeModel(answers=[risk_of(0.05), risk_of(0.95), risk_of(0.05)]),
        classifiers=FakeClassifiers(risks=[0.9, 0.9, 0.1, 0.9]),
        policies=(with_rate(1.0),),
    )
    for _ in range(3):
        await caller.respond()
    return caller


async def test_the_gauge_shows_the_estimate_and_both_ends(make_caller: MakeCaller) -> None:
    caller = await half_missed(make_caller)
    assert await series(caller) == {}

    await MissRates(caller.database).look()

    found = await series(caller)
    assert set(found) == {f"classifier {bound}" for bound in ("estimate", "low", "high")}
    assert found["classifier estimate"] == 0.5
    assert 0 < found["classifier low"] < 0.1
    assert 0.9 < found["classifier high"] < 1


async def test_what_is_not_known_is_not_shown(make_caller: MakeCaller) -> None:
    """Nothing was audited: no series, and no 0. No hit at all: the ends, and no number."""
    caller = await make_caller(
        FakeModel(answers=[risk_of(0.05)] * 2),
        classifiers=FakeClassifiers(risks=[None, 0.1]),
        policies=(with_rate(1.0),),
    )
    rates = MissRates(caller.database)

    await caller.respond()
    await rates.look()
    before = await series(caller)
    await caller.respond()
    await rates.look()

    assert before == {}
    assert await series(caller) == {"classifier low": 0, "classifier high": 1}


async def test_each_look_reads_on(make_caller: MakeCaller) -> None:
    caller = await half_missed(make_caller)
    rates = MissRates(caller.database)

    await rates.look()
    once = await series(caller)
    await rates.look()
    twice = await series(caller)
    await caller.respond()
    await rates.look()

    assert twice == once
    assert (await series(caller))["classifier estimate"] == pytest.approx(2 / 3)


async def test_what_is_over_is_not_shown_any_more(make_caller: MakeCaller) -> None:
    caller = await half_missed(make_caller)
    report = await read_misses(caller.database)

    show(report)
    during = await series(caller)
    show(replace(report, policies={}))

    assert len(during) == 3
    assert await series(caller) == {}


async def test_a_ledger_that_does_not_answer_leaves_nothing_shown(make_caller: MakeCaller) -> None:
    caller = await half_missed(make_caller)
    rates = MissRates(caller.database)
    await rates.look()

    await rename(caller, "entries", "away")
    await rates.look()
    during = await series(caller)
    await rename(caller, "away", "entries")
    await rates.look()

    assert during == {}
    assert (await series(caller))["classifier estimate"] == 0.5


async def test_whatever_breaks_it_looks_again(make_caller: MakeCaller) -> None:
    caller = await half_missed(make_caller)
    rates = MissRates(caller.database)
    await rates.look()
    await caller.database.close()

    await rates.look()

    assert await series(caller) == {}


async def test_it_looks_in_the_background(make_caller: MakeCaller) -> None:
    caller = await half_missed(make_caller)

    async with MissRates(caller.database).running(), asyncio.timeout(LONGEST_S):
        found: dict[str, float] = {}
        while not found:
            await asyncio.sleep(0)
            found = await series(caller)

    assert found["classifier estimate"] == 0.5


async def rename(caller: Caller, old: str, new: str) -> None:
    query = sa.text(f"ALTER TABLE {old} RENAME TO {new}")
    await caller.database.write(lambda connection: connection.execute(query))
