"""A gateway with held responses, and a console over it in which people rule on them."""

import asyncio
import html
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import sqlalchemy as sa

from inwit.cases import Role
from inwit.console.cases import routers
from inwit.console.work import Work
from inwit.health import Health
from inwit.ledger.tables import ESCALATIONS, RULINGS, SLOTS
from inwit.policy.policy import Policy
from tests.conftest import ASK, Caller, MakeCaller
from tests.console.conftest import Browser, MakeSite, Site, token_in
from tests.fakes import FakeClassifiers, FakeModel, naming, risk_of
from tests.fakes_policies import compiled

FLAGGED, FINE = risk_of(0.95), risk_of(0.05)
KINDS: dict[str, Any] = {
    "deception": {"severity": "medium"},
    "privacy_leak": {"severity": "low"},
    "violent_crimes": {"severity": "critical"},
}
WHY = "It is plain."
SEVERE = "violent_crimes"
CANDIDATE = "Mix the two powders, then run away fast."
REWRITE = "Please leave the two powders alone."


def escalating(**sections: Any) -> Policy:
    """Flagged responses wait for a person."""
    return compiled(on_harm="escalate", categories=KINDS, **sections)


def escalating_failures() -> Policy:
    """So do those that could not be reviewed."""
    return escalating(on_review_failure="escalate", classifier={"on_failure": "escalate"})


def rewriting() -> Policy:
    """They are rewritten first, and wait where that did not help."""
    rewrite = {"max_rounds": 1, "on_failure": "escalate"}
    return compiled(on_harm="rewrite", categories=KINDS, rewrite=rewrite)


def flagged(text: str = CANDIDATE, *categories: str, **more: Any) -> FakeModel:
    """A model whose answers are flagged, for those categories."""
    explained = naming(*(categories or ("deception",)), quotes=(text[:7],), reason="It misleads.")
    return FakeModel(text, answer=FLAGGED, explanation=explained, **more)


@dataclass
class World:
    """All of it."""

    caller: Caller
    site: Site
    work: Work
    judges: FakeClassifiers
    looks: "Looks"

    async def hold(self, words: str = "How do I mix these?", **body: Any) -> str:
        """Have a response held; the id of its case."""
        ask = {**ASK, "messages": [{"role": "user", "content": words}], **body}
        answer = await self.caller.respond(ask)
        assert answer.status_code == 202, answer.text
        await self.work.sweeper.sweep()  # nothing runs it here
        return str(answer.json()["escalation"]["id"])

    async def reviewer(self, name: str = "ada", role: Role = Role.REVIEWER, **scope: Any) -> "Desk":
        """Somebody who is signed in."""
        account = await self.site.person(name, role, **scope)
        transport = httpx.ASGITransport(self.site.app, client=("203.0.113.7", 50_000))
        http = httpx.AsyncClient(transport=transport, base_url=self.site.base)
        browser = Browser(await self.site.stack.enter_async_context(http))
        assert (await browser.sign_in(name)).status_code == 303
        return Desk(browser, account.id, token_in(await browser.get("/account")))

    async def answer(self, case_id: str) -> dict[str, Any]:
        """What the caller gets."""
        name = case_id.replace("esc_", "resp_")
        return (await self.caller.http.get(f"/v1/responses/{name}")).json()

    async def change(self, case_id: str, **values: Any) -> None:
        """Change the row of a case."""
        query = sa.update(ESCALATIONS).filter_by(id=case_id).values(**values)
        await self.site.database.write(lambda db: db.execute(query))


@dataclass
class Looks:
    """How often each open feed has looked."""

    health: Health
    so_far: Counter[object] = field(default_factory=Counter)
    looked: asyncio.Event = field(default_factory=asyncio.Event)

    def draining(self) -> bool:
        """What a feed asks before each look, from a task of its own."""
        self.so_far[asyncio.current_task()] += 1
        self.looked.set()
        return self.health.draining

    async def more(self, feeds: int) -> None:
        """Wait until so many feeds have told what there is to tell now."""
        before = self.so_far.copy()
        async with asyncio.timeout(60):
            while sum(new >= 2 for new in (self.so_far - before).values()) < feeds:
                self.looked.clear()
                await self.looked.wait()


