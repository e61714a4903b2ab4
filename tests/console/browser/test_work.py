"""Reviewers at work in a real browser."""

import pytest

from tests.console.browser.conftest import MakeFloor
from tests.console.reviewing import CANDIDATE, flagged

pytestmark = pytest.mark.process


async def test_smoke(make_floor: MakeFloor) -> None:
    floor = await make_floor()
    case_id = await floor.world.hold()
    page = await floor.person()
    await page.screenshot(path="/tmp/h/home.png")
    await page.keyboard.press("n")
    await page.wait_for_selector("#ruling")
    assert page.url.endswith(f"/console/cases/{case_id}")
    await page.screenshot(path="/tmp/h/case.png")
    await page.keyboard.press("1")
    await page.keyboard.press("Control+Enter")
    await page.wait_for_selector("text=ruled")
    await page.screenshot(path="/tmp/h/ruled.png")
