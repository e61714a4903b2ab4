"""Outcomes: exactly the bytes that were ruled on, whatever they are, and never held up."""

from collections.abc import Generator

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from inwit.cases import CaseState, OnExpiry, Output, Reviewer, Role, RulingKind
from inwit.ledger.case_files import case_file
from inwit.ledger.outcomes import rulings_of
from inwit.ledger.read import stories
from inwit.ledger.tables import ESCALATIONS
from inwit.ledger.verify_database import verify_database
from tests.ledger.case_world import ANSWER, CLAIM, World

ANA, BEN = (Reviewer(f"rev_{name}", Role.REVIEWER) for name in ("ana", "ben"))
APPROVE, EDIT = RulingKind.APPROVE, RulingKind.EDIT


@pytest.fixture
def world() -> Generator[World]:
    made = World()
    yield made
    made.close()


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=200))
def test_any_text_leaves_as_it_was_written(text: str) -> None:
    world = World()
    case = world.held()
    world.claim(case, ANA, "a")
    digest = world.edit(case, ANA, "a", text)

    ruling, _ = world.rule(case, ANA, "a", EDIT, digest=digest)

    response = world.case(case).response_id
    outcome = world.read(lambda each: stories(each, response))[-1]
    content = outcome.contents["released"]
    assert (content["text"], content["finish_reason"]) == (text, "stop")
    assert outcome.facts["facts"]["digest"] == ruling.digest == Output(text, "stop").digest
    assert not world.read(verify_database).breaks
    world.close()


@pytest.mark.parametrize("step", ["expiry", "effect"])
def test_one_case_that_is_broken_holds_up_no_other(world: World, step: str) -> None:
    broken, well = world.held(), world.held()
    if step == "effect":
        for case in (broken, well):
            world.claim(case, ANA, f"a-{case}")
            world.rule(case, ANA, f"a-{case}", APPROVE, undo_s=10)
    with world.engine.begin() as connection:
        change = sa.update(ESCALATIONS).filter_by(id=broken)
        connection.execute(change.values(language="de", severity="no such thing"))
    world.later(10 if step == "effect" else CLAIM)

    for _ in range(3):
        world.sweep()

    assert world.case(well).state is (CaseState.RESOLVED if step == "effect" else CaseState.EXPIRED)
    assert world.acts(broken, "outcome") == []
    query = sa.select(ESCALATIONS.c.stuck).filter_by(id=broken)
    assert world.read(lambda each: each.execute(query).scalar_one())


def test_rulings_of_one_moment_have_one_order(world: World) -> None:
    """Two that share a commit have the same time; which is final must not depend on luck."""
    case = world.held(required=2)
    for who in (BEN, ANA):
        world.claim(case, who, who.id)
    world.rule(case, ANA, ANA.id, APPROVE)
    world.rule(case, BEN, BEN.id, EDIT, digest=world.edit(case, BEN, BEN.id, ANSWER.text))

    made = world.read(lambda each: rulings_of(each, case))

    assert [each.slot for each in made] == [1, 2]
    assert world.acts(case, "outcome")[0]["facts"]["ruling"] == made[0].id


def test_a_senior_sees_what_was_said_below(world: World) -> None:
    case = world.held(required=2, on_expiry=OnExpiry.NEXT_TIER)
    for who, kind in ((ANA, APPROVE), (BEN, RulingKind.BLOCK)):
        world.claim(case, who, who.id)
        world.rule(case, who, who.id, kind)

    file = world.read(lambda each: case_file(each, case, "rev_sue"))

    assert [(each.reviewer, each.kind) for each in file.rulings] == [
        (ANA.id, APPROVE),
        (BEN.id, RulingKind.BLOCK),
    ]
    assert (file.draft, file.judged) == (None, None)