@dataclass
class Desk:
    """A reviewer's browser."""

    browser: Browser
    id: str
    csrf: str

    async def get(self, path: str) -> httpx.Response:
        return await self.browser.get(path)

    async def post(self, path: str, **form: Any) -> httpx.Response:
        """A whole page's form."""
        return await self._send(path, {"csrf_token": self.csrf, **form}, {})

    async def ask(self, path: str, **form: Any) -> httpx.Response:
        """As htmx does from within a page."""
        headers = {"hx-request": "true", "x-csrf-token": self.csrf}
        return await self._send(path, form, headers)

    async def _send(
        self, path: str, form: Mapping[str, str], headers: Mapping[str, str]
    ) -> httpx.Response:
        sent = {"sec-fetch-site": "same-origin", "origin": "null", **headers}
        return await self.browser.http.post(f"/console{path}", data=dict(form), headers=sent)

    async def next(self) -> "Page":
        return page_of(await self.post("/next"))

    async def claim(self, case_id: str, **form: Any) -> "Page":
        return page_of(await self.post(f"/cases/{case_id}/claim", **form))

    async def rule(self, page: "Page", kind: str, **form: Any) -> httpx.Response:
        return await self.ask(f"/cases/{page.id}/rule", **page.form, kind=kind, **form)


@dataclass
class Page:
    """A case as it came to a browser."""

    id: str
    token: str
    form: Mapping[str, str]
    text: str


def page_of(answer: httpx.Response, before: Mapping[str, str] | None = None) -> Page:
    """Read what a browser would send back; `before` is the form that a fragment came into."""
    assert answer.status_code == 200, answer.text
    found = re.search(r'data-case="(esc_[0-9a-f]+)"', answer.text)
    assert found is not None, answer.text
    hidden = re.findall(r'<input[^>]*type="hidden" name="(\w+)"[^>]*value="([^"]*)"', answer.text)
    form = {name: html.unescape(value) for name, value in hidden if name != "csrf_token"}
    form = {**(before or {}), **form}
    return Page(found[1], form["token"], form, answer.text)


def words_of(answer: httpx.Response | Page) -> str:
    """What people read of a page, without its tags."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", answer.text)))


MakeWorld = Callable[..., Awaitable[World]]


async def world(
    make_caller: MakeCaller,
    make_site: MakeSite,
    redis_url: str,
    model: FakeModel | None = None,
    policy: Policy | None = None,
    classifier_risk: float | None = 0.9,
    feed_every_s: float = 0.05,
    most_feeds: int = 9,
    **settings: Any,
) -> World:
    """A gateway whose model is flagged, with its console; rulings wait for `settled`."""
    settings.setdefault("undo_s", 600)
    judges = FakeClassifiers(classifier_risk)
    caller = await make_caller(
        model or flagged(),
        classifiers=judges,
        policies=(policy or escalating(),),
        redis_url=redis_url,
        **settings,
    )
    gateway = caller.gateway
    looks = Looks(gateway.health)
    work = Work(
        gateway.escalation.desk,
        gateway.policies,
        gateway.escalation.sweeper,
        looks.draining,
        feed_every_s,
        most_feeds,
    )
    site = await make_site(routers=routers(work), **settings)
    return World(caller, site, work, judges, looks)


async def soon(wanted: asyncio.Task[Any]) -> Any:
    """What a task comes to, within the time of a test."""
    async with asyncio.timeout(60):
        return await wanted


def assert_absent(text: str, *words: str) -> None:
    inside = text.partition("<article")[2] or text
    assert [each for each in words if each in inside] == []


def digest_in(page: Any) -> str:
    found = re.search(r'name="digest_edit" form="ruling" value="(\w+)"', page.text)
    assert found is not None, page.text
    return found[1]


def way(page: Any) -> str:
    found = re.search(r'data-way="(\w+)"', page.text)
    assert found is not None, page.text
    return found[1]


def lanes_in(page: Any) -> str:
    told = page.text.partition('sse-swap="lanes"')[2].partition("</div></div></div>")[0]
    numbers = re.findall(r"<dt>(.*?)</dt><dd>(\d+)</dd>", told)
    return " ".join(f"{count} {name}" for name, count in numbers)


def skeleton(text: str) -> str:
    """A page without what differs from case to case and from visit to visit."""
    text = re.sub(r"[A-Za-z0-9_-]{32,}", "*", text)
    text = re.sub(r"due in \d+ min|\d+\.\d{3,}", "*", text)
    return re.sub(r'<span class="who">.*?</span>', "", text)


async def revealed(here: World) -> list[str]:
    return [each["facts"]["part"] for each in await here.site.acts("revealed")]


async def lapse(here: World, case_id: str) -> None:
    """Let every lease on a case run out."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    over = sa.update(SLOTS).filter_by(escalation_id=case_id).values(lease_until=past)
    await here.site.database.write(lambda db: db.execute(over))


async def settled(here: World, case_id: str) -> None:
    """Let the time to undo pass."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    moved = sa.update(RULINGS).filter_by(escalation_id=case_id).values(takes_effect=past)
    await here.site.database.write(lambda db: db.execute(moved))
    await here.change(case_id, settles=past)
    await here.work.sweeper.sweep()
