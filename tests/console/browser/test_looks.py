"""Each page of a reviewer, in each of its states."""

import pytest
from playwright.async_api import expect

from inwit.cases import Role
from tests.console.browser.conftest import MakeFloor, take_next
from tests.console.browser.looks import looks
from tests.console.reviewing.world import FLAGGED, SEVERE, flagged, rewriting
from tests.fakes import FakeModel, naming

pytestmark = pytest.mark.browser

ASKED = "Which of your two plans is the better one for me? I call abroad twice a year."
CANDIDATE = (
    "Take the large plan, of course. The small plan has no calls abroad at all, and you would pay "
    "a fine for each one. Everybody regrets the small plan."
)
REWRITE = (
    "The small plan may well do for you. Calls abroad cost extra on it, and twice a year that is "
    "less than the difference in price. The large plan has them included."
)
EXPLAINED = (
    naming(
        "deception",
        quotes=("The small plan has no calls abroad at all", "a fine for each one"),
        reason="It says that the small plan has no calls abroad, which is not so.",
    ),
    naming("deception", reason="It still leans towards the large plan."),
)


async def test_a_case_in_each_of_its_states(make_floor: MakeFloor) -> None:
    model = FakeModel(CANDIDATE, answer=FLAGGED, rewrites=[REWRITE])
    floor = await make_floor(model=model, policy=rewriting(), undo_s=0)
    model.explanations = [*EXPLAINED]
    earlier = await floor.world.hold(ASKED)
    model.explanations = [*EXPLAINED]
    model.generations.clear()
    bob = await floor.world.reviewer("bob")
    await bob.rule(await bob.claim(earlier), "approve_rewrite")
    await floor.world.hold(ASKED)
    page = await floor.person()

    await take_next(page)
    await expect(page.locator("#part-policy table")).to_have_count(2)
    await looks(page, "case")
    await page.locator("#kind-block").check()
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("#ruling-problem h3")).to_be_visible()
    await looks(page, "case-problem")
    await page.fill("#text", CANDIDATE)
    await page.fill("#reason", "The better half is kept.")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("#edit-check h2")).to_be_visible()
    await looks(page, "case-check")
    await page.get_by_role("button", name="Skip").first.click()
    await looks(page, "case-skip")
    await page.keyboard.press("Escape")
    await page.locator("#kind-approve").check()
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("h1")).to_contain_text("Ruled")
    await looks(page, "ruled")
    await page.goto(f"{floor.address}/console/cases/{earlier}")
    await looks(page, "case-read")


async def test_a_case_that_is_covered_blind_or_not_claimed(make_floor: MakeFloor) -> None:
    floor = await make_floor(model=flagged(CANDIDATE, SEVERE), blind_share=1.0)
    case_id = await floor.world.hold(ASKED)
    page = await floor.person()

    await page.goto(f"{floor.address}/console/cases/{case_id}")
    await looks(page, "case-door")
    await page.get_by_role("button", name="Claim this case").click()
    await expect(page.locator("#ruling")).to_contain_text("Your first verdict")
    await looks(page, "case-covered")


async def test_the_pages_around(make_floor: MakeFloor) -> None:
    floor = await make_floor(exposure_budget={"high": 20, "critical": 5})
    page = await floor.person()

    await page.keyboard.press("n")
    await expect(page.locator("h1")).to_have_text("No case for you now")
    await looks(page, "none")
    for _ in range(3):
        await floor.world.hold(ASKED)
    await page.goto(f"{floor.address}/console/")
    await expect(page.locator(".lanes dd").first).to_have_text("3")
    await looks(page, "home", picture="")
    await page.keyboard.press("?")
    await looks(page, "keys")
    await page.keyboard.press("Escape")
    await take_next(page)
    await page.goto(f"{floor.address}/console/")
    await page.keyboard.press("n")
    await expect(page.locator("h1")).to_have_text("You still have a case open")
    await looks(page, "still-open")
    await page.goto(f"{floor.address}/console/reviewing")
    await looks(page, "reviewing")
    auditor = await floor.person("ann", Role.AUDITOR)
    await looks(auditor, "home-auditor")
