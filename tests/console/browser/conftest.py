"""A console on a real socket, and Chromium in front of it."""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect
from redis.asyncio import Redis

from inwit.app import create_app
from inwit.cases import Role
from inwit.console.cases import routers
from inwit.console.site import mount
from tests.conftest import MakeCaller
from tests.console.conftest import PASSWORD, MakeSite
from tests.console.reviewing.world import World, world
from tests.process.redis_server import valkey_server

# A page that takes long on a slow machine is no failure. (Chromium is driven in milliseconds.)
WAIT_MS = 120_000
expect.set_options(timeout=WAIT_MS)
# Of a lease that a test lets run out: the page notices within a quarter of it, and a machine that
# stands still for some seconds does not lose it.
SOON_LOST_S = 20

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
_REFUSED = (
    "Failed to load resource",
    "Response Status Error Code",
    "htmx:sendError",
    "[object Event]",  # of a feed that ended
)


@dataclass
class Floor:
    """A world on a socket, and what its browsers complained about or asked elsewhere."""

    world: World
    address: str
    browser: Browser
    stack: AsyncExitStack
    complaints: list[str] = field(default_factory=list[str])

    async def person(self, name: str = "ada", role: Role = Role.REVIEWER, **look: Any) -> Page:
        """Somebody's own browser, in which they are signed in and see the queue."""
        await self.world.site.person(name, role)
        page = await self.tab(await self.context(**look))
        await page.goto(f"{self.address}/console/")
        await page.fill("#name", name)
        await page.fill("#password", PASSWORD)
        await page.keyboard.press("Enter")
        await page.wait_for_selector("h1:has-text('Queue')")
        await page.wait_for_load_state()  # its script runs
        return page

    async def context(self, **look: Any) -> BrowserContext:
        look = {"viewport": {"width": 1280, "height": 800}, **look}
        context = await self.browser.new_context(**look)
        context.set_default_timeout(WAIT_MS)
        self.stack.push_async_callback(context.close)
        return context

    async def tab(self, context: BrowserContext) -> Page:
        """A new tab, whose complaints are kept."""
        page = await context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self._heard(said.type, said.text))
        page.on("request", lambda request: self._asked(request.url))
        return page

    def _heard(self, kind: str, words: str) -> None:
        # What a server refuses, and what cannot be reached, Chromium and htmx tell by themselves.
        if kind in ("error", "warning") and not words.startswith(_REFUSED):
            self.complaints.append(words)

    def _asked(self, url: str) -> None:
        if not url.startswith((self.address, "data:")):
            self.complaints.append(f"asked elsewhere: {url}")


async def take_next(page: Page) -> None:
    """Claim the next case by its key, and wait until its page listens to keys."""
    await page.keyboard.press("n")
    await page.wait_for_selector("#token", state="attached")
    await page.wait_for_load_state()


MakeFloor = Callable[..., Awaitable[Floor]]


@pytest.fixture(scope="module", autouse=True)
def _browser() -> None:
    """Where it is missing the tests are skipped, but never in CI."""
    if not Path(CHROMIUM).exists():
        assert not os.environ.get("CI"), "chromium is not installed: apt-get install chromium"
        pytest.skip("chromium is not installed here")


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    with valkey_server(tmp_path_factory.mktemp("valkey")) as server:
        yield server.url


@pytest.fixture
async def make_floor(
    make_caller: MakeCaller, make_site: MakeSite, redis_url: str
) -> AsyncGenerator[MakeFloor]:
    """Opens one, and fails the test that left complaints of the browser."""
    client = Redis.from_url(redis_url)  # pyright: ignore[reportUnknownMemberType]  # untyped
    await client.flushdb()  # pyright: ignore[reportUnknownMemberType]  # untyped
    await client.aclose()
    floors: list[Floor] = []
    async with AsyncExitStack() as stack:

        async def make(**settings: Any) -> Floor:
            here = await world(make_caller, make_site, redis_url, **settings)
            app = create_app(here.caller.gateway)
            mount(app, here.site.parts, routers(here.work))
            address = await stack.enter_async_context(served(app))
            stack.callback(setattr, here.caller.gateway.health, "draining", True)  # feeds end
            await stack.enter_async_context(here.work.sweeper.running())
            driver = await stack.enter_async_context(async_playwright())
            browser = await driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            stack.push_async_callback(browser.close)
            floors.append(Floor(here, address, browser, stack))
            return floors[-1]

        yield make
    complaints = [each for floor in floors for each in floor.complaints]
    assert not complaints, "\n".join(complaints)


@asynccontextmanager
async def served(app: FastAPI) -> AsyncGenerator[str]:
    """The application on a free port of loopback."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        config = uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=5
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="uvicorn")
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving
