"""Signing in by a password: what is told, what is counted, what is recorded."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from hypothesis import example, given
from hypothesis import strategies as st
from redis.asyncio import Redis

from inwit.cases import Role
from inwit.console import attempts
from inwit.console.account_rows import OPERATOR
from inwit.console.attempts import LONGEST_LOCK, PER_ADDRESS, locked_for
from inwit.console.passwords import Passwords
from inwit.console.sign_in import local
from inwit.ledger.tables import REVIEWERS
from tests.console.conftest import PASSWORD, MakeSite, Site, keys, main_of, token_in

WRONG = "a wrong password"


async def test_the_right_password_leads_to_the_page_that_was_asked_for(site: Site) -> None:
    await site.person("ada")
    browser = await site.browser()

    asked = await browser.get("/account")
    assert asked.headers["location"] == "/console/sign-in?next=/console/account"
    form = await browser.http.get(asked.headers["location"])
    answer = await browser.post(
        "/sign-in",
        {
            "csrf_token": token_in(form),
            "name": "ada",
            "password": PASSWORD,
            "next": "/console/account",
        },
    )

    assert (answer.status_code, answer.headers["location"]) == (303, "/console/account")
    page = await browser.get("/account")
    assert "rev_" in page.text
    assert (await browser.get("/sign-in")).status_code == 303
    (act,) = await site.acts("signed_in")
    assert act["facts"] == {"through": "password"}
    assert act["actor"].startswith("rev_")


async def test_unknown_wrong_locked_and_disabled_get_one_answer(site: Site) -> None:
    for name in ("ada", "bob", "eve"):
        await site.person(name)
    eve = await site.parts.accounts.named("eve")
    assert eve is not None
    await site.parts.accounts.set_disabled(eve.id, True, OPERATOR)
    await _set(site, "bob", locked_until=datetime.now(UTC) + timedelta(minutes=1))
    browser = await site.browser()

    tried = [
        ("nobody", PASSWORD),
        ("ada", WRONG),
        ("bob", PASSWORD),
        ("eve", PASSWORD),
        ("\x00", WRONG),
    ]
    answers = [await browser.sign_in(*each) for each in tried]

    assert {answer.status_code for answer in answers} == {403}
    assert len({main_of(answer) for answer in answers}) == 1
    assert "inwit" not in browser.http.cookies
    acts = await site.acts("refused")
    assert [act["facts"] for act in acts] == [{"route": "/sign-in", "why": "password"}] * 5
    assert [act["actor"] is None for act in acts] == [True, False, False, False, True]


async def test_every_attempt_costs_one_hash(make_site: MakeSite) -> None:
    """So that the time tells nothing either."""
    hasher = _Counting()
    site = await make_site(passwords=Passwords(hasher))
    await site.person("ada")
    browser = await site.browser()
    await _set(site, "ada", locked_until=datetime.now(UTC) + timedelta(minutes=1))
    for name in ("nobody", "ada", ""):
        hasher.verified = 0
        await browser.sign_in(name)
        assert hasher.verified == 1


async def test_five_failures_in_a_row_lock_and_each_further_one_doubles(site: Site) -> None:
    await site.person("ada")
    browser = await site.browser()
    for _ in range(4):
        await browser.sign_in("ada", WRONG)
    assert (await _row(site, "ada")).locked_until is None
    await browser.sign_in("ada", WRONG)
    assert 0 < await _left(site) <= 60

    assert (await browser.sign_in("ada")).status_code == 403  # right, and locked
    assert (await _row(site, "ada")).failures == 5  # what is tried meanwhile adds nothing

    await _set(site, "ada", locked_until=datetime.now(UTC) - timedelta(seconds=1))
    await browser.sign_in("ada", WRONG)
    assert 60 < await _left(site) <= 120

    await _set(site, "ada", locked_until=datetime.now(UTC) - timedelta(seconds=1))
    assert (await browser.sign_in("ada")).status_code == 303
    row = await _row(site, "ada")
    assert (row.failures, row.locked_until) == (0, None)


@given(st.integers(0, 10_000))
def test_a_lock_grows_and_never_passes_an_hour(failures: int) -> None:
    lock, further = locked_for(failures), locked_for(failures + 1)
    assert (lock is None) == (failures < 5)
    if lock is not None and further is not None:
        assert lock <= further <= min(2 * lock, LONGEST_LOCK)


async def test_attempts_at_once_count_as_many(site: Site) -> None:
    await site.person("ada")
    browser = await site.browser()
    token = await browser.token("/sign-in")

    async def wrong(number: int) -> int:
        form = {"csrf_token": token, "name": "ada", "password": f"{WRONG} {number}"}
        return (await browser.post("/sign-in", form)).status_code

    assert set(await asyncio.gather(*map(wrong, range(12)))) == {403}
    assert (await _row(site, "ada")).failures == 5
    assert await _left(site) > 0


async def test_an_address_has_so_many_failures_whatever_the_names(site: Site, redis: Redis) -> None:
    await site.person("ada")
    browser = await site.browser(address="198.51.100.1")
    for number in range(PER_ADDRESS):
        assert (await browser.sign_in(f"name-{number}")).status_code == 403
    limited = await browser.sign_in("ada")
    assert limited.status_code == 429
    assert limited.headers["retry-after"] == "300"
    assert "Too many attempts came from this address" in limited.text
    assert 'name="password"' in limited.text
    assert 'name="name" value="ada"' in limited.text

    assert (await (await site.browser(address="198.51.100.2")).sign_in("ada")).status_code == 303
    key, *_ = await keys(redis, "inwit:sign_in:*")
    assert 0 < await redis.ttl(key) <= 300
    assert "198.51" not in key


async def test_what_succeeds_does_not_count_against_the_address(site: Site, redis: Redis) -> None:
    await site.person("ada")
    for _ in range(PER_ADDRESS + 3):
        assert (await (await site.browser()).sign_in("ada")).status_code == 303
    (key,) = await keys(redis, "inwit:sign_in:*")
    assert await redis.get(key) == b"0"


async def test_an_old_hash_is_made_anew(make_site: MakeSite) -> None:
    site = await make_site()
    await site.person("ada")
    before = (await _row(site, "ada")).password_hash
    newer = await make_site(passwords=Passwords(PasswordHasher(2, 16, 1)))

    assert (await (await newer.browser()).sign_in("ada")).status_code == 303

    after = (await _row(site, "ada")).password_hash
    assert "m=8,t=1" in before
    assert "m=16,t=2" in after
    assert (await (await newer.browser()).sign_in("ada")).status_code == 303


async def test_what_changes_while_a_password_is_tried_counts(make_site: MakeSite) -> None:
    hasher = _Interrupted(asyncio.get_running_loop())
    site = await make_site(passwords=Passwords(hasher))
    ada = await site.person("ada")
    hasher.meanwhile = lambda: site.parts.accounts.set_disabled(ada.id, True, OPERATOR)
    browser = await site.browser()
    assert (await browser.sign_in("ada")).status_code == 403
    assert "inwit" not in browser.http.cookies
    assert await site.acts("signed_in") == []


async def test_a_sign_in_from_another_site_or_without_its_token_is_refused(site: Site) -> None:
    await site.person("ada")
    browser = await site.browser()
    form = {"csrf_token": await browser.token("/sign-in"), "name": "ada", "password": PASSWORD}
    for headers in (
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "https://elsewhere.example"},
    ):
        assert (await browser.post("/sign-in", form, headers=headers)).status_code == 403
    for token in ("", "0" * 64, form["csrf_token"].upper()):
        assert (await browser.post("/sign-in", {**form, "csrf_token": token})).status_code == 403
    stranger = await site.browser()
    assert (await stranger.post("/sign-in", form)).status_code == 403  # another browser's token
    assert await site.acts("signed_in") == []
    assert (await browser.post("/sign-in", form)).status_code == 303


async def test_a_password_is_changed_by_who_knows_it(site: Site) -> None:
    browser = await site.signed_in()
    other = await site.browser()
    await other.sign_in("ada")
    token = await browser.token()
    new = "another horse battery"

    async def change(current: str, password: str, again: str) -> Any:
        form = {"csrf_token": token, "current": current, "password": password, "again": again}
        return await browser.post("/account/password", form)

    assert "not the same" in main_of(await change(PASSWORD, new, f"{new}!"))
    assert "at least 12" in main_of(await change(PASSWORD, "short", "short"))
    assert "another one" in main_of(await change(WRONG, new, new))
    assert (await change(PASSWORD, new, new)).status_code == 303

    assert (await browser.get("/account")).status_code == 200
    assert (await other.get("/account")).status_code == 303
    fresh = await site.browser()
    assert (await fresh.sign_in("ada")).status_code == 403
    assert (await fresh.sign_in("ada", new)).status_code == 303


async def test_people_choose_what_they_are_not_shown(site: Site) -> None:
    browser = await site.signed_in()
    form = {"csrf_token": await browser.token(), "category": ["self_harm", "hate", "no-such"]}
    assert (await browser.post("/account/opted-out", form)).status_code == 303
    ada = await site.parts.accounts.named("ada")
    assert ada is not None
    assert {each.value for each in ada.reviewer.opted_out} == {"self_harm", "hate"}
    assert (await browser.get("/account")).text.count(" checked") == 2
    assert (await site.acts("changed"))[-1]["facts"]["fields"] == ["opted_out"]


async def test_signing_out_everywhere(site: Site) -> None:
    browser = await site.signed_in("ada", Role.ADMIN)
    await browser.post("/account/end-sessions", {"csrf_token": await browser.token()})
    assert (await browser.get("/account")).status_code == 303


@given(st.text(max_size=60) | st.from_regex(r"\A(/console/?|//[a-z.]+/).{0,30}"))
@example("/console.evil.example/")
@example("/console//evil.example")
@example("/console/\\evil.example")
@example("/console/?next=//evil.example")
def test_nobody_is_led_elsewhere(path: str) -> None:
    led = local(path)
    assert led.startswith("/console/")
    assert not set(led) & set("\\\r\n\t ?#:@%")
    assert "//" not in led


async def test_a_name_is_shown_as_text(site: Site) -> None:
    name = "<script>alert(1)</script>\"'"
    browser = await site.browser()
    answer = await browser.sign_in(name)
    assert "<script>alert" not in answer.text
    assert "&lt;script&gt;" in answer.text


async def test_the_names_are_nowhere_but_in_the_table(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    await site.signed_in("a-name-to-look-for")
    await (await site.browser()).sign_in("a-name-to-look-for", WRONG)
    everything = str(await site.acts()) + "".join(capsys.readouterr())
    assert "a-name-to-look-for" not in everything
    assert WRONG not in everything


def test_the_limits_are_what_the_docs_say() -> None:
    assert (attempts.FREE_FAILURES, attempts.WINDOW_S, PER_ADDRESS) == (5, 300, 20)


class _Counting(PasswordHasher):
    """Counts how often it verifies."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.verified = 0

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        self.verified += str(hash).startswith("$argon2id$v=19$m=8,t=1,p=1$")
        return super().verify(hash, password)


class _Interrupted(PasswordHasher):
    """Something else is done in the middle of it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.loop = loop
        self.meanwhile: Callable[[], Coroutine[Any, Any, Any]] | None = None

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        if self.meanwhile is not None:
            asyncio.run_coroutine_threadsafe(self.meanwhile(), self.loop).result(timeout=60)
        return super().verify(hash, password)


async def _row(site: Site, name: str) -> Any:
    query = sa.select(REVIEWERS).where(REVIEWERS.c.name == name)
    return await site.database.read(lambda db: db.execute(query).one())


async def _left(site: Site) -> float:
    until = (await _row(site, "ada")).locked_until.replace(tzinfo=UTC)
    return (until - datetime.now(UTC)).total_seconds()


async def _set(site: Site, name: str, **values: Any) -> None:
    change = sa.update(REVIEWERS).where(REVIEWERS.c.name == name).values(**values)
    await site.database.write(lambda db: db.execute(change))
