"""Reviewers at work in a real browser: keys, edits, tabs, leases, and a connection that goes."""

import asyncio
from typing import Any

import httpx
import pytest
from playwright.async_api import Page, Route, expect

from inwit.console.account_rows import OPERATOR
from tests.conftest import ASK
from tests.console.browser.conftest import SOON_LOST_S, Floor, MakeFloor, take_next
from tests.console.reviewing.world import CANDIDATE, FINE, FLAGGED, SEVERE, flagged, lapse, soon

pytestmark = pytest.mark.browser

EDITED = "Leave both powders\nwhere they are. \u00e9"


async def test_a_waiting_caller_gets_the_edited_bytes_by_keys_alone(make_floor: MakeFloor) -> None:
    model = flagged(CANDIDATE, SEVERE, answers=[FLAGGED, FINE])
    floor = await make_floor(model=model)
    waiting = asyncio.create_task(ask(floor, wait_ms=240_000))
    page = await floor.person()
    await expect(page.locator(".lanes dd").first).to_have_text("1")
    floor.world.judges.risk = 0.05

    await take_next(page)
    await expect(page.locator("#part-candidate")).to_contain_text("This text is covered")
    await page.keyboard.press("j")
    await expect(page.locator("#part-conversation")).to_be_focused()
    await page.keyboard.press("j")
    await page.keyboard.press("r")
    await expect(page.locator("#part-candidate .written").first).to_contain_text(CANDIDATE[8:])
    await expect(page.locator("#part-conversation")).to_contain_text("This text is covered")
    await expect(page.locator("#part-candidate")).to_be_focused()
    await page.keyboard.press("e")
    await expect(page.locator("#text")).to_be_focused()
    await page.keyboard.press("Control+A")
    await page.keyboard.type(EDITED)
    await page.keyboard.press("Tab")
    await page.locator("#reason").press_sequentially("n 4 j: typed, not obeyed")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("#edit-check")).to_contain_text("The judges pass your text")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("h1")).to_have_text("Ruled: edit")
    await expect(page.locator("#case")).to_contain_text("It has taken effect")

    answer = await soon(waiting)
    assert answer["output"]["content"] == EDITED
    assert answer["status"] == "released"


async def test_an_answer_takes_the_focus_from_nobody_who_goes_on_typing(
    make_floor: MakeFloor,
) -> None:
    floor = await make_floor()
    await floor.world.hold()
    page = await floor.person()
    await take_next(page)
    answered = asyncio.Event()

    async def late(route: Route) -> None:
        await answered.wait()
        await route.continue_()

    await page.route("**/rule", late)
    await page.keyboard.press("e")
    await page.keyboard.press("Control+A")
    await page.keyboard.type("One")
    await page.keyboard.press("Control+Enter")
    await page.keyboard.type(" and two")
    answered.set()
    await expect(page.locator("#draft-state")).to_contain_text("check it again")
    await expect(page.locator("#edit-check")).to_be_empty()
    await page.keyboard.type(", next")
    await expect(page.locator("#text")).to_have_value("One and two, next")
    await page.keyboard.press("Control+Enter")

    await expect(page.locator("#edit-check h2")).to_be_visible()
    await expect(page.locator("#edit-check button")).to_be_focused()


async def test_keys_rule_undo_and_skip(make_floor: MakeFloor) -> None:
    floor = await make_floor(undo_s=600)  # none too late
    case_id = await floor.world.hold()
    page = await floor.person()

    await page.keyboard.press("?")
    await expect(page.locator("#keys")).to_contain_text("Next case")
    await page.keyboard.press("n")
    await expect(page).to_have_url(f"{floor.address}/console/")
    await page.keyboard.press("Escape")
    await take_next(page)
    await expect(page).to_have_url(f"{floor.address}/console/cases/{case_id}")
    await page.keyboard.press("1")
    await expect(page.locator("#kind-approve")).to_be_checked()
    await page.keyboard.press("5")
    await expect(page.locator("#kind-escalate")).to_be_checked()
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("#ruling-problem")).to_contain_text("the policy wants a reason")
    await expect(page.locator("#reason")).to_have_attribute("aria-invalid", "true")
    await page.keyboard.press("1")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("h1")).to_be_focused()
    await page.keyboard.press("u")
    await expect(page.locator("#ruling")).to_be_visible()
    await page.wait_for_load_state()
    await expect(page).to_have_url(f"{floor.address}/console/cases/{case_id}")
    await page.keyboard.press("s")
    await page.locator("#skip").get_by_text("I decline").click()
    await page.locator("#skip").get_by_role("button", name="Skip it").click()
    await expect(page.locator("h1")).to_have_text("Queue")
    await page.wait_for_load_state()
    await page.keyboard.press("n")
    await expect(page.locator("h1")).to_have_text("No case for you now")


