"""Sessions: who has the cookie is the account, until it ends; without Redis nobody is."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from redis.asyncio import Redis

from inwit.cases import Role
from inwit.console.account_rows import OPERATOR
from inwit.console.csrf import token_of
from inwit.console.sessions import Sessions, SessionsUnavailable
from inwit.ledger.tables import REVIEWERS
from tests.console.conftest import PASSWORD, PUBLIC, MakeSite, Site, keys, no_redis

HOUR = timedelta(hours=1)


class Clock:
    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.time


async def test_a_session_ends_after_its_longest_time_whatever_is_done(
    site: Site, redis: Redis
) -> None:
    clock = Clock()
    sessions = Sessions(redis, longest=12 * HOUR, idle=HOUR, now=clock)
    cookie = await sessions.start(await site.person())

    clock.time += 12 * HOUR - timedelta(seconds=1)
    assert await sessions.find(cookie) is not None
    clock.time += timedelta(seconds=1)
    assert await sessions.find(cookie) is None
    assert await keys(redis) == []


async def test_use_keeps_a_session_and_looking_does_not(site: Site, redis: Redis) -> None:
    sessions = Sessions(redis, longest=12 * HOUR, idle=HOUR)
    cookie = await sessions.start(await site.person())
    (key,) = await keys(redis)
    assert 3000 < await redis.ttl(key) <= 3600

    await redis.expire(key, 100)
    assert await sessions.find(cookie, used=False) is not None
    assert await redis.ttl(key) <= 100
    assert await sessions.find(cookie) is not None
    assert await redis.ttl(key) > 3000

    await redis.pexpire(key, 0)  # idle for too long
    assert await sessions.find(cookie) is None


async def test_redis_holds_neither_the_cookie_nor_a_name(site: Site, redis: Redis) -> None:
    account = await site.person("ada")
    cookie = await site.parts.sessions.start(account)
    (key,) = await keys(redis)
    stored = json.loads(await redis.get(key) or "")
    assert cookie not in key + str(stored)
    assert set(stored) == {"account", "epoch", "csrf", "created"}
    assert await site.parts.sessions.find(cookie[:-1]) is None
    assert await site.parts.sessions.find(key.rpartition(":")[2]) is None


async def test_every_sign_in_has_a_new_cookie_and_ends_the_session_before(
    site: Site, redis: Redis
) -> None:
    browser = await site.signed_in()
    before = browser.http.cookies["inwit"]
    await site.person("bob")
    visit = {"cookie": f"inwit={before}; inwit-visit={'v' * 43}"}
    form = {"csrf_token": token_of("v" * 43), "name": "bob", "password": PASSWORD}
    browser.http.cookies.clear()
    answer = await browser.post("/sign-in", form, headers=visit)

    assert answer.status_code == 303
    assert answer.cookies["inwit"] != before
    assert await site.parts.sessions.find(before) is None
    assert len(await keys(redis, "inwit:session:*")) == 1


async def test_a_cookie_that_somebody_planted_opens_nothing(site: Site) -> None:
    await site.person()
    browser = await site.browser()
    browser.http.cookies.set("inwit", "p" * 43)
    answer = await browser.sign_in("ada")
    assert answer.cookies["inwit"] != "p" * 43
    stranger = await site.browser()
    stranger.http.cookies.set("inwit", "p" * 43)
    assert (await stranger.get("/account")).status_code == 303


async def test_signing_out_ends_the_session(site: Site, redis: Redis) -> None:
    browser = await site.signed_in()
    cookie = browser.http.cookies["inwit"]

    answer = await browser.post("/sign-out", {"csrf_token": await browser.token()})

    assert (answer.status_code, answer.headers["location"]) == (303, "/console/sign-in")
    assert "inwit" not in browser.http.cookies
    browser.http.cookies.set("inwit", cookie)  # somebody copied it
    assert (await browser.get("/account")).status_code == 303
    assert await keys(redis, "inwit:session:*") == []
    assert [act["facts"] for act in await site.acts("signed_out")] == [{"through": "console"}]


@pytest.mark.parametrize("what", ["disable", "role", "password", "sessions"])
async def test_such_a_change_ends_all_sessions_at_once(site: Site, what: str) -> None:
    browser, accounts = await site.signed_in(), site.parts.accounts
    ada = await accounts.named("ada")
    assert ada is not None
    assert (await browser.get("/account")).status_code == 200
    match what:
        case "disable":  # and enabled again: what ended stays ended
            await accounts.set_disabled(ada.id, True, OPERATOR)
            assert (await (await site.browser()).sign_in("ada")).status_code == 403
            await accounts.set_disabled(ada.id, False, OPERATOR)
        case "role":
            await accounts.change(ada.id, lambda r: replace(r, role=Role.ADMIN), OPERATOR)
        case "password":
            await accounts.set_password(ada.id, "hash", OPERATOR)
        case _:
            await accounts.end_sessions(ada.id, OPERATOR)
    assert (await browser.get("/account")).status_code == 303


async def test_a_disabled_person_is_out_while_disabled(site: Site) -> None:
    browser = await site.signed_in()
    by_hand = sa.update(REVIEWERS).values(disabled=True)  # and so without another epoch
    await site.database.write(lambda db: db.execute(by_hand))
    assert (await browser.get("/account")).status_code == 303


async def test_another_scope_holds_at_once_and_ends_nothing(site: Site) -> None:
    browser = await site.signed_in()
    ada = await site.parts.accounts.named("ada")
    assert ada is not None
    tenants = frozenset({"only-this-one"})
    await site.parts.accounts.change(ada.id, lambda r: replace(r, tenants=tenants), OPERATOR)
    assert "only-this-one" in (await browser.get("/account")).text


async def test_without_redis_nobody_signs_in_or_acts(site: Site, make_site: MakeSite) -> None:
    signed_in = await site.signed_in()
    broken = await make_site(client=no_redis())

    with pytest.raises(SessionsUnavailable):
        await broken.parts.sessions.find("x" * 43)
    browser = await broken.browser()
    form = await browser.get("/sign-in")
    assert form.status_code == 200  # the form itself needs nobody
    refused = await browser.sign_in("ada")
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "30"
    assert "Redis" in refused.text

    browser.http.cookies = signed_in.http.cookies
    page = await browser.get("/account")
    assert page.status_code == 503
    assert "rev_" not in page.text


async def test_over_https_cookies_are_bound_to_the_host(make_site: MakeSite) -> None:
    site = await make_site(console_url=PUBLIC)
    await site.person()
    browser = await site.browser()
    answer = await browser.sign_in("ada", next="/console/account")
    (session, visit) = answer.headers.get_list("set-cookie")
    assert session.startswith("__Host-inwit=")
    assert visit.startswith('__Host-inwit-visit=""')
    for words in ("; HttpOnly", "; Secure", "; SameSite=lax", "; Path=/", "; Max-Age=43200"):
        assert words in session
    assert "Domain" not in session


async def test_over_http_on_this_machine_alone_they_are_bare(site: Site) -> None:
    await site.person()
    for base, bare in (
        ("http://127.0.0.1:1", True),
        ("http://[::1]:1", True),
        ("http://x.y", False),
    ):
        browser = await site.browser(base)
        cookie = (await browser.get("/sign-in")).headers["set-cookie"]
        assert cookie.startswith("inwit-visit=") is bare
        assert ("; Secure" in cookie) is not bare
