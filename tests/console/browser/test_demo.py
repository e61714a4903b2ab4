"""`make demo` as a newcomer meets it: its console is alive, every page of every role is sound."""

import asyncio
import re
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.console.browser.conftest import ARGUMENTS, CHROMIUM, WAIT_MS, take_next
from tests.console.browser.looks import looks
from tests.fakes_server import FakeServer
from tests.process.processes import PATIENT, START_S, environment

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[3]
EVERYBODYS = {"Queue", "Cases", "Account"}
PAGES = {  # of each of the demo's people, at least
    "robin": EVERYBODYS,
    "sam": EVERYBODYS | {"Agreement", "Golden", "All rulings"},
    "alex": EVERYBODYS | {"Audit", "Export"},
    "pat": EVERYBODYS | {"People"},
}
AT_MOST_GOLDEN = 2
PICTURES = {  # of whom, and what: one of each page
    ("robin", "Queue"): "home",
    ("robin", "Rulings"): "rulings",
    ("robin", "Account"): "account",
    ("sam", "Cases"): "list",
    ("sam", "All rulings"): "all-rulings",
    ("sam", "Agreement"): "agreement",
    ("sam", "Golden"): "golden",
    ("alex", "Audit"): "audit",
    ("alex", "Export"): "export",
    ("pat", "Queue"): "home-admin",
    ("pat", "People"): "people",
}


@dataclass(frozen=True)
class Demo:
    """What it printed: where its console is, how many cases wait, and everybody's password."""

    address: str
    waiting: int
    people: dict[str, str]


@asynccontextmanager
async def demo(folder: Path, model_url: str) -> AsyncGenerator[Demo]:
    """The demo in a folder of its own."""
    settings = {**PATIENT, "INWIT_MODEL_URL": model_url, "PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "scripts.demo"),
        cwd=folder,
        env=environment(folder, settings),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        printed = await banner_of(process)
        address = re.search(r"http://\S+/console", printed)
        assert address is not None
        waiting = re.search(r"^(\d+) new cases wait", printed, re.M)
        assert waiting is not None
        people = re.findall(r"^  (\w+) +(?:reviewer|senior|auditor|admin) +(\S+)$", printed, re.M)
        yield Demo(address[0], int(waiting[1]), dict(people))
    finally:
        process.terminate()
        async with asyncio.timeout(START_S):
            assert await process.wait() == 0


async def banner_of(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    printed = ""
    while "Stop with Ctrl-C" not in printed:
        line = await process.stdout.readline()
        assert line, printed
        printed += line.decode()
    return printed


@asynccontextmanager
async def signed_in(browser: Browser, running: Demo, name: str) -> AsyncGenerator[Page]:
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(WAIT_MS)
    page = await context.new_page()
    await page.goto(f"{running.address}/")
    if name == "pat":
        await looks(page, "sign-in")
    await page.fill("#name", name)
    await page.fill("#password", running.people[name])
    await page.keyboard.press("Enter")
    await expect(page.locator("header .who")).to_contain_text(name)
    await page.wait_for_load_state()  # its script runs
    yield page
    await context.close()


async def test_every_case_of_the_demo_can_be_ruled_on(tmp_path: Path) -> None:
    async with FakeServer().running() as server, async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        async with (
            demo(tmp_path, server.base_url) as running,
            signed_in(browser, running, "robin") as page,
        ):
            edited = await edit_one(page)
            ruled = [edited, *[case async for case in rule_on_the_rest(page)]]
        await browser.close()

    assert len(set(ruled)) == len(ruled)
    assert running.waiting <= len(ruled) <= running.waiting + AT_MOST_GOLDEN


async def edit_one(page: Page) -> str:
    """Have an edit judged, by the model that is served, and released."""
    case = await taken(page)
    await reveal_all(page)
    await page.fill("#text", "Please ask somebody who knows this well.")
    await page.fill("#reason", "The text is safer so.")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("#edit-check")).to_contain_text("The judges pass your text")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("h1")).to_have_text("Ruled: edit")
    return case


async def rule_on_the_rest(page: Page) -> AsyncGenerator[str]:
    """Block whatever comes, until nothing does; each case's id."""
    while True:
        await page.keyboard.press("n")
        await page.wait_for_selector("#token, h1:has-text('No case for you now')", state="attached")
        await page.wait_for_load_state()
        if not await page.locator("#token").count():
            return
        yield await ruled_on(page)


async def ruled_on(page: Page) -> str:
    case = await case_on(page)
    await reveal_all(page)
    await expect(page.locator("#part-policy")).not_to_contain_text("Looking")
    await page.locator("#kind-block").check()
    await page.fill("#reason", "It must not leave so.")
    await page.locator("select[name=clause]").select_option(index=1)
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("h1")).to_have_text("Ruled: block")
    return case


async def taken(page: Page) -> str:
    await take_next(page)
    return await case_on(page)


async def case_on(page: Page) -> str:
    return str(await page.locator("#lease").get_attribute("data-case"))


async def reveal_all(page: Page) -> None:
    """Part by part, as a person would."""
    covered = page.locator("button[data-command=reveal]")
    for left in range(await covered.count(), 0, -1):
        await covered.first.click()
        await expect(covered).to_have_count(left - 1)


@pytest.mark.parametrize("name", PAGES)
async def test_every_page_of_a_role_is_sound(tmp_path: Path, name: str) -> None:
    async with FakeServer().running() as server, async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        async with (
            demo(tmp_path, server.base_url) as running,
            signed_in(browser, running, name) as page,
        ):
            if name == "robin":
                await edit_one(page)
                await taken(page)
                await ruled_on(page)
            seen = await every_page_looks(page, name)
        await browser.close()

    assert set(running.people) == set(PAGES)
    assert seen >= PAGES[name]


async def every_page_looks(page: Page, name: str) -> set[str]:
    """The names of the pages to which the navigation led."""
    links = page.locator("nav a")
    found = {
        await link.inner_text(): str(await link.get_attribute("href")) for link in await links.all()
    }
    origin = page.url.partition("/console")[0]
    for label, path in found.items():
        await page.goto(origin + path)
        await expect(page.locator('main [hx-trigger^="load"]')).to_have_count(0)
        await expect(page.locator("main h1")).to_be_visible()
        await looks(page, f"{name}: {label}", PICTURES.get((name, label), ""))
        if (name, label) == ("pat", "People"):
            await page.get_by_role("link", name="robin").click()
            await expect(page.get_by_role("heading", name="What they may do")).to_be_visible()
            await looks(page, "person")
    if "Audit" not in found:
        await page.goto(f"{origin}/console/audit")
        await looks(page, f"{name}: refused", "problem" if name == "robin" else "")
    return set(found)
