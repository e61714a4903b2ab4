"""`make demo` as a newcomer meets it: its console is alive, every page of every role is sound."""

import json
import re
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.console.browser.conftest import ARGUMENTS, CHROMIUM, take_next
from tests.console.browser.looks import looks
from tests.fakes_server import FakeServer
from tests.process.processes import START_S, environment

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[3]
ADMIN = ("pat", "a long enough password of pat")
EVERYBODYS = {"Queue", "Rulings"}


@contextmanager
def demo(folder: Path, model_url: str) -> Generator[tuple[str, dict[str, str]]]:
    """The demo in a folder of its own: where its console is, and everybody's password."""
    settings = {"INWIT_MODEL_URL": model_url, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.demo"],
        cwd=folder,
        env=environment(folder, settings),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        printed = ""
        while "Stop with Ctrl-C" not in printed:
            line = process.stdout.readline()
            assert line, printed
            printed += line
        address = re.search(r"http://\S+/console", printed)
        assert address is not None
        people = dict(re.findall(r"^  (\w+) +(?:reviewer|senior|auditor) +(\S+)$", printed, re.M))
        yield address[0], {**people, ADMIN[0]: add_admin(folder)}
    finally:
        process.terminate()
        assert process.wait(timeout=START_S) == 0
        if process.stdout is not None:
            process.stdout.close()


def add_admin(folder: Path) -> str:
    """As the documentation says; the demo has none of its own."""
    name, password = ADMIN
    command = f"inwit reviewers add {name} --role admin --password-stdin --json"
    added = subprocess.run(
        [sys.executable, "-m", *command.split()],
        env=environment(folder / "var" / "demo", None),
        input=password,
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )
    assert added.returncode == 0, added.stderr
    assert json.loads(added.stdout)[0]["role"] == "admin"
    return password


@asynccontextmanager
async def signed_in(
    browser: Browser, address: str, name: str, password: str
) -> AsyncGenerator[Page]:
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    page = await context.new_page()
    await page.goto(f"{address}/")
    if name == ADMIN[0]:
        await looks(page, "sign-in")
    await page.fill("#name", name)
    await page.fill("#password", password)
    await page.keyboard.press("Enter")
    await expect(page.locator("header .who")).to_contain_text(name)
    yield page
    await context.close()


async def rule_on_two(page: Page) -> None:
    """Whatever the cases are, with what every policy accepts."""
    for _ in range(2):
        await take_next(page)
        await page.locator("#kind-block").check()
        await page.fill("#reason", "It must not leave so.")
        clause = page.locator("select[name=clause]")
        await clause.select_option(index=1)
        await page.keyboard.press("Control+Enter")
        await expect(page.locator("h1")).to_contain_text("Ruled")
        await page.goto(page.url.partition("/cases")[0] + "/")


async def test_every_page_of_every_role_is_sound(tmp_path: Path) -> None:
    seen: dict[str, set[str]] = {}
    async with FakeServer().running() as server, async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        with demo(tmp_path, server.base_url) as (address, people):
            for name, password in people.items():
                async with signed_in(browser, address, name, password) as page:
                    if name == "robin":
                        await rule_on_two(page)
                    seen[name] = await every_page_looks(page, name)
        await browser.close()

    assert set(seen) == {"robin", "sam", "alex", "pat"}
    assert all(pages >= EVERYBODYS for pages in seen.values()), seen
    assert {"Agreement", "Golden cases"} <= seen["sam"]
    assert {"Audit", "Export"} <= seen["alex"]
    assert "People" in seen["pat"]


async def every_page_looks(page: Page, name: str) -> set[str]:
    """The names of the pages to which the navigation led."""
    links = page.locator("nav a")
    found = {
        await link.inner_text(): str(await link.get_attribute("href")) for link in await links.all()
    }
    origin = page.url.partition("/console")[0]
    for label, path in found.items():
        await page.goto(origin + path)
        await expect(page.locator('main [hx-trigger^="load"]')).to_have_count(0, timeout=30_000)
        await expect(page.locator("main h1")).to_be_visible()
        await looks(page, f"{name}-{label.lower().replace(' ', '-')}")
    return set(found)
