"""The story of a response in a real browser, which checks its proof by itself."""

import re
from typing import Any

import pytest
import sqlalchemy as sa
from playwright.async_api import Page, expect

from inwit.cases import Role
from inwit.ledger.notes import SigningKey
from inwit.ledger.proofs import Signed
from inwit.ledger.sequencer import Sequencer
from inwit.ledger.tables import ENTRIES
from tests.console.browser.conftest import Floor, MakeFloor
from tests.console.browser.looks import looks
from tests.fakes import FakeModel

pytestmark = pytest.mark.browser

KEY = SigningKey("inwit-4f1a09c2", bytes(range(32)))
OTHER = SigningKey("inwit-4f1a09c2", bytes(32))


async def covered(floor: Floor) -> Signed:
    signed = await Sequencer(floor.world.site.database, [KEY], 60).work()
    assert signed is not None
    return signed


async def ruled(floor: Floor) -> str:
    """A response that a person ruled on; its id."""
    case_id = await floor.world.hold()
    bob = await floor.world.reviewer("bob")
    await bob.rule(await bob.claim(case_id), "approve")
    return case_id.replace("esc_", "resp_")


async def look_up(floor: Floor, page: Page, response: str) -> None:
    await page.goto(f"{floor.address}/console/audit")
    await page.get_by_label("One response’s whole story").fill(response)
    await page.get_by_role("button", name="Look it up").click()
    await expect(page.locator("h1")).to_have_text("One response’s story")
    await expect(said(page)).to_contain_text("Checked in this browser")


def said(page: Page) -> Any:
    return page.locator("#proof-said")


async def standings(page: Page) -> list[str]:
    return [each[2:] for each in await page.locator("[data-proof] .tag").all_inner_texts()]


async def check_against(page: Page, key: str = "", checkpoint: str = "") -> None:
    if not await page.locator("#own-key").is_visible():
        await page.get_by_text("Check against a key or a checkpoint of your own").click()
    await page.fill("#own-key", key)
    await page.fill("#own-checkpoint", checkpoint)
    await page.get_by_role("button", name="Check against these").click()


async def test_a_browser_checks_every_entry(make_floor: MakeFloor) -> None:
    floor = await make_floor(undo_s=0)
    early = await covered(floor)
    response = await ruled(floor)
    page = await floor.person("ann", Role.AUDITOR)
    late = await covered(floor)
    await look_up(floor, page, response)

    found = await standings(page)
    assert len(found) >= 5
    assert set(found) == {"in the log"}
    await expect(said(page)).to_contain_text(f"{len(found)} of {len(found)} entries here")
    await expect(said(page)).to_contain_text("a key that the log itself names")
    titles = await page.locator(".story h3").all_inner_texts()
    assert titles[0] == "Request accepted"
    assert titles[-1] == "Outcome: released, ruled"
    await looks(page, "story")

    await check_against(page, KEY.vkey, early.note)
    await expect(said(page)).to_contain_text("signed by the key that you gave")
    await expect(said(page)).to_contain_text(f"your checkpoint over {early.size} entries")
    assert set(await standings(page)) == {"in the log"}
    await check_against(page, KEY.vkey, late.note)
    await expect(page.locator("[data-proof]").first).to_contain_text("under your checkpoint")
    await page.get_by_text("Its exact bytes").first.click()
    await expect(page.locator(".bytes").first).to_contain_text(f'"response":"{response}"')
