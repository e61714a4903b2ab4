"""The agreement page: it comes at once, and its numbers follow from a child process."""

import html
import re

import httpx

from inwit.agreement.report import (
    Estimate,
    Share,
    WhyNot,
)
from inwit.cases import Role, RulingKind
from inwit.console.agreement_page import estimate_in_words, in_words
from inwit.types import Category
from tests.console.conftest import Browser, MakeSite, main_of
from tests.console.records import Records, records


def words_of(fragment: httpx.Response) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", fragment.text)))


async def numbers(browser: Browser, query: str = "", part: str = "report") -> httpx.Response:
    """What htmx puts into the page: asked at the address that the page names."""
    page = await browser.get(f"/agreement{query}")
    assert page.status_code == 200, page.text
    assert "The numbers are being computed" in page.text
    found = re.search(rf'hx-get="/console(/agreement/{part}[^"]*)"', page.text)
    assert found is not None, page.text
    return await browser.get(html.unescape(found[1]), **{"hx-request": "true"})


async def two_rulings(here: Records, one: RulingKind, other: RulingKind, policy: str) -> None:
    case_id = await here.hold(required=2, policy=policy)
    await here.rule(case_id, "rev_1", one)
    await here.rule(case_id, "rev_2", other)


async def test_numbers_follow_the_page_with_intervals_and_reasons(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, _ = await here.person("sue", Role.SENIOR)
    for _ in range(2):
        await two_rulings(here, RulingKind.BLOCK, RulingKind.BLOCK, "default")
    await two_rulings(here, RulingKind.APPROVE, RulingKind.APPROVE, "default")
    late = await here.hold()
    lease = await here.claim(late, "rev_1")
    await here.expire(late)
    await here.rule(late, "rev_1", lease=lease)

    fragment = await numbers(browser)

    assert fragment.status_code == 200
    assert fragment.text.lstrip().startswith("<div")
    words = words_of(fragment)
    assert "Policy: default 3 few 100% (44% to 100%)" in words
    assert "Category: Deception 3" in words
    assert "1, kept for learning only" in words
    assert "None" not in words
    assert "People against the conscience" in words
    assert "People against the classifier" in words
    assert "was not asked" in words
    assert "INWIT_BLIND_SHARE" in words
    for note in re.findall(r'href="#(why-\w+)"', fragment.text):
        assert f'id="{note}"' in fragment.text
    for table in re.findall(r"<table>.*?</table>", fragment.text, re.DOTALL):
        assert "<caption>" in table
        assert table.count('scope="row"') == table.count("<tr>") - 1


async def test_filters_and_scope_bound_the_numbers(make_site: MakeSite) -> None:
    here = await records(make_site)
    scope = {"tenants": frozenset({"acme"})}
    browser, _ = await here.person("aud", Role.AUDITOR, **scope)  # pyright: ignore[reportArgumentType]  # scope has no role
    await here.resolved()
    await here.resolved(policy="strict")
    await here.resolved(tenant="globex")
    assert "Closed cases 2 " in words_of(await numbers(browser))
    assert "Closed cases 1 " in words_of(await numbers(browser, "?policy=strict"))
    assert "Nothing to count yet" in words_of(await numbers(browser, "?language=fr"))
    query = f"?category={Category.HATE.value}&days=90"
    assert "Nothing to count yet" in words_of(await numbers(browser, query))
    for path in ("/agreement", "/agreement/report"):
        assert (await browser.get(f"{path}?tenant=globex")).status_code == 404
        for wrong in ("days=0", "category=x", "language=1"):
            assert (await browser.get(f"{path}?{wrong}")).status_code == 422


async def test_single_people_are_for_seniors_alone(make_site: MakeSite) -> None:
    here = await records(make_site)
    sue, _ = await here.person("sue", Role.SENIOR)
    ben, his = await here.person("ben")
    await here.template(await here.resolved())
    lease = await here.copy(his)
    await here.rule(lease.case_id, his, lease=lease)

    words = words_of(await numbers(sue, part="people"))

    assert f"ben {his} 1 of 1: 100%" in words
    assert "few" in words
    for name, role in (("aud", Role.AUDITOR), ("adm", Role.ADMIN)):
        browser, _ = await here.person(name, role)
        assert "agreement/people" not in (await browser.get("/agreement")).text
        assert (await browser.get("/agreement/people")).status_code == 403
        assert his not in (await numbers(browser)).text
    assert (await ben.get("/agreement")).status_code == 403


async def test_nobody_ruled_says_what_to_do(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, _ = await here.person("sue", Role.SENIOR)
    assert "Choose a longer one" in words_of(await numbers(browser))
    assert "Make some under" in words_of(await numbers(browser, part="people"))
    assert "Agreement" in main_of(await browser.get("/agreement"))


def test_numbers_in_words() -> None:
    assert in_words(Share(0, 0, None, None, None, too_few=True)) == "none"
    assert in_words(Share(3, 4, 0.75, 0.3, 0.95, too_few=True)) == "3 of 4: 75% (30% to 95%)"
    none = Estimate(None, why=WhyNot.NO_VARIATION)
    assert estimate_in_words(none, percent=False) == "none"
    assert estimate_in_words(Estimate(0.5, 0.25, 0.75), percent=False) == "0.50 (0.25 to 0.75)"
    assert estimate_in_words(Estimate(0.5, 0.25, 0.75), percent=True) == "50% (25% to 75%)"
    assert estimate_in_words(Estimate(0.5, why=WhyNot.SAME_IN_ALL), percent=False) == "0.50"


async def test_a_report_that_takes_longer_is_asked_for_again(make_site: MakeSite) -> None:
    here = await records(make_site)
    template = here.site.parts.pages.environment.get_template("agreement_later.html")
    text = template.render(
        again="/console/agreement/report?days=30&x=1", detail="Others.", delay_s=10
    )
    assert 'hx-get="/console/agreement/report?days=30&amp;x=1"' in text
    assert 'hx-trigger="load delay:10s"' in text
