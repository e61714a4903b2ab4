"""Golden cases: shown like others, and never more than an answer comes of them."""

from collections.abc import Generator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from inwit.cases import Case, CaseState, Lease, OnExpiry, Reviewer, Role, RulingKind
from inwit.errors import Conflict, NotFound
from inwit.ledger import golden, leases
from inwit.ledger.case_files import Wanted, listed
from inwit.ledger.escalations import open_cases, open_tenants, unindexed
from inwit.ledger.outcomes import rulings_of
from inwit.ledger.standing import standing
from inwit.ledger.stored import TOLD
from inwit.ledger.tables import DELIVERIES, ENTRIES, ESCALATIONS
from inwit.ledger.verify_database import verify_database
from inwit.types import Category, Severity
from tests.ledger.case_world import ANSWER, CLAIM, LEASE, RULE, World

ANA, BEN, CAT = (Reviewer(f"rev_{name}", Role.REVIEWER) for name in ("ana", "ben", "cat"))
APPROVE, BLOCK = RulingKind.APPROVE, RulingKind.BLOCK


@pytest.fixture
def world() -> Generator[World]:
    made = World()
    yield made
    made.close()


def template(world: World, **how: Any) -> Case:
    """Of a case that Cat has ruled on."""
    case = world.held(callback="https://example.org/hook", **how)
    world.claim(case, CAT, "c")
    world.rule(case, CAT, "c", APPROVE)
    return world.do(lambda each: golden.make_golden(each, case, BLOCK, "rev_admin"))


def drawn(world: World, who: Reviewer, tab: str = "g", **how: Any) -> tuple[Case, Lease] | None:
    return world.do(lambda each: golden.next_golden(each, who, tab, LEASE, **how))


def drawn_case(world: World, who: Reviewer, tab: str = "g") -> Case:
    found = drawn(world, who, tab)
    assert found is not None
    return found[0]


def entries(world: World, case: str) -> list[Any]:
    query = sa.select(ENTRIES).order_by(ENTRIES.c.sequence)
    rows = world.read(lambda each: each.execute(query).all())
    return [row for row in rows if case.encode() in row.body]


def test_each_reviewer_gets_one_copy_but_who_ruled_on_the_case(world: World) -> None:
    template(world)

    first = drawn_case(world, ANA)

    assert (first.expected, first.state, first.tier) == (BLOCK, CaseState.CLAIMED, 1)
    assert drawn(world, ANA, "another") is None
    assert drawn_case(world, BEN).id != first.id
    assert drawn(world, CAT) is None


def test_the_same_token_gets_the_same_copy(world: World) -> None:
    template(world)
    template(world)

    assert drawn(world, ANA) == drawn(world, ANA)
    assert drawn_case(world, ANA, "other").id != drawn_case(world, ANA).id
    world.later(LEASE)
    world.sweep()
    assert drawn(world, ANA) is None


def test_only_those_that_fit_are_shown(world: World) -> None:
    made = template(world)  # severity high, in English
    assert made.severity is Severity.HIGH

    for change in (
        {"languages": frozenset({"de"})},
        {"clearance": Severity.MEDIUM},
        {"tenants": frozenset({"other"})},
        {"role": Role.AUDITOR},
    ):
        assert drawn(world, replace(ANA, **change)) is None  # pyright: ignore[reportArgumentType]  # drawn
    assert drawn(world, ANA, worst=Severity.MEDIUM) is None
    assert drawn(world, replace(ANA, opted_out=frozenset({Category.HATE})), worst=Severity.HIGH)


@pytest.mark.parametrize("kind", [APPROVE, BLOCK, RulingKind.ESCALATE])
def test_its_answer_ends_it_and_releases_nothing(world: World, kind: RulingKind) -> None:
    template(world, required=1)
    copy = drawn_case(world, ANA)

    world.rule(copy.id, ANA, "g", kind, undo_s=10)
    world.later(10)
    world.sweep()

    (said,) = world.read(lambda each: rulings_of(each, copy.id))
    assert (said.kind, said.counts) == (kind, True)
    assert world.case(copy.id).state is CaseState.RESOLVED
    (outcome,) = world.acts(copy.id, "outcome")
    assert outcome["facts"]["golden"] is True
    assert outcome["facts"]["released"] is False
    assert (outcome["commitments"], outcome["response"]) == ({}, "")
    rows = world.read(lambda each: each.execute(sa.select(DELIVERIES)).all())
    assert len(rows) == 1  # the case that it was made of
    assert not world.read(verify_database).breaks


