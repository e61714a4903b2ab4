"""The list of cases, and rulings: who sees which, in which order, and nothing that was written."""

import html
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from inwit.cases import Role, RulingKind
from inwit.types import Category, Severity
from tests.console.conftest import Browser, MakeSite, main_of
from tests.console.records import SECRET, Records, records


def now() -> datetime:
    """A case's age is told against the clock, so no moment of import will do."""
    return datetime.now(UTC)


async def shown(browser: Browser, query: str = "") -> list[str]:
    """The ids of the cases on a page, in order."""
    page = await browser.get(f"/list{query}")
    assert page.status_code == 200, page.text
    return re.findall(r'<th scope="row">\s*(?:<a [^>]*>)?<code title="(esc_\w+)"', page.text)


def next_of(page: httpx.Response) -> str | None:
    found = re.search(r'href="/console(/[^"]*)" rel="next"', page.text)
    return html.unescape(found[1]) if found else None


async def test_the_oldest_case_is_first_with_the_reasons_of_its_rank(make_site: MakeSite) -> None:
    here = await records(make_site)
    late = await here.hold(opened=now() - timedelta(minutes=1), severity=Severity.LOW)
    early = await here.hold(
        opened=now() - timedelta(minutes=9), waits_until=now() + timedelta(hours=1)
    )
    browser, _ = await here.person()

    page = await browser.get("/list")

    assert await shown(browser) == [early, late]
    words = main_of(page)
    assert "caller is waiting" in words
    assert "due in 9 min" in words
    assert "has waited 9 min" in words
    assert "Deception" in words
    assert SECRET not in page.text
    assert f'action="/console/cases/{early}/claim"' in page.text


FILTERS: dict[str, set[str]] = {
    "": {"plain", "claimed", "stuck", "senior"},
    "?state=pending": {"plain", "stuck", "senior"},
    "?state=claimed": {"claimed"},
    "?state=stuck": {"stuck"},
    "?state=resolved": {"resolved"},
    "?state=expired": {"expired"},
    "?state=closed": {"resolved", "expired"},
    "?severity=critical": {"stuck"},
    "?category=privacy_leak": {"claimed"},
    "?language=DE": {"senior"},
    "?policy=strict": {"plain"},
    "?tenant=globex": {"plain"},
    "?tier=2": {"senior"},
    "?tier=1&severity=high": {"plain", "claimed"},
    "?mine=yes": {"claimed"},
    "?state=closed&mine=yes": {"resolved"},
}


