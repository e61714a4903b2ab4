"""The queue in Redis is made from the ledger: told late, wiped, or wrong, it is mended."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY

from inwit.cases import RulingKind
from inwit.clients.redis import redis_client
from inwit.errors import LedgerError, QueueDown
from inwit.ledger.escalations import unindexed
from inwit.ledger.read import stories
from inwit.ledger.tables import ESCALATIONS
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


def mended(**cases: list[str]) -> dict[str, Any]:
    """What an entry says of a repair."""
    return {
        name: {"cases": len(ids), "some": sorted(ids)}
        for name in ("missing", "stale", "extra")
        for ids in [cases.get(name, [])]
    }


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
        assert await here.parts.index.catch_up()


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
    assert entry == mended(missing=cases)
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
    assert entry == mended(stale=[stale], extra=[closed, NOWHERE])


async def test_what_redis_does_not_take_is_not_recorded_as_mended(
    make_caller: MakeCaller, tmp_path: Any
) -> None:
    with valkey_server(tmp_path) as server:
        here = await office(make_caller, redis_url=server.url)
        cases = [await here.held() for _ in range(2)]
        async with redis_client(server.url, retries=False) as untyped:
            client: Any = untyped
            await client.config_set("maxmemory", 1)
            for _ in range(2):
                await here.parts.sweeper.compare()
            assert (await known(here), await repaired(here)) == ({}, [])
            with pytest.raises(QueueDown, match="did not take 2 of 2"):
                await here.parts.index.repair("acme")

            await client.config_set("maxmemory", 0)
        await here.parts.sweeper.compare()

        assert await known(here) == await versions(here, *cases)
        assert await repaired(here) == [mended(missing=cases)]


async def test_what_is_left_of_a_tenant_without_open_cases_is_removed(
    make_caller: MakeCaller, clean_url: str
) -> None:
    """As a queue that was cut back by a second would leave it."""
    here = await office(make_caller, redis_url=clean_url)
    case = await here.held()
    old = await here.case(case)
    await here.approved(case)
    await wipe(clean_url)
    await here.parts.queue.put(old)

    await here.parts.sweeper.compare()

    assert (await known(here), await repaired(here)) == ({}, [mended(extra=[case])])


async def test_a_case_that_cannot_be_read_holds_up_no_other(
    make_caller: MakeCaller, clean_url: str
) -> None:
    """As a newer version of Inwit may write it, while both serve."""
    here = await office(make_caller, redis_url=clean_url)
    strange, plain = await here.held(), await here.held()
    change = sa.update(ESCALATIONS).filter_by(id=strange).values(categories="unheard_of")
    await here.database.write(lambda each: each.execute(change))

    await here.parts.sweeper.sweep()
    await here.parts.sweeper.compare()
    opened = await here.next()

    assert opened is not None
    assert opened.file.case.id == plain
    answer = await here.caller.http.get(f"/v1/responses/{strange.replace('esc_', 'resp_')}")
    assert answer.json()["status"] == "held"
    with pytest.raises(LedgerError, match="another version"):
        await here.claim(strange, BEN)


async def test_many_wrong_picks_are_mended_on_the_way(
    make_caller: MakeCaller, clean_url: str
) -> None:
    here = await office(make_caller, redis_url=clean_url)
    gone = [await here.case(await here.held()) for _ in range(9)]
    for case in gone:
        await here.approved(case.id)
    await wipe(clean_url)
    for case in gone:
        await here.parts.queue.put(case)
    waits = await here.held()
    await here.parts.sweeper.sweep()

    opened = await here.next()

    assert opened is not None
    assert opened.file.case.id == waits


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
