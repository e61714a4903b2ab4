"""Pages of cases of which some are left out, since their reader is to see them blind."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from inwit.cases import Case, Reviewer, Role
from inwit.console.case_search import Search, page
from tests.console.conftest import MakeSite
from tests.console.records import Records, records

ANY = Search(
    reader=Reviewer("rev_ada", Role.REVIEWER),
    tenants=frozenset(),
    policies=frozenset(),
    state="open",
    severity="high",
    language="",
    category="",
    tier=0,
    mine=False,
    closed_since=datetime(2026, 1, 1, tzinfo=UTC),
)


async def walked(here: Records, most: int, blind: Callable[[Case], bool]) -> list[list[str]]:
    """The ids on each page."""
    pages: list[list[str]] = []
    after: str | None = ""
    while after is not None:
        place = after
        shown, after = await here.site.database.read(
            lambda each, place=place: page(each, ANY, place, most, blind)
        )
        pages.append([case.id for case in shown])
    return pages


async def thirty(here: Records) -> list[str]:
    start = datetime.now(UTC) - timedelta(minutes=1)
    return [await here.hold(opened=start + timedelta(seconds=each)) for each in range(30)]


@pytest.mark.parametrize("most", [1, 7, 30, 31])
async def test_pages_are_full_though_cases_are_left_out(make_site: MakeSite, most: int) -> None:
    here = await records(make_site)
    made = await thirty(here)

    pages = await walked(here, most, lambda case: case.id in made[::3])

    wanted = [case for case in made if case not in made[::3]]
    assert [case for shown in pages for case in shown] == wanted
    assert all(len(shown) == most for shown in pages[:-1])


async def test_one_look_passes_over_so_many_and_no_more(make_site: MakeSite) -> None:
    here = await records(make_site)
    made = await thirty(here)

    pages = await walked(here, 1, lambda case: case.id != made[-1])

    assert [case for shown in pages for case in shown] == [made[-1]]
    assert [len(shown) for shown in pages] == [0, 1]