async def test_keys_can_be_switched_off(make_floor: MakeFloor) -> None:
    floor = await make_floor()
    await floor.world.hold()
    page = await floor.person()
    await page.goto(f"{floor.address}/console/reviewing")
    await page.get_by_label("Single keys are on").uncheck()
    await page.get_by_role("button", name="Save").click()
    await page.goto(f"{floor.address}/console/")

    await page.keyboard.press("n")
    await page.get_by_role("button", name="Keys").click()

    await expect(page.locator("#keys")).to_contain_text("Single keys are switched off")
    await expect(page).to_have_url(f"{floor.address}/console/")


async def test_a_reload_goes_on_and_a_second_tab_takes_over(make_floor: MakeFloor) -> None:
    floor = await make_floor(lease_s=SOON_LOST_S)
    await floor.world.hold()
    first = await floor.person()
    await take_next(first)
    await first.fill("#text", "Begun in the first tab.")
    await expect(first.locator("#draft-state")).to_have_text("Draft saved.")
    token = await token_of(first)

    await first.reload()
    await expect(first.locator("#text")).to_have_value("Begun in the first tab.")
    assert await token_of(first) == token
    second = await floor.tab(first.context)
    await second.goto(first.url)
    await second.get_by_role("button", name="Take over here").click()
    await expect(second.locator("#text")).to_have_value("Begun in the first tab.")

    assert await token_of(second) != token
    await first.fill("#reason", "Kept as it was typed")
    await expect(first.locator("#lease-lost")).to_be_visible()
    await first.locator("#lease-lost").get_by_role("button").click()
    await expect(first.locator("#ruling-problem")).to_contain_text("in another tab")
    await first.get_by_role("button", name="Take over here").click()
    await expect(first.locator("#lease")).to_contain_text("The case is yours again")
    await expect(first.locator("#lease-lost")).to_be_hidden()
    await expect(first.locator("#reason")).to_have_value("Kept as it was typed")
    await expect(second.locator("#lease-lost")).to_be_visible()


async def test_a_lease_that_ran_out_costs_nothing_that_was_typed(make_floor: MakeFloor) -> None:
    floor = await make_floor(lease_s=SOON_LOST_S)
    case_id = await floor.world.hold()
    page = await floor.person()
    await take_next(page)
    await page.fill("#reason", "I had my reasons")

    await lapse(floor.world, case_id)
    await expect(page.locator("#lease-lost")).to_be_visible()
    await page.locator("#kind-approve").check()
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("#ruling-problem")).to_contain_text("Your lease on this case is over")
    await page.locator("#lease-lost").get_by_role("button", name="Claim it again").click()
    await expect(page.locator("#lease-lost")).to_be_hidden()
    await expect(page.locator("#reason")).to_have_value("I had my reasons")
    await page.keyboard.press("Control+Enter")

    await expect(page.locator("h1")).to_have_text("Ruled: approve the candidate")


async def test_without_a_connection_the_page_says_so_and_goes_on(make_floor: MakeFloor) -> None:
    floor = await make_floor(lease_s=2 * SOON_LOST_S)  # for half of it nothing may come through
    await floor.world.hold()
    page = await floor.person()
    await take_next(page)
    await expect(page.locator("#ruling")).to_be_visible()

    await page.context.set_offline(True)
    await expect(page.locator("#connection-lost")).to_be_visible()
    await page.fill("#text", "Written on a train.")
    await expect(page.locator("#draft-state")).to_have_text("The draft is not saved yet.")
    await page.context.set_offline(False)
    await expect(page.locator("#connection-lost")).to_be_hidden()
    await expect(page.locator("#draft-state")).to_have_text("Draft saved.")

    await expect(page.locator("#text")).to_have_value("Written on a train.")
    await page.reload()
    await expect(page.locator("#text")).to_have_value("Written on a train.")


async def test_who_is_signed_out_meanwhile_is_told_and_keeps_what_is_typed(
    make_floor: MakeFloor,
) -> None:
    floor = await make_floor(lease_s=SOON_LOST_S)
    await floor.world.hold()
    page = await floor.person()
    await take_next(page)
    await page.fill("#reason", "Half a")

    account = await floor.world.site.parts.accounts.named("ada")
    assert account is not None
    await floor.world.site.parts.accounts.end_sessions(account.id, OPERATOR)

    await expect(page.locator("#signed-out")).to_be_visible()
    await expect(page.locator("#reason")).to_have_value("Half a")


async def test_a_case_that_is_closed_meanwhile_says_so_and_does_not_move(
    make_floor: MakeFloor,
) -> None:
    floor = await make_floor()
    case_id = await floor.world.hold()
    page = await floor.person()
    await take_next(page)
    await page.fill("#reason", "Half a")

    await floor.world.change(case_id, state="expired")

    await expect(page.locator("#note")).to_contain_text("This case was closed meanwhile")
    await expect(page.locator("#reason")).to_have_value("Half a")


async def ask(floor: Floor, **body: Any) -> dict[str, Any]:
    """What a product's backend gets."""
    key = {"authorization": f"Bearer {floor.world.caller.key}"}
    async with httpx.AsyncClient(timeout=300) as http:
        answer = await http.post(f"{floor.address}/v1/respond", json={**ASK, **body}, headers=key)
    return answer.json()


async def token_of(page: Page) -> str:
    return await page.locator("#token").input_value()
