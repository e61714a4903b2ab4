"""How a page looks: axe finds nothing in it. CONSOLE_SCREENSHOTS=FOLDER takes pictures too."""

import os
from pathlib import Path

from axe_playwright_python.async_playwright import (  # pyright: ignore[reportMissingTypeStubs]  # it has none
    Axe,
)
from playwright.async_api import Page

SIZES = ((1280, 800), (820, 1180))


async def looks(page: Page, name: str) -> None:
    """Nothing that axe finds, in both schemes."""
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found = await Axe().run(page)  # pyright: ignore[reportUnknownMemberType]  # untyped
        assert found.violations_count == 0, f"{name}, {scheme}: {found.generate_report()}"
    await page.emulate_media(color_scheme="light")
    if folder := os.environ.get("CONSOLE_SCREENSHOTS"):
        for width, height in SIZES:
            await page.set_viewport_size({"width": width, "height": height})
            size = "" if width == SIZES[0][0] else "-narrow"
            await page.screenshot(path=Path(folder) / f"console-{name}{size}.png")
        await page.set_viewport_size({"width": SIZES[0][0], "height": SIZES[0][1]})
