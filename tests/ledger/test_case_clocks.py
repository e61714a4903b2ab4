"""The clocks of a case: to be claimed, to be ruled on, and to take a ruling back."""

from collections.abc import Iterator

import pytest

from inwit.cases import CaseState, OnExpiry, Reviewer, RulingKind
from inwit.errors import Conflict
from inwit.ledger import leases, rulings
from tests.ledger.case_world import (
    CLAIM,
    EXPIRED,
    LEASE,
    REVIEWERS,
    RULE,
    SENIOR,
    World,
)

ANA, BEN, CLEO = REVIEWERS
APPROVE, EDIT, BLOCK = RulingKind.APPROVE, RulingKind.EDIT, RulingKind.BLOCK


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def outcome(world: World, case: str) -> dict[str, object]:
    """The facts of its one outcome."""
    (entry,) = world.acts(case, "outcome")
    return entry["facts"]


def ruled(world: World, case: str, who: Reviewer, kind: RulingKind, **more: object) -> str:
    """Claim and rule; the id of the ruling."""
    world.claim(case, who, f"of-{who.id}")
    ruling, _ = world.rule(case, who, f"of-{who.id}", kind, **more)
    return ruling.id


def test_the_second_clock_begins_with_the_first_claim_and_only_then(world: World) -> None:
    case = world.held()
    world.later(CLAIM - 1)
    world.claim(case, ANA, "a")
    due = world.case(case).due
    world.do(lambda each: leases.release(each, case, ANA.id, "a"))
    world.later(100)
    world.claim(case, ANA, "b")

    assert due == world.case(case).due
    assert (due - world.now).total_seconds() == RULE - 100


@pytest.mark.parametrize("seconds", [CLAIM - 1, CLAIM])
def test_nobody_claims_in_time(world: World, seconds: int) -> None:
    case = world.held()
    world.later(seconds)
    world.sweep()

    closed = world.case(case).state is CaseState.EXPIRED
    assert closed == (seconds == CLAIM)
    if closed:
        told = outcome(world, case)
        assert (told["ending"], told["released"]) == ("nobody_ruled", False)
        assert told["digest"] == EXPIRED.digest


def test_a_senior_gets_both_clocks_anew_once(world: World) -> None:
    case = world.held(on_expiry=OnExpiry.NEXT_TIER)
    world.claim(case, ANA, "a")
    world.later(RULE)
    world.sweep()
    raised = world.case(case)
    assert (raised.tier, raised.claimed_first) == (2, None)
    assert (raised.due - world.now).total_seconds() == CLAIM

    world.claim(case, SENIOR, "s")
    assert (world.case(case).due - world.now).total_seconds() == RULE
    world.later(RULE)
    world.sweep()

    assert world.case(case).state is CaseState.EXPIRED


def test_a_ruling_waits_where_nobody_waits_and_can_be_taken_back(world: World) -> None:
    case = world.held()
    world.claim(case, ANA, "a")
    ruling, after = world.rule(case, ANA, "a", APPROVE, undo_s=10)
    assert after.state.open

    world.do(lambda each: rulings.undo(each, case, ruling.id, ANA.id, "again", LEASE))
    world.later(10)
    world.sweep()
    assert world.case(case).state.open

    world.rule(case, ANA, "again", BLOCK, undo_s=10)
    world.later(9)
    world.sweep()
    assert world.case(case).state.open
    world.later(1)
    world.sweep()
    assert outcome(world, case)["kind"] == "block"


def test_a_ruling_that_took_effect_or_is_anothers_stays(world: World) -> None:
    case = world.held()
    world.claim(case, ANA, "a")
    ruling, _ = world.rule(case, ANA, "a", APPROVE, undo_s=10)

    for who, seconds in ((BEN, 0), (ANA, 10)):
        world.later(seconds)
        with pytest.raises(Conflict):
            world.do(lambda each, by=who: rulings.undo(each, case, ruling.id, by.id, "x", LEASE))


def test_it_takes_effect_at_once_where_a_caller_waits_in_line(world: World) -> None:
    case = world.held(waits=60)

    ruled(world, case, ANA, APPROVE, undo_s=10)

    assert world.case(case).state is CaseState.RESOLVED


def test_a_ruling_in_time_counts_though_the_clock_passes_before_its_effect(world: World) -> None:
    case = world.held()
    world.claim(case, ANA, "a")
    for _ in range(RULE // 100 - 1):
        world.later(100)
        world.do(lambda each: leases.renew(each, case, ANA.id, "a", LEASE))
    world.later(99)
    world.rule(case, ANA, "a", APPROVE, undo_s=10)

    world.later(10)
    world.sweep()

    assert outcome(world, case)["kind"] == "approve"


@pytest.mark.parametrize("swept", [False, True])
@pytest.mark.parametrize("present", [False, True])
def test_a_ruling_too_late_is_kept_and_releases_nothing(
    world: World, swept: bool, present: bool
) -> None:
    """Also where no sweep has looked at the clock yet, and where they had been away for a while."""
    case = world.held()
    world.claim(case, ANA, "a")
    for _ in range(RULE // 100):
        if present:
            world.do(lambda each: leases.renew(each, case, ANA.id, "a", LEASE))
        world.later(100)
        if swept:
            world.sweep()

    ruling, after = world.rule(case, ANA, "a", APPROVE)

    assert (ruling.counts, after.state) == (False, CaseState.EXPIRED)
    assert len(world.acts(case, "ruled_late")) == 1
    assert outcome(world, case)["released"] is False
