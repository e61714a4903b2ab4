"""Every route of the work on cases with every role: what is not allowed is refused."""

import pytest

from inwit.cases import Role
from inwit.console.cases import routers
from inwit.console.site import console
from tests.console.doors import ROLES, doors, hold_against_the_table
from tests.console.reviewing.world import MakeWorld


async def test_each_route_of_the_work_declares_exactly_one_permission(
    make_world: MakeWorld,
) -> None:
    here = await make_world()
    found = list(doors(console(here.site.parts, routers(here.work))))

    assert {"/", "/next", "/feed", "/cases/{case_id}/rule"} <= {door.path for door in found}
    assert [door for door in found if len(door.declared) != 1] == []
    assert len({(door.method, door.path) for door in found}) == len(found)


@pytest.mark.parametrize("role", ROLES)
async def test_each_role_works_on_cases_as_far_as_the_table_goes(
    make_world: MakeWorld, role: Role | None
) -> None:
    here = await make_world()
    here.caller.gateway.health.draining = True  # or the feeds would not end

    await hold_against_the_table(here.site, routers(here.work), role)
