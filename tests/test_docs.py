"""The docs say what the code does."""

import re
from pathlib import Path

import pytest
from scripts.render_docs import DOCS, PAGES
from typer.testing import CliRunner

from inwit.cli import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("page", PAGES)
def test_a_rendered_page_is_as_rendered(page: str) -> None:
    assert (DOCS / page).read_text() == PAGES[page](), "run `make docs`"


def test_the_readme_names_every_command() -> None:
    runner = CliRunner()
    for command in ([], ["keys"], ["ledger"]):
        listed = runner.invoke(app, [*command, "--help"]).output.partition("Commands:")[2]
        names = [line.split()[0] for line in listed.splitlines() if line.startswith("  ")]
        assert names
        for name in names:
            words = " ".join(["inwit", *command, name])
            assert words in README, f"README does not name `{words}`"


def test_every_link_leads_somewhere() -> None:
    pages = [ROOT / "README.md", *DOCS.rglob("*.md"), *(ROOT / "deploy").rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_every_make_target_in_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`make ([a-z-]+)`", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
