"""How a page looks: axe finds nothing in it, and no page moves sideways.

CONSOLE_SCREENSHOTS=FOLDER takes pictures too.
"""

import os
from pathlib import Path

from axe_playwright_python.async_playwright import (  # pyright: ignore[reportMissingTypeStubs]  # it has none
    Axe,
)
from playwright.async_api import Page

DESK = {"width": 1280, "height": 800}
TABLET = {"width": 820, "height": 1180}
WIDTHS = (320, 820, 1280)
ON_A_TABLET = {"home", "case", "list"}
IN_THE_DARK = {"case"}


async def looks(page: Page, name: str, picture: str | None = None) -> None:
    """Nothing that axe finds, in both schemes; and it fits each width (WCAG 1.4.10).

    The picture has the page's own name, or none where that is empty.
    """
    await _fits(page, name)
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found = await Axe().run(page)  # pyright: ignore[reportUnknownMemberType]  # untyped
        assert found.violations_count == 0, f"{name}, {scheme}: {found.generate_report()}"
    await page.emulate_media(color_scheme="light")
    folder = os.environ.get("CONSOLE_SCREENSHOTS")
    if folder and (picture := name if picture is None else picture):
        await _pictured(page, Path(folder) / f"console-{picture}", picture)


async def _pictured(page: Page, path: Path, name: str) -> None:
    await page.set_viewport_size(DESK)  # pyright: ignore[reportArgumentType]  # a typed dict
    await page.screenshot(path=f"{path}.png")
    if name in IN_THE_DARK:
        await page.emulate_media(color_scheme="dark")
        await page.screenshot(path=f"{path}-dark.png")
        await page.emulate_media(color_scheme="light")
    if name in ON_A_TABLET:
        await page.set_viewport_size(TABLET)  # pyright: ignore[reportArgumentType]  # a typed dict
        await page.screenshot(path=f"{path}-narrow.png")
        await page.set_viewport_size(DESK)  # pyright: ignore[reportArgumentType]  # a typed dict


async def _fits(page: Page, name: str) -> None:
    before = page.viewport_size
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 800})
        over = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert over <= 0, f"{name}: {over} px sideways at {width}"
    if before is not None:
        await page.set_viewport_size(before)