def test_no_response_and_no_queue_ever_hears_of_it(world: World) -> None:
    source = template(world)
    copy = drawn_case(world, ANA)
    world.rule(copy.id, ANA, "g", APPROVE, undo_s=10)
    other = drawn_case(world, BEN)

    told = {each.id for each in world.read(lambda db: unindexed(db, 100))}
    rows = world.read(lambda db: listed(db, Wanted(), None, 100))
    shown = {row.id for row in rows}
    assert not {source.id, copy.id, other.id} & (told | shown)
    assert world.read(lambda db: open_cases(db, "", 100, "acme")) == []
    assert world.read(open_tenants) == []
    assert set(world.read(standing).lanes.values()) == {0}
    for case in (source, copy, other):
        about = [row for row in entries(world, case.id) if row.type in TOLD]
        assert {row.response_id for row in about} <= {""}
    assert (copy.response_id, source.response_id) == ("", "")


@pytest.mark.parametrize("how", ["lost", "released"])
def test_a_copy_that_is_let_go_is_closed_and_does_not_come_back(world: World, how: str) -> None:
    template(world)
    copy = drawn_case(world, ANA)

    if how == "lost":
        world.later(LEASE)
        world.sweep()
    else:
        world.do(lambda each: leases.release(each, copy.id, ANA.id, "g"))

    after = world.case(copy.id)
    assert (after.state, after.closed is not None) == (CaseState.EXPIRED, True)
    assert world.acts(copy.id, "outcome") == []
    assert drawn(world, ANA, "again") is None
    with pytest.raises(Conflict):
        world.rule(copy.id, ANA, "g", APPROVE)


def test_a_copy_is_its_reviewers_alone(world: World) -> None:
    template(world)
    copy = drawn_case(world, ANA)
    world.later(LEASE)  # and nothing was swept yet

    with pytest.raises(NotFound):
        world.claim(copy.id, BEN, "b")


def test_its_clock_closes_it_and_no_senior_gets_it(world: World) -> None:
    template(world, on_expiry=OnExpiry.NEXT_TIER)
    copy = drawn_case(world, ANA)
    for _ in range(RULE // 100):
        world.do(lambda each: leases.renew(each, copy.id, ANA.id, "g", LEASE))
        world.later(100)

    world.sweep()

    after = world.case(copy.id)
    assert (after.state, after.tier) == (CaseState.EXPIRED, 1)
    assert world.acts(copy.id, "raised") == []


def test_a_template_has_no_clock_and_is_retired(world: World) -> None:
    made = template(world)
    world.later(3 * (CLAIM + RULE))
    world.sweep()
    assert world.case(made.id).state is CaseState.GOLDEN
    assert [each.id for each in world.read(golden.templates)] == [made.id]
    with pytest.raises(NotFound):
        world.claim(made.id, ANA, "a")

    world.do(lambda each: golden.retire_golden(each, made.id, "rev_admin"))

    assert drawn(world, ANA) is None
    with pytest.raises(Conflict):
        world.do(lambda each: golden.retire_golden(each, made.id, "rev_admin"))


def test_only_what_people_decided_becomes_golden(world: World) -> None:
    waiting = world.held()
    copy_of = template(world)
    copy = drawn_case(world, ANA)
    world.rule(copy.id, ANA, "g", APPROVE)
    world.later(timedelta(days=1).total_seconds())
    world.sweep()

    for case in (waiting, copy_of.id, copy.id):
        with pytest.raises(Conflict):
            world.do(lambda each, case=case: golden.make_golden(each, case, BLOCK, "rev_admin"))

    query = sa.select(sa.func.count()).select_from(ESCALATIONS).filter_by(state="golden")
    assert world.read(lambda each: each.execute(query).scalar_one()) == 1
    assert ANSWER.digest not in str(world.acts(copy.id, "outcome")[0]["commitments"])


def test_no_rewrite_no_approving_it_as_the_answer(world: World) -> None:
    case = world.held(rewrites=False)
    world.claim(case, CAT, "c")
    world.rule(case, CAT, "c", APPROVE)
    rewrite = RulingKind.APPROVE_REWRITE

    with pytest.raises(Conflict, match="no rewrite"):
        world.do(lambda each: golden.make_golden(each, case, rewrite, "rev_admin"))

    assert not world.read(golden.templates)
