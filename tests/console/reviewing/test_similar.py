"""Earlier rulings on cases like one: from the ledger, near by their words, and nobody else's."""

import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from inwit.cases import RulingKind
from inwit.console.similar import LEAST_LIKENESS, likeness, shingles
from inwit.ledger.tables import CONTENTS, ESCALATIONS
from tests.console.reviewing.world import (
    WHY,
    Desk,
    MakeWorld,
    World,
    escalating,
    flagged,
    words_of,
)
from tests.fakes import FakeModel, naming

WORDS = st.lists(st.sampled_from(["tide", "moon", "plan", "fee", "Sea"]), max_size=12)

FIRST = "The small plan has no calls abroad at all, and a fine for each one."
NEAR = "The small plan has no calls abroad at all, and no fine."
FAR = "Tides come and go because the moon pulls at the sea."


@settings(max_examples=60)
@given(WORDS, WORDS)
def test_likeness_is_a_share_and_the_same_both_ways(one: list[str], other: list[str]) -> None:
    left, right = shingles(" ".join(one)), shingles(", ".join(other))

    assert 0.0 <= likeness(left, right) == likeness(right, left) <= 1.0
    assert likeness(left, left) == (1.0 if one else 0.0)
    assert shingles(" ".join(one).upper()) == left


def test_likeness_counts_words_in_threes() -> None:
    one, other = shingles("a b c d"), shingles("b c d e")

    assert len(one) == len(other) == 2
    assert likeness(one, other) == 1 / 3
    assert likeness(shingles(FIRST), shingles(NEAR)) > LEAST_LIKENESS > 0.0
    assert likeness(shingles(FIRST), shingles(FAR)) == 0.0
    assert len(shingles("word number " * 50_000)) <= 5_000


async def test_near_cases_of_the_same_kind_are_shown_the_nearest_first(
    make_world: MakeWorld,
) -> None:
    model = FakeModel(FIRST)
    here = await make_world(model=model, policy=escalating(), undo_s=0)
    ada = await here.reviewer("ada")
    blocked = await ruled(here, ada, model, FIRST, "block")
    approved = await ruled(here, ada, model, NEAR, "approve")
    other_kind = await ruled(here, ada, model, FIRST, "block", "privacy_leak")
    far = await ruled(here, ada, model, FAR, "block")
    open_one = await held(here, model, NEAR)
    case_id = await held(here, model, FIRST)
    bob = await here.reviewer("bob")
    page = await bob.claim(case_id)

    found = await bob.ask(f"/cases/{case_id}/similar", token=page.token)

    assert found.text.index(blocked) < found.text.index(approved)
    for absent in (other_kind, far, open_one, f"/{case_id}", FIRST, ada.id):
        assert absent not in found.text
    assert "block (opens another tab) deception 100 %" in words_of(found)
    assert (await bob.ask(f"/cases/{case_id}/similar", token="x")).status_code == 409


async def test_what_was_erased_changed_or_is_anothers_is_not_compared(
    make_world: MakeWorld,
) -> None:
    model = FakeModel(FIRST)
    here = await make_world(model=model, policy=escalating(), undo_s=0)
    ada = await here.reviewer("ada")
    erased, changed, others, kept = [
        await ruled(here, ada, model, FIRST, "block") for _ in range(4)
    ]
    await candidate(here, erased, sa.delete(CONTENTS))
    await candidate(here, changed, sa.update(CONTENTS).values(content=b'{"text": "x"}'))
    await here.change(others, tenant="other")
    case_id = await held(here, model, FIRST)
    page = await ada.claim(case_id)

    found = await ada.ask(f"/cases/{case_id}/similar", token=page.token)

    assert kept in found.text
    for absent in (erased, changed, others):
        assert absent not in found.text


async def held(here: World, model: FakeModel, text: str, kind: str = "deception") -> str:
    """The id of a case with this candidate."""
    model.text, model.answer = text, flagged().answer
    model.explanation = naming(kind, reason="It misleads.")
    return await here.hold()


async def ruled(
    here: World, desk: Desk, model: FakeModel, text: str, kind: str, category: str = "deception"
) -> str:
    """The same, ruled on."""
    case_id = await held(here, model, text, category)
    page = await desk.claim(case_id)
    answer = await desk.rule(page, RulingKind(kind), reason=WHY, clause=category)
    assert answer.status_code == 200, answer.text
    return case_id


async def candidate(here: World, case_id: str, change: sa.Update | sa.Delete) -> None:
    """Do something to the candidate of a case in the ledger's contents."""
    place = sa.select(ESCALATIONS.c.sequence).where(ESCALATIONS.c.id == case_id).scalar_subquery()
    where = change.where(CONTENTS.c.sequence == place, CONTENTS.c.kind == "candidate")
    await here.site.database.write(lambda db: db.execute(where))
