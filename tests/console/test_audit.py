"""The audit page: every act with its facts, found by person, case, kind and day; no content."""

import html
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from inwit.cases import ActKind, ActRecord, Reviewer, Role, RulingKind
from inwit.ledger.audit_read import LOOK, Asked, acts
from inwit.ledger.tables import ENTRIES
from inwit.ledger.transaction import Transaction
from tests.console.conftest import Browser, MakeSite, main_of
from tests.console.records import SECRET, Records, records

AUDITOR = Reviewer("rev_auditor", Role.AUDITOR)


async def kinds(browser: Browser, query: str = "") -> list[str]:
    """What the entries on a page are, the latest first."""
    page = await browser.get(f"/audit{query}")
    assert page.status_code == 200, page.text
    return re.findall(r"</time></td>\s*<td>([\w ]+)</td>", page.text)


async def note(here: Records, count: int, actor: str = "rev_x", kind: str = "viewed") -> None:
    def steps(transaction: Transaction) -> None:
        for number in range(count):
            record = ActRecord(
                ActKind(kind), transaction.now, "acme", actor, {"number": number}, {}
            )
            transaction.add(record)

    await here.site.parts.ledger.write(steps)


async def test_acts_are_told_with_their_facts_and_without_content(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, _ = await here.person("aud", Role.AUDITOR)
    case_id = await here.hold()
    await here.rule(case_id, "rev_ada", RulingKind.APPROVE, reason="My own words.")

    page = await browser.get(f"/audit?case={case_id}")

    assert await kinds(browser, f"?case={case_id}") == ["outcome", "ruled", "claimed"]
    words = main_of(page)
    assert "first verdict none" in words
    assert "despite flags no" in words
    assert "released yes" in words
    assert "rev_ada" in words
    assert "the gateway" in words
    assert "inwit ledger verify" in words
    for content in (SECRET, "My own words", ">aud<"):
        assert content not in html.unescape(page.text.partition("<table")[2])


async def test_filters(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, me = await here.person("aud", Role.AUDITOR)
    case_id = await here.hold()
    await here.rule(case_id, "rev_ada")
    template = await here.template(await here.resolved("rev_ben"))
    copy = await here.copy("rev_ada")
    # Days on both sides: midnight may come in between.
    today = datetime.now(UTC).date()
    past, tomorrow = today - timedelta(days=2), today + timedelta(days=1)

    assert await kinds(browser, "?person=rev_ada") == ["claimed", "ruled", "claimed"]
    assert await kinds(browser, "?kind=ruled") == ["ruled", "ruled"]
    assert await kinds(browser, f"?case={copy.case_id}") == ["claimed"]
    assert await kinds(browser, f"?case={case_id}&person=rev_ada&kind=ruled") == ["ruled"]
    assert await kinds(browser, f"?person={me}") == ["signed in"]
    assert await kinds(browser, f"?case={template.id}") == []
    assert "signed in" in await kinds(browser, f"?since={past}&until={tomorrow}")
    assert await kinds(browser, f"?until={past}") == []
    assert await kinds(browser, f"?since={tomorrow + timedelta(days=1)}") == []
    assert "Clear the filters" in main_of(await browser.get("/audit?person=rev_nobody"))
    for wrong in ("kind=x", "since=yesterday", "until=2026-13-01", "person=a'b", "before=-1"):
        assert (await browser.get(f"/audit?{wrong}")).status_code == 422, wrong


async def test_pages_go_back_in_time_and_nothing_is_told_twice(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, _ = await here.person("aud", Role.AUDITOR)
    await note(here, 230)
    told: list[str] = []
    path: str | None = "/audit?person=rev_x"
    while path is not None:
        page = await browser.get(path)
        told += re.findall(r"<dt>number</dt><dd>(\d+)</dd>", page.text)
        found = re.search(r'href="/console(/[^"]*)" rel="next"', page.text)
        path = html.unescape(found[1]) if found else None
        await note(here, 1, "rev_meanwhile")
    assert told == [str(number) for number in reversed(range(230))]


async def test_a_look_takes_a_bounded_number_of_entries(make_site: MakeSite) -> None:
    here = await records(make_site)
    await note(here, 1, "rev_long_ago")
    await note(here, 65)
    asked, before, looks = Asked(AUDITOR, actor="rev_long_ago"), None, 0
    while True:
        found = await here.site.database.read(
            lambda db, place=before: acts(db, asked, place, 10, look=30)
        )
        looks += 1
        if found.before is None:
            break
        assert found.found == ()
        assert before is None or found.before == before - 30
        before = found.before
    assert [act.actor for act in found.found] == ["rev_long_ago"]
    assert looks == 3


async def test_the_page_offers_to_look_further_back(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, _ = await here.person("aud", Role.AUDITOR)
    await note(here, 1)
    far = sa.update(ENTRIES).filter_by(type="viewed").values(sequence=LOOK + 50)
    await here.site.database.write(lambda db: db.execute(far))
    page = await browser.get("/audit?kind=signed_in")
    found = re.search(r'href="/console(/audit[^"]*before=[^"]*)">Look further back', page.text)
    assert found is not None
    assert await kinds(browser, html.unescape(found[1]).removeprefix("/audit")) == ["signed in"]


async def test_an_entry_that_was_changed_is_told_as_such(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, _ = await here.person("aud", Role.AUDITOR)
    await note(here, 1, "rev_culprit")

    def tamper(connection: sa.Connection) -> None:
        body = connection.execute(sa.select(ENTRIES.c.body).filter_by(type="viewed")).scalar_one()
        changed = body.replace(b"rev_culprit", b"rev_someone")
        connection.execute(sa.update(ENTRIES).filter_by(type="viewed").values(body=changed))

    await here.site.database.write(tamper)
    for query in ("", "?person=rev_culprit", "?case=esc_1", "?kind=viewed"):
        page = await browser.get(f"/audit{query}")
        assert "This entry is not as it was written" in page.text, query
        assert "rev_someone" not in page.text


async def test_a_limited_auditor_is_told_of_their_cases_alone(make_site: MakeSite) -> None:
    here = await records(make_site)
    scope: dict[str, Any] = {"tenants": frozenset({"acme"}), "policies": frozenset({"default"})}
    browser, _ = await here.person("aud", Role.AUDITOR, **scope)
    own = await here.resolved("rev_own")
    for held in ({"tenant": "globex"}, {"policy": "strict"}):
        foreign = await here.resolved("rev_foreign", **held)
        assert await kinds(browser, f"?case={foreign}") == []
    assert await kinds(browser) == ["outcome", "ruled", "claimed"]
    assert await kinds(browser, f"?case={own}") == ["outcome", "ruled", "claimed"]
    assert "rev_foreign" not in (await browser.get("/audit")).text


async def test_days_are_found_by_the_time_of_entries(make_site: MakeSite) -> None:
    here = await records(make_site)
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)

    def steps(transaction: Transaction) -> None:
        for day in range(5):
            time = noon + timedelta(days=day)
            transaction.add(ActRecord(ActKind.VIEWED, time, "", f"rev_{day}", {}, {}))

    await here.site.parts.ledger.write(steps)
    asked = Asked(
        AUDITOR, since=noon.replace(hour=0) + timedelta(days=1), until=noon + timedelta(days=3)
    )
    found = await here.site.database.read(lambda db: acts(db, asked, None, 10))
    assert [act.actor for act in found.found] == ["rev_2", "rev_1"]
