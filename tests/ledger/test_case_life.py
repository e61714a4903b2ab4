"""The life of a case, step by step, on the ledger's own functions."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import sqlalchemy as sa

from inwit.cases import CaseState, Output, Reviewer, Role, RulingKind, WhySkipped
from inwit.errors import Conflict, Forbidden, InvalidField, NotFound
from inwit.ledger import leases
from inwit.ledger.escalations import unindexed
from inwit.ledger.tables import CONTENTS, DELIVERIES, RULINGS
from inwit.ledger.transaction import Transaction
from inwit.types import Severity
from tests.ledger.case_world import (
    ANSWER,
    LEASE,
    POLICY,
    REVIEWERS,
    REWRITE,
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


def test_one_ruling_settles_a_case_that_needs_one(world: World) -> None:
    case = world.held()

    ruling = ruled(world, case, ANA, APPROVE)

    assert world.case(case).state is CaseState.RESOLVED
    told = outcome(world, case)
    assert (told["ruling"], told["digest"], told["released"]) == (ruling, ANSWER.digest, True)


def test_two_people_who_agree_settle_a_case_that_needs_two(world: World) -> None:
    case = world.held(required=2)
    ruled(world, case, ANA, APPROVE)
    assert world.case(case).state is CaseState.PENDING

    ruled(world, case, BEN, APPROVE)

    assert world.case(case).state is CaseState.RESOLVED


def test_the_same_person_never_rules_twice_on_a_case(world: World) -> None:
    case = world.held(required=2)
    ruled(world, case, ANA, APPROVE)

    with pytest.raises(Conflict, match="another person"):
        world.claim(case, ANA, "again")


@pytest.mark.parametrize(
    ("second", "why"),
    [(RulingKind.APPROVE_REWRITE, "disagreement"), (RulingKind.ESCALATE, "escalated")],
)
def test_disagreement_goes_to_a_senior(world: World, second: RulingKind, why: str) -> None:
    case = world.held(required=2)
    ruled(world, case, ANA, APPROVE)
    ruled(world, case, BEN, second)

    raised = world.case(case)

    assert (raised.tier, raised.state) == (2, CaseState.PENDING)
    assert world.acts(case, "raised")[0]["facts"]["why"] == why
    with pytest.raises(Forbidden):
        world.claim(case, CLEO, "c")
    world.claim(case, SENIOR, "s")
    with pytest.raises(InvalidField):
        world.rule(case, SENIOR, "s", RulingKind.ESCALATE)
    world.rule(case, SENIOR, "s", BLOCK)
    assert outcome(world, case)["kind"] == "block"


def test_an_edit_to_the_very_text_agrees_with_its_approval(world: World) -> None:
    case = world.held(required=2)
    ruled(world, case, ANA, APPROVE)
    world.claim(case, BEN, "b")
    digest = world.edit(case, BEN, "b", ANSWER.text)

    world.rule(case, BEN, "b", EDIT, digest=digest)

    assert world.case(case).state is CaseState.RESOLVED


def test_what_an_edit_releases_is_what_was_judged_then(world: World) -> None:
    case = world.held()
    world.claim(case, ANA, "a")
    digest = world.edit(case, ANA, "a", "An edit.\r\n ")
    world.rule(case, ANA, "a", EDIT, digest=digest, undo_s=10)
    with pytest.raises(Conflict):  # the lease went with the ruling
        world.edit(case, ANA, "a", "Something else.")

    world.later(10)
    world.sweep()

    assert outcome(world, case)["digest"] == digest == Output("An edit.\r\n ", "stop").digest


def test_an_edit_that_did_not_pass_wants_a_word_more(world: World) -> None:
    case = world.held()
    world.claim(case, ANA, "a")
    digest = world.edit(case, ANA, "a", "An edit.", passed=False)

    with pytest.raises(InvalidField, match="despite_flags"):
        world.rule(case, ANA, "a", EDIT, digest=digest)
    world.rule(case, ANA, "a", EDIT, digest=digest, despite_flags=True)

    assert world.acts(case, "ruled")[0]["facts"]["despite_flags"] is True


def test_no_ruling_counts_after_its_lease(world: World) -> None:
    case = world.held()
    world.claim(case, ANA, "a")
    world.later(LEASE)

    with pytest.raises(Conflict, match="lease"):
        world.rule(case, ANA, "a", APPROVE)

    assert world.read(lambda each: each.execute(sa.select(RULINGS)).all()) == []


def test_a_lease_is_its_own_persons(world: World) -> None:
    case = world.held()
    world.claim(case, ANA, "a")

    with pytest.raises(Conflict):
        world.rule(case, BEN, "a", APPROVE)


def test_another_tab_wants_to_be_told(world: World) -> None:
    case = world.held()
    first = world.claim(case, ANA, "tab-1")
    with pytest.raises(Conflict, match="another tab"):
        world.claim(case, ANA, "tab-2")

    assert world.claim(case, ANA, "tab-1") == first  # the same claim, come twice
    world.claim(case, ANA, "tab-2", take_over=True)

    with pytest.raises(Conflict, match="lease"):
        world.rule(case, ANA, "tab-1", APPROVE)


def test_what_is_given_away_does_not_come_back(world: World) -> None:
    case = world.held()
    world.claim(case, ANA, "a")
    world.do(lambda each: leases.release(each, case, ANA.id, "a", WhySkipped.CONFLICT))

    with pytest.raises(Conflict, match="somebody else"):
        world.claim(case, ANA, "again")
    world.claim(case, BEN, "b")


def test_three_lost_leases_make_a_case_stuck_until_it_is_claimed(world: World) -> None:
    case = world.held()
    for number in range(3):
        assert not world.case(case).stuck
        world.claim(case, ANA, f"a{number}")
        world.later(LEASE)
        world.sweep()

    assert world.case(case).stuck
    assert len(world.acts(case, "lease_expired")) == 3
    world.claim(case, BEN, "b")
    assert not world.case(case).stuck


@pytest.mark.parametrize("change", [{"digest": REWRITE.digest}, {"policy_digest": "0" * 64}])
def test_a_ruling_on_something_else_leaves_nothing(world: World, change: dict[str, str]) -> None:
    case = world.held()
    world.claim(case, ANA, "a")
    before = len(world.acts(case))

    with pytest.raises(Conflict):
        world.rule(case, ANA, "a", APPROVE, **change)

    assert len(world.acts(case)) == before
    assert world.case(case).state is CaseState.CLAIMED


def test_the_same_request_is_the_same_ruling(world: World) -> None:
    case = world.held()
    world.claim(case, ANA, "a")
    first, _ = world.rule(case, ANA, "a", APPROVE, request_id="once")

    again, after = world.rule(case, ANA, "a", APPROVE, request_id="once")

    assert (first, after.state) == (again, CaseState.RESOLVED)
    assert len(world.acts(case, "ruled")) == 1


def test_routing_is_checked_by_the_database_too(world: World) -> None:
    case = world.held()
    blind = {"elsewhere": {"tenants": frozenset({"other"})}, "german": {"languages": {"de"}}}

    with pytest.raises(NotFound):
        world.claim(case, replace(ANA, tenants=blind["elsewhere"]["tenants"]), "t")
    for change in ({"languages": frozenset({"de"})}, {"clearance": Severity.MEDIUM}):
        with pytest.raises(Forbidden):
            world.claim(case, replace(ANA, **change), "t")  # pyright: ignore  # drawn fields
    with pytest.raises(Forbidden):
        world.claim(case, Reviewer("rev_x", Role.AUDITOR), "t")


def test_content_that_was_changed_is_never_released(world: World) -> None:
    case, other = world.held(), world.held()
    for name in (case, other):
        world.claim(name, ANA, f"a-{name}")
        world.rule(name, ANA, f"a-{name}", APPROVE, undo_s=10)
    sequence = world.read(lambda each: each.execute(sa.select(CONTENTS.c.sequence)).scalars().all())
    forged = sa.update(CONTENTS).where(CONTENTS.c.kind == "held", CONTENTS.c.sequence == 1)
    with world.engine.begin() as connection:
        connection.execute(forged.values(content=b'{"offers": {}}'))
    assert 1 in sequence

    world.later(10)
    world.sweep()

    assert world.case(case).stuck
    assert world.case(case).state.open
    assert world.case(other).state is CaseState.RESOLVED
    world.later(RULE)
    world.sweep()
    assert outcome(world, case)["released"] is False


def test_a_failed_step_undoes_itself_and_nothing_else(world: World) -> None:
    def fails(transaction: Transaction) -> None:
        leases.claim(transaction, case, BEN, "b", LEASE)
        raise Conflict("No.")

    case, other = world.held(), world.held()
    with world.at_once() as transaction:
        transaction.undoing(lambda each: leases.claim(each, other, ANA, "a", LEASE))
        with pytest.raises(Conflict):
            transaction.undoing(fails)

    assert world.case(case).state is CaseState.PENDING
    assert (world.acts(case), len(world.acts(other))) == ([], 1)


def test_a_caller_who_wants_it_is_called_back_once(world: World) -> None:
    case = world.held(callback="https://example.org/hook")
    assert world.read(lambda each: each.execute(sa.select(DELIVERIES)).all()) == []

    ruled(world, case, ANA, APPROVE)

    (row,) = world.read(lambda each: each.execute(sa.select(DELIVERIES)).all())
    assert (row.escalation_id, row.url) == (case, "https://example.org/hook")


def test_the_queue_has_to_hear_of_each_change(world: World) -> None:
    case = world.held()
    before = world.read(lambda each: unindexed(each, 10))

    world.claim(case, ANA, "a")

    after = world.read(lambda each: unindexed(each, 10))
    assert [each.id for each in before] == [each.id for each in after] == [case]
    assert after[0].version > before[0].version


def test_a_rulings_entry_ties_lease_policy_and_bytes(world: World) -> None:
    case = world.held()

    ruled(world, case, ANA, APPROVE, reason="It is fine.")

    (entry,) = world.acts(case, "ruled")
    facts = entry["facts"]
    assert entry["actor"] == ANA.id
    assert facts["digest"] == ANSWER.digest
    assert facts["lease"] == leases.token_hash(f"of-{ANA.id}").hex()
    assert outcome(world, case)["policy"] == POLICY
    assert "It is fine." not in str(entry)
    assert "reason" in entry["commitments"]
