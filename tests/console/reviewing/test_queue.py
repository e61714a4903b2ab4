"""The first page, feeds, keys, breaks; and who sees nothing at all."""

import asyncio
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from inwit.console.wishes import KEYS
from inwit.console.work import worked_since
from inwit.ledger.tables import EXPOSURES
from inwit.types import Severity
from tests.conftest import NO_REDIS
from tests.console.reviewing.world import (
    CANDIDATE,
    SEVERE,
    MakeWorld,
    assert_absent,
    flagged,
    lanes_in,
    page_of,
    soon,
    words_of,
)


async def test_a_case_of_another_tenant_is_not_there(make_world: MakeWorld) -> None:
    here = await make_world()
    case_id = await here.hold()
    eve = await here.reviewer("eve", tenants=frozenset({"other"}))

    pages = [await eve.get(f"/cases/{case_id}{more}") for more in ("", "/feed")]
    whole = ("claim", "again", "first-verdict", "undo", "reveal/candidate", "similar")
    pages += [await eve.post(f"/cases/{case_id}/{what}", token="x", kind="block") for what in whole]
    within = ("renew", "draft", "release", "rule")
    pages += [await eve.ask(f"/cases/{case_id}/{what}", token="x", text="x") for what in within]

    assert {page.status_code for page in pages} == {404}
    assert len(await here.site.acts("refused")) == len(pages)
    assert "Nothing waits for you" in (await eve.get("/")).text
    assert words_of(await eve.get("/")).count("0 none") == 4
    assert " 0 wait " in f" {lanes_in(await eve.get('/'))} "
    assert " 1 wait " in f" {lanes_in(await (await here.reviewer('ada')).get('/'))} "


async def test_next_tells_of_the_case_that_is_still_open(make_world: MakeWorld) -> None:
    here = await make_world()
    for _ in range(2):
        await here.hold()
    ada = await here.reviewer()
    first = await ada.next()

    told = await ada.post("/next")
    second = page_of(await ada.post("/next", another="yes"))
    both = await ada.post("/next")
    await here.change(first.id, state="expired", closed=datetime.now(UTC))
    await ada.rule(second, "approve")
    after = await ada.post("/next")

    assert "You still have a case open" in told.text
    assert f'href="/console/cases/{first.id}"' in told.text
    assert "medium" not in told.text.partition("<main")[2]
    assert_absent(told.text, CANDIDATE, first.token)
    assert second.id != first.id
    assert "You still have cases open" in both.text
    assert "No case for you now" in after.text
    assert len(await here.site.acts("claimed")) == 2


async def test_a_refused_claim_is_in_the_ledger(make_world: MakeWorld) -> None:
    here = await make_world(model=flagged(CANDIDATE, SEVERE))
    case_id = await here.hold()
    low = await here.reviewer("low", clearance=Severity.LOW)

    whole = await low.post(f"/cases/{case_id}/claim")
    within = await low.ask(f"/cases/{case_id}/claim")

    assert whole.status_code == within.status_code == 403
    assert "another tier, language or clearance" in whole.text
    assert "another tier, language or clearance" in within.text
    refused = await here.site.acts("refused")
    assert [(act["actor"], act["facts"]) for act in refused] == [
        (low.id, {"route": "/cases/{case_id}/claim", "why": "forbidden"})
    ] * 2


async def test_the_feed_tells_counts_and_ends(make_world: MakeWorld) -> None:
    here = await make_world(feed_every_s=0.01)
    case_id = await here.hold()
    ada = await here.reviewer()
    page = await ada.claim(case_id)
    counts = asyncio.create_task(ada.get("/feed"))
    note = asyncio.create_task(ada.get(f"/cases/{case_id}/feed"))
    await here.looks.more(feeds=2)
    await here.change(case_id, state="expired", closed=datetime.now(UTC))
    await here.work.sweeper.sweep()
    await here.looks.more(feeds=2)
    await ada.post("/sign-out")

    told, noted = await soon(counts), await soon(note)

    assert told.headers["content-type"].startswith("text/event-stream")
    assert "event: lanes" in told.text
    assert "<dd>0</dd>" in told.text
    assert "This case was closed meanwhile" in noted.text
    assert CANDIDATE not in told.text + noted.text
    assert page.token not in noted.text


async def test_the_feed_ends_when_the_gateway_is_shut_down(make_world: MakeWorld) -> None:
    here = await make_world(feed_every_s=0.01)
    ada = await here.reviewer()
    counts = asyncio.create_task(ada.get("/feed"))
    here.caller.gateway.health.draining = True

    assert (await soon(counts)).status_code == 200


async def test_only_so_many_pages_follow(make_world: MakeWorld) -> None:
    here = await make_world(feed_every_s=0.01, most_feeds=1)
    ada = await here.reviewer()
    both = {asyncio.create_task(ada.get("/feed")) for _ in range(2)}
    async with asyncio.timeout(60):
        done, waiting = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    here.caller.gateway.health.draining = True

    assert done.pop().result().status_code == 503
    assert (await soon(waiting.pop())).status_code == 200


async def test_keys_can_be_changed_and_switched_off(make_world: MakeWorld) -> None:
    here = await make_world()
    ada = await here.reviewer()
    form = {f"key_{command}": key for command, key in KEYS.items()}

    twice = await ada.post("/reviewing", cover_from="high", **{**form, "key_next": "J"})
    words = await ada.post("/reviewing", cover_from="high", **{**form, "key_next": " "})
    cover = await ada.post("/reviewing", cover_from="worst", keys_on="yes", **form)
    other = await ada.post(
        "/reviewing", cover_from="low", keys_on="yes", **{**form, "key_next": "x"}
    )
    changed = await ada.get("/")
    await ada.post("/reviewing", cover_from="low", **form)
    off = await ada.get("/")

    assert twice.status_code == words.status_code == cover.status_code == 422
    assert "another command has this key" in twice.text
    assert other.status_code == 303
    assert '"x": "next"' in changed.text
    assert "data-keys='{}'" in off.text


async def test_a_break_is_offered_and_nothing_more(make_world: MakeWorld) -> None:
    here = await make_world(exposure_budget={"high": 9})
    ada = await here.reviewer()
    calm = await ada.get("/")
    today = datetime.now(UTC)
    rows = [
        {
            "reviewer": ada.id,
            "day": f"{day:%Y-%m-%d}",
            "severity": "high",
            "escalation_id": f"esc_{each}",
            "parts": "candidate",
        }
        for day in (today, today + timedelta(days=1))  # which may have come before the page
        for each in range(25)
    ]
    await here.site.database.write(lambda db: db.execute(sa.insert(EXPOSURES), rows))

    page = await ada.get("/")

    assert 'id="pause"' not in calm.text
    assert "You were shown 25 severe cases today" in page.text
    assert "Next case" in page.text
    assert "high 25 9" in words_of(page)


def test_work_is_continuous_until_there_is_a_pause() -> None:
    now = datetime.now(UTC)
    ago = [timedelta(minutes=each) for each in (1, 10, 24, 38, 60, 70)]

    assert worked_since(now, [now - each for each in ago]) == now - ago[3]
    assert worked_since(now, [now - ago[4]]) is None
    assert worked_since(now, []) is None


async def test_without_the_queue_a_case_can_be_claimed_by_name(make_world: MakeWorld) -> None:
    here = await make_world(redis_url=NO_REDIS)
    case_id = await here.hold()
    ada = await here.reviewer()

    away = await ada.post("/next")

    assert away.status_code == 503
    assert f"/console/cases/{case_id}" in away.text
    assert (await ada.claim(case_id)).id == case_id
