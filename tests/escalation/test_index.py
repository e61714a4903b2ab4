"""The queue in Redis is made from the ledger: told late, wiped, or wrong, it is mended."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

from prometheus_client import REGISTRY

from inwit.cases import RulingKind
from inwit.clients.redis import redis_client
from inwit.ledger.escalations import unindexed
from inwit.ledger.read import stories
from tests.conftest import MakeCaller
from tests.escalation.desk_world import ANA, BEN, Office, office
from tests.escalation.desk_world import clean_url as clean_url
from tests.process.redis_server import valkey_server

NOWHERE = "esc_" + "0" * 32


async def known(here: Office) -> dict[str, int]:
    return dict((await here.parts.queue.known("acme")).cases)


async def versions(here: Office, *cases: str) -> dict[str, int]:
    return {name: (await here.case(name)).version for name in cases}


async def repaired(here: Office) -> list[dict[str, Any]]:
    """The entries that say so; they are about no response."""
    found = await here.database.read(lambda each: stories(each, ""))
    return [each.facts["facts"] for each in found if each.facts["type"] == "repaired"]


async def wipe(url: str) -> None:
    async with redis_client(url, retries=False) as client:
        untyped: Any = client
        await untyped.flushall()


async def test_cases_that_opened_while_redis_was_away_are_told_later(
    make_caller: MakeCaller, tmp_path: Any
) -> None:
    with valkey_server(tmp_path) as server:
        here = await office(make_caller, redis_url=server.url)
        server.kill()
        opened = [await here.held() for _ in range(3)]
        claimed = await here.claim(opened[0])
        await here.rule(claimed, RulingKind.APPROVE)
        await here.parts.sweeper.sweep()
        assert here.parts.sweeper.standing.behind == 3

        server.start()
        await here.parts.sweeper.sweep()

        assert await known(here) == await versions(here, *opened[1:])
        assert here.parts.sweeper.standing.behind == 0
        assert await here.database.read(lambda each: unindexed(each, 10)) == []
        assert await here.parts.index.catch_up() == 0


async def test_what_is_told_in_part_is_told_again(make_caller: MakeCaller, tmp_path: Any) -> None:
    """Redis goes away between two cases: the first is not told twice, the second is not lost."""
    with valkey_server(tmp_path) as server:
        here = await office(make_caller, redis_url=server.url)
        cases = [await here.case(await here.held()) for _ in range(2)]
        await here.parts.index.tell(cases[:1])
        server.kill()
        await here.parts.index.tell(cases)
        behind = await here.database.read(lambda each: unindexed(each, 10))
        assert [each.id for each in behind] == [cases[1].id]

        server.start()
        await here.parts.index.catch_up()
        drift = await here.parts.index.repair("acme")

        assert (drift.missing, await known(here)) == ([cases[0].id], {c.id: 1 for c in cases})


async def test_a_wiped_redis_is_filled_again_and_that_is_recorded_once(
    make_caller: MakeCaller, clean_url: str
) -> None:
    here = await office(make_caller, redis_url=clean_url)
    cases = [await here.held() for _ in range(3)]
    await here.parts.sweeper.sweep()
    await here.claim(cases[0])
    before = await known(here)
    count = REGISTRY.get_sample_value("inwit_queue_repairs_total") or 0

    await wipe(clean_url)
    assert await known(here) == {}
    for _ in range(3):
        await here.parts.sweeper.compare()

    assert await known(here) == before
    (entry,) = await repaired(here)
    assert entry == {"missing": sorted(cases), "stale": [], "extra": []}
    assert (REGISTRY.get_sample_value("inwit_queue_repairs_total") or 0) - count == 3
    assert await here.parts.queue.renew("acme", cases[0], 1, ANA.id, 60)  # she has it still
    assert await here.next(BEN) is not None


async def test_what_is_stale_or_was_never_there_is_mended(
    make_caller: MakeCaller, clean_url: str
) -> None:
    here = await office(make_caller, redis_url=clean_url)
    stale, closed = await here.held(), await here.held()
    await here.parts.sweeper.sweep()
    old = {name: await here.case(name) for name in (stale, closed)}
    await here.claim(stale)
    await here.approved(closed, BEN)
    await wipe(clean_url)
    for each in (*old.values(), replace(old[stale], id=NOWHERE)):
        await here.parts.queue.put(each)

    await here.parts.sweeper.compare()

    assert await known(here) == await versions(here, stale)
    (entry,) = await repaired(here)
    assert (entry["missing"], entry["stale"]) == ([], [stale])
    assert entry["extra"] == sorted([closed, NOWHERE])


async def test_nothing_is_recorded_where_nothing_differs(
    make_caller: MakeCaller, clean_url: str
) -> None:
    here = await office(make_caller, redis_url=clean_url)
    case = await here.held()
    await here.parts.sweeper.sweep()
    await here.claim(case)
    await here.desk.renew(ANA, case, ANA.id)

    await asyncio.gather(*(here.parts.sweeper.compare() for _ in range(2)))

    assert await repaired(here) == []


async def test_an_older_telling_undoes_no_newer_one(
    make_caller: MakeCaller, clean_url: str
) -> None:
    """Two gateways tell of one case, and the slower one knows less."""
    here = await office(make_caller, redis_url=clean_url)
    name = await here.held()
    before = await here.case(name)
    await here.approved(name)

    await here.parts.index.tell([before])

    assert await known(here) == {}
    assert await here.database.read(lambda each: unindexed(each, 10)) == []


async def test_more_cases_than_a_page_are_compared(make_caller: MakeCaller, clean_url: str) -> None:
    here = await office(make_caller, redis_url=clean_url)
    name = await here.held()
    await here.parts.sweeper.sweep()
    case = await here.case(name)
    later = case.opened + timedelta(minutes=1)
    for number in range(1200):
        await here.parts.queue.put(replace(case, id=f"esc_{number:032x}", opened=later))

    drift = await here.parts.index.repair("acme")

    assert len(drift.extra) == 1200
    assert await known(here) == await versions(here, name)