async def test_filters(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, me = await here.person()
    made = {
        "plain": await here.hold(policy="strict", tenant="globex"),
        "claimed": await here.hold(categories=(Category.DECEPTION, Category.PRIVACY_LEAK)),
        "stuck": await here.hold(stuck=True, severity=Severity.CRITICAL),
        "senior": await here.hold(tier=2, language="de"),
        "resolved": await here.resolved(me),
        "expired": await here.hold(),
    }
    await here.claim(made["claimed"], me)
    await here.expire(made["expired"])

    for query, wanted in FILTERS.items():
        assert set(await shown(browser, query)) == {made[name] for name in wanted}, query


async def test_what_is_over_for_longer_is_not_listed(make_site: MakeSite) -> None:
    here = await records(make_site)
    case_id = await here.resolved()
    browser, _ = await here.person()
    await here.change(case_id, closed=now() - timedelta(days=8))
    assert await shown(browser, "?state=closed") == []
    assert await shown(browser, "?state=closed&days=30") == [case_id]


@pytest.mark.parametrize(("state", "gone"), [("open", 3), ("open", 49), ("closed", None)])
async def test_pages_are_one_after_another_and_do_not_move(
    make_site: MakeSite, state: str, gone: int | None
) -> None:
    here = await records(make_site)
    browser, _ = await here.person()
    made: list[str] = []
    for number in range(60):  # some at the very same moment
        moment = now() - timedelta(minutes=number // 3)
        values: dict[str, Any] = {"opened": moment}
        if state == "closed":
            values |= {"closed": moment, "state": "resolved"}
        made.append(await here.hold(**values))

    first = await browser.get(f"/list?state={state}&severity=high")
    more = next_of(first)
    assert more is not None
    assert "severity=high" in more
    await here.hold(opened=now() + timedelta(minutes=1))
    if gone is not None:  # one of the first page, or its last one, is closed meanwhile
        seen = await shown(browser, f"?state={state}")
        await here.change(seen[gone], state="resolved", closed=now())
    second = await browser.get(more)

    ids = re.findall(r'<code title="(esc_\w+)"', first.text + second.text)
    assert len(ids) == len(set(ids))
    assert set(made) <= set(ids)
    assert next_of(second) is None


async def test_nobody_sees_beyond_their_scope(make_site: MakeSite) -> None:
    here = await records(make_site)
    own, foreign = await here.hold(), await here.hold(tenant="globex")
    other = await here.hold(policy="strict")
    scope: dict[str, Any] = {
        "tenants": frozenset({"acme"}),
        "policies": frozenset({"default"}),
    }
    browser, _ = await here.person(**scope)

    assert await shown(browser) == [own]
    for query in (
        *("?tenant=globex", "?tenant=nobody", "?policy=strict"),
        *(f"?after={foreign}", f"?after={other}", "?after=esc_unknown"),
    ):
        assert (await browser.get(f"/list{query}")).status_code == 404, query
    assert "globex" not in (await browser.get("/list")).text


async def test_filters_that_are_none_are_refused(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, _ = await here.person()
    for query in (
        *("state=golden", "severity=x", "category=x", "tier=3", "days=0", "days=x"),
        *("after=a'b", "language=9", "policy=" + "x" * 200),
    ):
        assert (await browser.get(f"/list?{query}")).status_code == 422, query


async def test_golden_copies_are_told_to_their_reviewer_alone_and_look_like_others(
    make_site: MakeSite,
) -> None:
    here = await records(make_site)
    template = await here.template(await here.resolved())
    ada, me = await here.person("ada")
    ben, other = await here.person("ben")
    sue, _ = await here.person("sue", Role.SENIOR)
    lease = await here.copy(me)
    plain = await here.hold(opened=datetime.now(UTC) - timedelta(seconds=50))
    await here.claim(plain, me)

    page = await ada.get("/list")
    rows = re.findall(r"<tr>.*?</tr>", page.text, re.DOTALL)[1:]
    shapes = {re.sub(r"esc_\w+|\d+", "", row) for row in rows}
    assert await shown(ada) == [plain, lease.case_id]
    assert len(shapes) == 1, "a golden copy looks different"
    assert await shown(ada, "?mine=yes") == [plain, lease.case_id]

    for browser in (ben, sue):
        assert lease.case_id not in await shown(browser)
        assert (await browser.get(f"/list?after={lease.case_id}")).status_code == 404
    for browser in (ada, ben, sue):
        for state in ("open", "closed"):
            assert template.id not in await shown(browser, f"?state={state}")
    await here.rule(lease.case_id, me, lease=lease)
    assert lease.case_id in await shown(ada, "?state=resolved")
    assert lease.case_id not in await shown(sue, "?state=resolved")
    assert other != me


async def test_who_holds_a_case_is_for_seniors_and_auditors(make_site: MakeSite) -> None:
    here = await records(make_site)
    case_id = await here.hold()
    await here.claim(case_id, "rev_holder")
    for name, role, told in (
        ("rob", Role.REVIEWER, False),
        ("sue", Role.SENIOR, True),
        ("aud", Role.AUDITOR, True),
        ("adm", Role.ADMIN, False),
    ):
        browser, _ = await here.person(name, role)
        page = await browser.get("/list")
        assert ("rev_holder" in page.text) is told, role
        assert (f'href="/console/cases/{case_id}"' in page.text) is (role is not Role.ADMIN)
        assert "/claim" not in page.text


async def test_only_who_may_rule_on_a_case_is_offered_it(make_site: MakeSite) -> None:
    here = await records(make_site)
    free = await here.hold(language="en")
    taken = await here.hold()
    ruled = await here.hold(required=2)
    browser, me = await here.person(languages=frozenset({"en"}))
    await here.hold(language="de")
    await here.hold(tier=2, severity=Severity.LOW)
    mine = await here.hold()
    await here.claim(taken, "rev_other")
    await here.claim(mine, me)
    await here.rule(ruled, me)

    page = await browser.get("/list")

    offered = re.findall(r'action="/console/cases/(esc_\w+)/claim"', page.text)
    going_on = re.findall(r'class="button" href="/console/cases/(esc_\w+)"', page.text)
    tier_2 = [each for each in offered if (await here.case(each)).tier == 2]
    assert set(offered) - set(tier_2) == {free}
    assert going_on == [mine]


async def test_nothing_to_list_says_what_to_do(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, _ = await here.person(role=Role.SENIOR)
    assert "Clear the filters" in main_of(await browser.get("/list"))
    assert "Take the next one" in main_of(await browser.get("/rulings"))
    assert "Clear the filters" in main_of(await browser.get("/rulings/all"))


async def test_own_rulings_say_what_became_of_them(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, me = await here.person()
    settled = await here.resolved(me)
    undoable = await here.hold()
    ruling = await here.rule(undoable, me, undo_s=600)
    waits = await here.hold(required=2)
    await here.rule(waits, me, RulingKind.APPROVE, reason="It is private.")
    late = await here.hold()
    lease = await here.claim(late, me)
    await here.expire(late)
    await here.rule(late, me, lease=lease)
    await here.resolved("rev_other")

    page = await browser.get("/rulings")

    rows = dict(
        re.findall(
            r'title="(esc_\w+)".*?<td>\s*((?:settled|can|in effect|too).*?)</td>',
            page.text,
            re.DOTALL,
        )
    )
    words = {case: re.sub(r"<.*?>|\s+", " ", row).strip() for case, row in rows.items()}
    assert words.keys() == {settled, undoable, waits, late}
    assert words[settled] == "settled"
    assert words[undoable].startswith("can be taken back until")
    assert f'value="{ruling}"' in rows[undoable]
    assert "waits for another ruling" in words[waits]
    assert "for learning only" in words[late]
    assert "It is private" not in page.text
    assert (await browser.get("/rulings?after=rul_unknown")).status_code == 404


async def test_golden_rulings_are_among_ones_own_and_not_among_everybodys(
    make_site: MakeSite,
) -> None:
    here = await records(make_site)
    await here.template(await here.resolved())
    browser, me = await here.person("sue", Role.SENIOR)
    lease = await here.copy(me)
    await here.rule(lease.case_id, me, lease=lease)
    assert lease.case_id in (await browser.get("/rulings")).text
    assert lease.case_id not in (await browser.get("/rulings/all")).text


async def test_who_may_still_rule_is_not_told_what_another_said(make_site: MakeSite) -> None:
    here = await records(make_site)
    sue, _ = await here.person("sue", Role.SENIOR)
    aud, _ = await here.person("aud", Role.AUDITOR)
    open_case = await here.hold(required=2)
    await here.rule(open_case, "rev_first")
    closed = await here.resolved("rev_second")

    senior, auditor = await sue.get("/rulings/all"), await aud.get("/rulings/all")

    assert open_case not in senior.text
    assert closed in senior.text
    assert open_case in auditor.text
    assert "rev_first" in auditor.text


async def test_everybodys_rulings_have_filters_and_a_scope(make_site: MakeSite) -> None:
    here = await records(make_site)
    scope: dict[str, Any] = {"tenants": frozenset({"acme"})}
    browser, _ = await here.person("aud", Role.AUDITOR, **scope)
    one, other = await here.resolved("rev_1"), await here.resolved("rev_2", policy="strict")
    foreign = await here.resolved("rev_3", tenant="globex")
    for query, wanted in (
        ("", {one, other}),
        ("?person=rev_1", {one}),
        ("?policy=strict", {other}),
        ("?ruling=approve", set[str]()),
        ("?ruling=block", {one, other}),
        ("?tenant=acme", {one, other}),
    ):
        page = await browser.get(f"/rulings/all{query}")
        assert set(re.findall(r'title="(esc_\w+)"', page.text)) == wanted, query
        assert foreign not in page.text
    assert (await browser.get("/rulings/all?tenant=globex")).status_code == 404
    await here.rulings_changed(time=now() - timedelta(days=31))
    assert "No rulings here" in (await browser.get("/rulings/all")).text


async def test_rulings_come_in_pages(make_site: MakeSite) -> None:
    here: Records = await records(make_site)
    browser, me = await here.person()
    await here.resolved(me)
    times = await here.repeat_ruling(59)
    first = await browser.get("/rulings")
    more = next_of(first)
    assert more is not None
    second = await browser.get(more)
    told = re.findall(r'<th scope="row"><time datetime="([^"]+)"', first.text + second.text)
    assert len(told) == 60
    assert told == sorted(told, reverse=True)
    assert {time.isoformat() for time in times} <= set(told)
    assert next_of(second) is None


async def test_closed_cases_say_what_was_ruled_and_not_to_admins(make_site: MakeSite) -> None:
    here = await records(make_site)
    ada, me = await here.person("ada")
    adm, _ = await here.person("adm", Role.ADMIN)
    blocked, approved = await here.resolved(), await here.hold(required=2)
    for who in (me, "rev_other"):
        await here.rule(approved, who, RulingKind.APPROVE)
    expired = await here.hold()
    await here.expire(expired)

    async def told(browser: Browser) -> dict[str, str]:
        page = await browser.get("/list?state=closed")
        rows = re.findall(r'(?s)<code title="(esc_\w+)".*?<td>([^<]*)</td>\s*</tr>', page.text)
        return {case: state.strip() for case, state in rows}

    assert await told(ada) == {
        blocked: "ruled: block",
        approved: "ruled: approve",
        expired: "nobody ruled",
    }
    assert set((await told(adm)).values()) == {"ruled on", "nobody ruled"}


async def test_an_escalated_golden_copy_does_not_say_so(make_site: MakeSite) -> None:
    here = await records(make_site)
    await here.template(await here.resolved())
    ada, me = await here.person()
    lease = await here.copy(me)
    await here.rule(lease.case_id, me, RulingKind.ESCALATE, lease=lease)

    page = await ada.get("/list?state=closed&mine=yes")

    assert lease.case_id in page.text
    assert "ruled: escalate" not in page.text
