"""Rulings from hostile or hasty hands: what is not theirs, not now, or not this case."""

import json
from collections.abc import Callable, Generator
from dataclasses import replace

import pytest
import sqlalchemy as sa

from inwit.cases import CaseState, OnExpiry, Output, Reviewer, Role, RulingKind
from inwit.errors import Conflict, Gone, InvalidField, NotFound
from inwit.ledger import leases, outcomes, reviewing, rulings
from inwit.ledger.rulings import Said
from inwit.ledger.tables import CONTENTS, EDITS, RULINGS
from inwit.ledger.transaction import Transaction
from tests.ledger.case_world import ANSWER, CLAIM, LEASE, POLICY, RULE, World

ANA, BEN = (Reviewer(f"rev_{name}", Role.REVIEWER) for name in ("ana", "ben"))
SUE = Reviewer("rev_sue", Role.SENIOR)
APPROVE, BLOCK, EDIT, ESCALATE = (
    RulingKind.APPROVE,
    RulingKind.BLOCK,
    RulingKind.EDIT,
    RulingKind.ESCALATE,
)


@pytest.fixture
def world() -> Generator[World]:
    made = World()
    yield made
    made.close()


def said_of(case: str, who: Reviewer, token: str, request: str) -> Said:
    return Said(case, who.id, token, APPROVE, ANSWER.digest, POLICY, request)


def entries(world: World) -> int:
    query = sa.text("SELECT count(*) FROM entries")
    return world.read(lambda each: each.execute(query).scalar_one())


