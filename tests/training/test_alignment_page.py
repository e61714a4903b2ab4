"""The page about the alignment term says what its results say."""

from pathlib import Path

from scripts.alignment.page import tables

DOCS = Path(__file__).parents[2] / "docs" / "evaluation"


def test_the_tables_of_the_page_are_those_of_its_results() -> None:
    page = (DOCS / "alignment.md").read_text()

    for line in "\n".join(tables(DOCS / "alignment")).splitlines():
        assert line in page
