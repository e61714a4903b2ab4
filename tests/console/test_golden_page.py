"""Golden cases: made of resolved ones, counted, retired; within the senior's scope."""

from typing import Any

from inwit.cases import CaseState, Role, RulingKind
from tests.console.conftest import Browser, MakeSite, main_of
from tests.console.records import SECRET, records


async def send(browser: Browser, path: str, **form: Any) -> Any:
    return await browser.post(path, {"csrf_token": await browser.token(), **form})


async def test_a_senior_makes_a_golden_case_and_retires_it(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, me = await here.person("sue", Role.SENIOR)
    case_id = await here.resolved()
    assert "There are none yet" in main_of(await browser.get("/golden"))

    made = await send(browser, "/golden", case=f" {case_id} ", expected="block")

    assert made.status_code == 303
    page = await browser.get("/golden")
    assert f'href="/console/cases/{case_id}"' in page.text
    assert SECRET not in page.text
    (act,) = [each for each in await here.site.acts("changed") if each["actor"] == me]
    template = act["facts"]["golden"]
    assert act["facts"]["expected"] == "block"

    retired = await send(browser, f"/golden/{template}/retire")

    assert retired.status_code == 303
    assert "There are none yet" in main_of(await browser.get("/golden"))
    assert (await here.case(template)).state is CaseState.EXPIRED
    assert (await send(browser, f"/golden/{template}/retire")).status_code == 409


async def test_copies_and_right_answers_are_counted(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, _ = await here.person("sue", Role.SENIOR)
    await here.template(await here.resolved(), RulingKind.BLOCK)
    for who, kind in (
        ("rev_1", RulingKind.BLOCK),
        ("rev_2", RulingKind.BLOCK),
        ("rev_3", RulingKind.APPROVE),
        ("rev_4", None),
    ):
        lease = await here.copy(who)
        if kind is not None:
            await here.rule(lease.case_id, who, kind, lease=lease)
    await here.template(await here.resolved(), RulingKind.APPROVE)

    words = main_of(await browser.get("/golden"))

    assert "block 4 2 of 3: 67%" in words
    assert "approve 0 none" in words


async def test_what_cannot_be_golden_is_refused(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, _ = await here.person("sue", Role.SENIOR)
    waiting, resolved = await here.hold(), await here.resolved()
    template = (await here.template(resolved)).id
    for case_id, expected, status in (
        (waiting, "block", 409),
        (template, "block", 409),
        (resolved, "sing", 422),
        (resolved, "", 422),
        ("' or 1=1", "block", 422),
        ("", "block", 422),
        ("esc_unknown", "block", 404),
    ):
        answer = await send(browser, "/golden", case=case_id, expected=expected)
        assert answer.status_code == status, (case_id, expected)
    assert (await send(browser, f"/golden/{resolved}/retire")).status_code == 409
    assert (await send(browser, "/golden/esc_unknown/retire")).status_code == 404


async def test_a_limited_senior_sees_and_touches_their_own_alone(make_site: MakeSite) -> None:
    here = await records(make_site)
    browser, _ = await here.person("sue", Role.SENIOR, tenants=frozenset({"acme"}))
    foreign = await here.resolved(tenant="globex")
    template = await here.template(foreign)
    assert "globex" not in (await browser.get("/golden")).text
    assert (await send(browser, "/golden", case=foreign, expected="block")).status_code == 404
    assert (await send(browser, f"/golden/{template.id}/retire")).status_code == 404
    assert (await here.case(template.id)).state is CaseState.GOLDEN


async def test_the_page_says_where_no_copies_are_given_out(make_site: MakeSite) -> None:
    here = await records(make_site, golden_share=0.1)
    browser, _ = await here.person("sue", Role.SENIOR)
    assert "INWIT_GOLDEN_SHARE" not in (await browser.get("/golden?case=esc_1")).text
    other = await records(make_site)
    ben, _ = await other.person("ben", Role.SENIOR)
    assert "INWIT_GOLDEN_SHARE" in (await ben.get("/golden")).text
