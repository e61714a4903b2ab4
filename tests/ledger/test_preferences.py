"""Pairs from people's edits: with consent, whole, and gone with what was erased."""

from collections.abc import Generator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from inwit.cases import CaseState, Output, Reviewer, RulingKind
from inwit.ledger.preferences import Tally, note_preferences, preferences
from inwit.ledger.tables import CONTENTS, ENTRIES, ESCALATIONS
from inwit.ledger.verify_database import verify_database
from tests.ledger.case_world import REVIEWERS, SENIOR, World

ANA, BEN, _ = REVIEWERS
TURNS = [{"role": "user", "content": "How do tides work?"}]
EDIT, DRAFT = "The moon, mostly.", "Magic."
REQUEST: dict[str, Any] = {
    "messages": TURNS,
    "context": [],
    "tools": [],
    "metadata": {"training": "consented"},
}
CANDIDATE: dict[str, Any] = {"text": DRAFT, "tool_calls": []}


@pytest.fixture
def world() -> Generator[World]:
    made = World()
    yield made
    made.close()


def edited(
    world: World,
    request: dict[str, Any] = REQUEST,
    text: str = EDIT,
    undo_s: float = 0.0,
    **more: Any,
) -> str:
    """A case that Ana has edited."""
    candidate = CANDIDATE | more.pop("candidate", {})
    case = world.held(contents={"request": request, "candidate": candidate}, **more)
    edit(world, case, ANA, text, undo_s)
    return case


def edit(world: World, case: str, who: Reviewer, text: str = EDIT, undo_s: float = 0.0) -> None:
    world.claim(case, who, who.id)
    world.edit(case, who, who.id, text)
    digest = Output(text, "stop").digest
    world.rule(case, who, who.id, RulingKind.EDIT, digest=digest, undo_s=undo_s)


def found(world: World) -> Tally:
    day = timedelta(days=1)
    return world.read(lambda each: preferences(each, world.now - day, world.now + day))


def test_an_edit_stands_against_its_candidate(world: World) -> None:
    edited(world)

    (pair,) = found(world).pairs
    assert (pair.messages, pair.chosen, pair.rejected) == (tuple(TURNS), EDIT, DRAFT)
    assert pair.ruling.startswith("rul_")


@pytest.mark.parametrize(
    "metadata",
    [{}, {"training": ""}, {"training": "yes"}, {"training": "refused"}, {"Training": "consented"}],
)
def test_nothing_but_the_flag_is_consent(world: World, metadata: dict[str, str]) -> None:
    edited(world, REQUEST | {"metadata": metadata})

    assert found(world) == Tally((), 1, 0, 0)


@pytest.mark.parametrize("kind", ["request", "candidate", "edit"])
def test_what_is_erased_gives_no_pair(world: World, kind: str) -> None:
    edited(world)
    with world.engine.begin() as connection:
        connection.execute(sa.delete(CONTENTS).filter_by(kind=kind))

    assert found(world) == Tally((), 0, 1, 0)


def test_what_was_changed_gives_no_pair(world: World) -> None:
    edited(world)
    with world.engine.begin() as connection:
        forged = {"content": b'{"text": "HARM", "tool_calls": []}'}
        connection.execute(sa.update(CONTENTS).filter_by(kind="candidate").values(**forged))

    assert found(world).pairs == ()


@pytest.mark.parametrize(
    "more",
    [
        {"request": REQUEST | {"tools": [{"type": "function", "function": {"name": "f"}}]}},
        {"request": REQUEST | {"context": [{"id": "1", "source": "s", "text": "t"}]}},
        {"request": REQUEST | {"messages": [*TURNS, {"role": "tool", "content": "High tide."}]}},
        {"candidate": {"tool_calls": [{"id": "1"}]}},
        {"text": DRAFT},
    ],
)
def test_what_cannot_be_learnt_from_text_alone_is_left_out(
    world: World, more: dict[str, Any]
) -> None:
    edited(world, **more)

    assert found(world) == Tally((), 0, 0, 1)


def test_other_rulings_golden_cases_and_what_does_not_count_give_none(world: World) -> None:
    whole = {"request": REQUEST, "candidate": CANDIDATE}
    blocked = world.held(contents=whole)
    world.claim(blocked, ANA, "a")
    world.rule(blocked, ANA, "a", RulingKind.BLOCK)
    golden = edited(world)
    with world.engine.begin() as connection:
        connection.execute(sa.update(ESCALATIONS).filter_by(id=golden).values(expected="block"))

    assert found(world) == Tally((), 0, 0, 0)


def test_an_edit_that_was_overruled_gives_none(world: World) -> None:
    case = edited(world, required=2)
    for who in (BEN, SENIOR):
        world.claim(case, who, who.id)
        world.rule(case, who, who.id, RulingKind.BLOCK)
        world.sweep()

    assert world.case(case).state is CaseState.RESOLVED
    assert found(world) == Tally((), 0, 0, 0)


def test_an_edit_that_two_agree_on_gives_one(world: World) -> None:
    case = edited(world, required=2)
    assert found(world).pairs == ()
    edit(world, case, BEN)

    (pair,) = found(world).pairs
    assert pair.chosen == EDIT


def test_an_edit_that_can_still_be_undone_gives_none_yet(world: World) -> None:
    edited(world, undo_s=30.0)
    assert found(world) == Tally((), 0, 0, 0)

    world.later(31)
    world.sweep()
    assert len(found(world).pairs) == 1


def test_only_the_period_is_taken(world: World) -> None:
    edited(world)
    first = world.now
    world.later(3600)
    edited(world)

    taken = world.read(lambda each: preferences(each, first, world.now))
    assert len(taken.pairs) == 1
    assert len(found(world).pairs) == 2


def test_that_they_were_taken_out_is_an_entry(world: World) -> None:
    edited(world)
    world.do(lambda each: note_preferences(each, world.now, world.now, 1))

    with world.engine.connect() as connection:
        kinds = connection.execute(sa.select(ENTRIES.c.type)).scalars().all()
        assert kinds[-1] == "exported"
        assert verify_database(connection).breaks == ()