def expired(world: World, who: Reviewer = ANA) -> str:
    """A case on which nobody ruled while this person held it."""
    case = world.held()
    world.claim(case, who, "a")
    for _ in range(RULE // 100):
        world.do(lambda each: leases.renew(each, case, who.id, "a", LEASE))
        world.later(100)
    world.do(lambda each: outcomes.expire_due(each, 10))
    assert world.case(case).state is CaseState.EXPIRED
    return case


@pytest.mark.parametrize("request_id", ["r", "x" * 5000, "\0", "\ud800", "", "a/b\n"])
def test_a_request_id_is_one_persons_and_may_be_anything(world: World, request_id: str) -> None:
    case = world.held(required=2)
    for who in (ANA, BEN):
        world.claim(case, who, who.id)

    made = [
        world.do(lambda each, who=who: rulings.rule(each, said_of(case, who, who.id, request_id)))
        for who in (ANA, BEN)
    ]

    assert len({ruling.id for ruling, _ in made}) == 2
    assert made[1][1].state is CaseState.RESOLVED


def test_a_request_id_stands_for_one_ruling(world: World) -> None:
    first, second = world.held(), world.held()
    for case in (first, second):
        world.claim(case, ANA, "a")
    said = said_of(first, ANA, "a", "same")
    world.do(lambda each: rulings.rule(each, said))
    before = entries(world)

    for other in (replace(said, case_id=second), replace(said, kind=BLOCK)):
        with pytest.raises(Conflict, match="request id"):
            world.do(lambda each, other=other: rulings.rule(each, other))

    assert entries(world) == before
    assert world.case(second).state is CaseState.CLAIMED


def test_the_lease_of_another_person_rules_nothing(world: World) -> None:
    """With their token too: or one person could fill both slots of a case."""
    case = world.held(required=2)
    world.claim(case, ANA, "a")
    before = entries(world)

    acts: tuple[Callable[[Transaction], object], ...] = (
        lambda each: rulings.rule(each, said_of(case, BEN, "a", "r")),
        lambda each: leases.renew(each, case, BEN.id, "a", LEASE),
        lambda each: leases.release(each, case, BEN.id, "a"),
        lambda each: reviewing.first_verdict(each, case, BEN.id, "a", BLOCK),
        lambda each: reviewing.judged(each, case, BEN.id, "a", "x", "d", {"passed": True}),
    )
    for steps in acts:
        with pytest.raises(Conflict):
            world.do(steps)

    assert entries(world) == before
    assert world.claim(case, BEN, "a").slot == 2  # their own, though the token is the same


@pytest.mark.parametrize("name", ["", "esc_", "esc_\0", "esc_" + "g" * 32, "esc_" + "a" * 32, "'"])
def test_no_case_has_such_an_id(world: World, name: str) -> None:
    with pytest.raises(NotFound):
        world.claim(name, ANA, "a")
    with pytest.raises(NotFound):
        world.do(lambda each: rulings.rule(each, said_of(name, ANA, "a", "r")))


@pytest.mark.parametrize("name", ["", "rul_\0", "rul_" + "a" * 32, "x" * 5000])
def test_no_ruling_has_such_an_id(world: World, name: str) -> None:
    case = world.held()
    world.claim(case, ANA, "a")
    world.rule(case, ANA, "a", APPROVE, undo_s=10)

    with pytest.raises(Conflict):
        world.do(lambda each: rulings.undo(each, case, name, ANA.id, "t", LEASE))


def test_a_late_ruling_is_about_what_was_shown_and_is_said_once(world: World) -> None:
    case = expired(world)
    before = entries(world)

    for wrong in ({"digest": "what they wrote"}, {"policy_digest": "0" * 64}):
        with pytest.raises(Conflict):
            world.rule(case, ANA, "a", APPROVE, **wrong)
    with pytest.raises(InvalidField):
        world.rule(case, ANA, "a", EDIT)  # that no judge has seen
    with pytest.raises(Conflict):
        world.rule(case, BEN, "a", APPROVE)  # who never had it
    assert entries(world) == before

    ruling, _ = world.rule(case, ANA, "a", APPROVE)
    with pytest.raises(Conflict):
        world.rule(case, ANA, "a", BLOCK)

    assert not ruling.counts
    assert len(world.acts(case, "ruled_late")) == 1
    assert len(world.acts(case, "outcome")) == 1


def test_a_late_ruling_that_comes_twice_is_one(world: World) -> None:
    case = expired(world)
    said = said_of(case, ANA, "a", "late")

    first, again = (world.do(lambda each: rulings.rule(each, said))[0] for _ in range(2))

    assert first == again
    assert len(world.acts(case, "ruled_late")) == 1


def test_a_ruling_below_cannot_be_taken_back_once_a_senior_has_the_case(world: World) -> None:
    case = world.held(required=2)
    for who in (ANA, BEN):
        world.claim(case, who, who.id)
    world.rule(case, ANA, ANA.id, ESCALATE, undo_s=10)
    world.later(5)
    later, _ = world.rule(case, BEN, BEN.id, APPROVE, undo_s=10)
    world.later(5)
    world.sweep()
    assert world.case(case).tier == 2

    with pytest.raises(Conflict, match="senior"):
        world.do(lambda each: rulings.undo(each, case, later.id, BEN.id, "t", LEASE))

    assert [slot.tier for slot in world.case(case).open_slots] == [2]
    world.claim(case, SUE, "s")
    world.rule(case, SUE, "s", BLOCK)
    assert world.acts(case, "outcome")[0]["facts"]["kind"] == "block"


def test_an_edit_changed_in_the_database_is_never_released(world: World) -> None:
    """Before the ruling, and while it can be taken back."""
    before, after = world.held(), world.held()
    for case in (before, after):
        world.claim(case, ANA, "a")
        world.edit(case, ANA, "a", "A kind text.")
    forged = {"judged_text": "HARM"}
    with world.engine.begin() as connection:
        connection.execute(sa.update(EDITS).filter_by(escalation_id=before).values(**forged))
    digest = Output("A kind text.", "stop").digest
    world.rule(before, ANA, "a", EDIT, digest=digest, undo_s=10)
    world.rule(after, ANA, "a", EDIT, digest=digest, undo_s=10)
    with world.engine.begin() as connection:
        connection.execute(sa.update(RULINGS).filter_by(escalation_id=after).values(text="HARM"))

    world.later(10)
    world.sweep()

    for case in (before, after):
        assert world.case(case).stuck
        assert world.acts(case, "outcome") == []
    world.later(CLAIM + RULE)
    world.sweep()
    for case in (before, after):
        assert world.acts(case, "outcome")[0]["facts"]["released"] is False


def test_nobody_rules_on_what_was_changed(world: World) -> None:
    case = world.held(waits=60)
    world.claim(case, ANA, "a")
    forged = json.dumps({"offers": {"approve": {}}}).encode()
    with world.engine.begin() as connection:
        connection.execute(sa.update(CONTENTS).filter_by(kind="held").values(content=forged))
    before = entries(world)

    with pytest.raises(Gone):
        world.rule(case, ANA, "a", APPROVE)

    assert entries(world) == before
    assert world.case(case).state is CaseState.CLAIMED


def test_a_senior_cannot_send_a_case_higher(world: World) -> None:
    case = world.held(on_expiry=OnExpiry.NEXT_TIER)
    world.later(CLAIM)
    world.sweep()
    world.claim(case, SUE, "s")

    with pytest.raises(InvalidField, match="escalate"):
        world.rule(case, SUE, "s", ESCALATE)
