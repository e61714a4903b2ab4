"""Leases that run out: counted whoever comes first, and never anybody else's."""

from collections.abc import Generator
from datetime import timedelta

import pytest
import sqlalchemy as sa

from inwit.cases import CaseState, Reviewer, Role
from inwit.errors import Conflict
from inwit.ledger import leases
from inwit.ledger.escalations import set_aside, unindexed
from inwit.ledger.standing import anything_due, standing
from inwit.ledger.tables import ESCALATIONS, SLOTS
from tests.ledger.case_world import LEASE, World

ANA, BEN, CAT = (Reviewer(f"rev_{name}", Role.REVIEWER) for name in ("ana", "ben", "cat"))


@pytest.fixture
def world() -> Generator[World]:
    made = World()
    yield made
    made.close()


def test_a_lost_lease_counts_also_where_a_claim_comes_before_the_sweep(world: World) -> None:
    case = world.held()
    for number, who in enumerate((ANA, BEN, ANA)):
        world.claim(case, who, f"t{number}")
        world.later(LEASE)

    world.claim(case, CAT, "c")

    (slot,) = world.case(case).slots
    assert (slot.reviewer, slot.expirations) == (CAT.id, 3)
    acts = world.acts(case, "lease_expired")
    assert [each["actor"] for each in acts] == [ANA.id, BEN.id, ANA.id]
    assert [each["facts"]["stuck"] for each in acts] == [False, False, True]
    assert not world.case(case).stuck  # somebody looks at it


def test_a_claim_that_is_refused_takes_no_lease_from_anybody(world: World) -> None:
    case = world.held(required=2)
    world.claim(case, ANA, "a")
    world.claim(case, BEN, "b")
    world.later(LEASE)
    world.do(lambda each: leases.claim(each, case, BEN, "b2", LEASE))
    before = world.case(case)

    with pytest.raises(Conflict):
        world.claim(case, BEN, "b3")

    assert world.case(case) == before


def test_a_token_is_no_password_of_its_person(world: World) -> None:
    case = world.held()
    world.claim(case, ANA, "a")

    with pytest.raises(Conflict):
        world.claim(case, BEN, "a")

    assert world.case(case).slots[0].reviewer == ANA.id


def test_one_case_that_is_broken_holds_up_no_other(world: World) -> None:
    """Whatever stands in its row: the clocks of the others go on."""
    broken, well = world.held(), world.held()
    for case in (broken, well):
        world.claim(case, ANA, f"a-{case}")
    with world.engine.begin() as connection:
        change = sa.update(ESCALATIONS).filter_by(id=broken)
        connection.execute(change.values(severity="no such thing"))
    world.later(LEASE)

    freed = world.do(lambda each: leases.expire_leases(each, 10))

    assert [each.id for each in freed] == [well]
    assert world.case(well).state is CaseState.PENDING
    lost = sa.select(SLOTS.c.lease_until).filter_by(escalation_id=broken)
    assert world.read(lambda each: each.execute(lost).scalar_one()) is not None


def test_a_case_that_is_set_aside_waits_for_nobody_but_its_clock(world: World) -> None:
    case = world.held()

    aside = world.do(lambda each: set_aside(each, case))

    assert (aside.stuck, aside.state) == (True, CaseState.PENDING)
    assert aside.version > 1
    world.later(10_000)
    world.sweep()
    closed = world.case(case)
    assert world.do(lambda each: set_aside(each, case)) == closed


def test_how_cases_stand(world: World) -> None:
    """`standing` and `anything_due` ask the database's own clock, which is the machine's here."""
    assert standing_of(world) == {"pending": 0, "senior": 0, "claimed": 0, "stuck": 0}
    cases = [world.held() for _ in range(5)]
    world.claim(cases[0], ANA, "a")
    world.do(lambda each: set_aside(each, cases[1]))
    with world.engine.begin() as connection:
        change = sa.update(ESCALATIONS)
        connection.execute(change.filter_by(id=cases[2]).values(tier=2))
        connection.execute(change.filter_by(id=cases[3]).values(expected="block"))
        connection.execute(change.filter_by(id=cases[4]).values(indexed=1))
        old = ESCALATIONS.c.id == cases[0]
        hour = world.now - timedelta(days=10_000)
        connection.execute(change.where(old).values(opened=hour))

    assert standing_of(world) == {"pending": 1, "senior": 1, "claimed": 1, "stuck": 1}
    told = world.read(standing)
    assert told.oldest_s > 24 * 3600 * 1000
    assert told.behind == 3  # not the golden one, and not the one that was told
    assert len(world.read(lambda each: unindexed(each, 10))) == 3


@pytest.mark.parametrize("clock", ["due", "settles", "lease_until"])
def test_what_is_due_is_seen(world: World, clock: str) -> None:
    case = world.held()
    world.claim(case, ANA, "a")
    far, past = world.now + timedelta(days=20_000), world.now - timedelta(days=10_000)
    cases, slots = sa.update(ESCALATIONS), sa.update(SLOTS)
    with world.engine.begin() as connection:
        connection.execute(cases.values(due=far))
        connection.execute(slots.values(lease_until=far))
    assert not world.read(anything_due)

    with world.engine.begin() as connection:
        connection.execute((slots if clock == "lease_until" else cases).values({clock: past}))

    assert world.read(anything_due)


def standing_of(world: World) -> dict[str, int]:
    return dict(world.read(standing).lanes)
