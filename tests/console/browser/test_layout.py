"""Where things stand on the pages: in sight, in line, and said once they are kept."""

import pytest
from playwright.async_api import Locator, Page, Response, expect

from inwit.cases import Role
from tests.console.browser.conftest import SOON_LOST_S, MakeFloor, take_next
from tests.console.reviewing.world import lapse

pytestmark = pytest.mark.browser

TABLET = {"width": 820, "height": 1180}


async def test_what_sends_skips_and_gives_back_is_always_in_sight(make_floor: MakeFloor) -> None:
    floor = await make_floor(lease_s=SOON_LOST_S)
    case_id = await floor.world.hold("Which of the two powders is it? " * 200)
    page = await floor.person()
    await take_next(page)
    await in_sight(page, "Rule")

    await page.locator("#kind-block").check()
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("#ruling-problem")).to_contain_text("Not ruled yet")
    await in_sight(page, "Rule")
    await lapse(floor.world, case_id)
    await expect(page.locator("#lease-lost")).to_be_visible()
    await page.locator("#kind-edit").check()
    await in_sight(page, "Check and rule")
    assert await page.evaluate("scrollY") == 0


async def in_sight(page: Page, sends: str) -> None:
    for name in (sends, "Skip …", "Give back", "Keys"):
        button = page.get_by_role("button", name=name, exact=True)
        await expect(button).to_be_in_viewport(ratio=1)


async def test_the_focus_goes_to_the_first_field_that_is_missing(make_floor: MakeFloor) -> None:
    floor = await make_floor()
    await floor.world.hold()
    page = await floor.person()
    await take_next(page)

    await page.keyboard.press("Control+Enter")
    await expect(page.locator("#kind-approve")).to_be_focused()
    await page.keyboard.press("4")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("#clause")).to_be_focused()
    await expect(page.locator("#clause")).to_have_attribute("aria-invalid", "true")
    await page.locator("#clause").select_option(index=1)
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("#reason")).to_be_focused()
    await page.keyboard.type("It is plain.")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("h1")).to_have_text("Ruled: block")


@pytest.mark.parametrize("path", ["/reviewing", "/account"])
async def test_what_was_kept_is_said_once(make_floor: MakeFloor, path: str) -> None:
    floor = await make_floor()
    page = await floor.person()
    await page.goto(f"{floor.address}/console{path}")

    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("status").filter(has_text="Saved.")).to_be_visible()
    await expect(page).to_have_url(f"{floor.address}/console{path}")
    await page.reload()
    await expect(page.locator("h1")).to_be_visible()
    await expect(page.get_by_text("Saved.")).to_have_count(0)


@pytest.mark.parametrize("path", ["/list", "/rulings", "/agreement", "/people", "/account"])
async def test_keys_work_on_every_page(make_floor: MakeFloor, path: str) -> None:
    floor = await make_floor()
    await floor.world.hold()
    page = await floor.person("sue", Role.SENIOR)
    await page.goto(f"{floor.address}/console{path}")

    await page.keyboard.press("?")
    await expect(page.locator("#keys")).to_be_visible()
    await page.keyboard.press("Escape")
    await page.keyboard.press("n")

    await expect(page.locator("#ruling")).to_be_visible()


async def test_a_tab_that_nobody_sees_leaves_its_feed_to_others(make_floor: MakeFloor) -> None:
    floor = await make_floor(most_feeds=1)
    first = await floor.person()
    lane = first.locator(".lanes dd").first
    await floor.world.hold()
    await expect(lane).to_have_text("1")

    await hidden(first, True)
    second = await floor.tab(first.context)
    # Perhaps not at its first try: the place is free once the server knows that the other has gone.
    async with second.expect_response(fed):
        await second.goto(f"{floor.address}/console/")
    await second.close()
    await hidden(first, False)
    await floor.world.hold()

    await expect(lane).to_have_text("2")


def fed(answer: Response) -> bool:
    return answer.url.endswith("/feed") and answer.status == 200


async def hidden(page: Page, yes: bool) -> None:
    """Headless tabs are all shown: the page is told what a browser would say."""
    await page.evaluate(
        """yes => {
            Object.defineProperty(document, "hidden", { get: () => yes, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        yes,
    )


async def test_a_tablet_shows_two_rows_of_head_and_lanes_in_line(make_floor: MakeFloor) -> None:
    floor = await make_floor()
    page = await floor.person("sue", Role.SENIOR, viewport=TABLET)

    assert len(await tops(page.locator("header .brand, header nav a"))) == 2
    assert len(await tops(page.locator(".lanes dd"))) == 1


async def tops(found: Locator) -> set[float]:
    boxes = [await each.bounding_box() for each in await found.all()]
    assert boxes
    return {round(box["y"] + box["height"] / 2) for box in boxes if box is not None}


async def test_an_admins_first_page_leads_to_what_an_admin_does(make_floor: MakeFloor) -> None:
    floor = await make_floor()
    page = await floor.person("pat", Role.ADMIN)

    await expect(page.get_by_role("button", name="Keys")).to_have_count(0)
    await page.keyboard.press("?")
    await expect(page.locator("dialog")).to_have_count(0)
    await page.locator("main").get_by_role("link", name="People").click()
    await expect(page.get_by_role("heading", name="Add a person")).to_be_visible()


async def test_an_auditor_is_told_of_no_key_for_ruling(make_floor: MakeFloor) -> None:
    floor = await make_floor()
    page = await floor.person("ann", Role.AUDITOR)

    await page.keyboard.press("?")

    keys = page.locator("#keys kbd")
    await expect(keys).to_have_text(["?", "j", "k", "r"])
