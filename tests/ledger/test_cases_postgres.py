"""The life of cases on a real PostgreSQL, with two gateways, beside the same plain model."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from inwit.cases import Reviewer, Role, RulingKind
from inwit.ledger.case_files import Wanted, listed
from inwit.ledger.escalations import open_cases, open_tenants, unindexed
from inwit.ledger.golden import make_golden, next_golden
from inwit.ledger.standing import anything_due, standing
from inwit.ledger.tables import SLOTS
from tests.ledger.case_gateways import Gateways
from tests.ledger.case_world import LEASE
from tests.ledger.test_cases import run_cases
from tests.ledger.test_postgres import postgres as postgres

pytestmark = pytest.mark.process

ANA, CAT = (Reviewer(f"rev_{name}", Role.REVIEWER) for name in ("ana", "cat"))
EXAMPLES = int(os.environ.get("CASE_EXAMPLES", "12"))


def test_cases_go_as_they_must(postgres: tuple[str, Path]) -> None:
    run_cases(postgres[0], postgres[0], examples=EXAMPLES)


def test_what_is_asked_each_second(postgres: tuple[str, Path]) -> None:
    """The same answers from PostgreSQL, whose clock is its own."""
    world = Gateways(postgres[0])
    world.now, world.made = datetime.now(UTC), 10**6  # ids that no other test has
    before = world.read(standing).lanes
    cases = [world.held() for _ in range(3)]
    world.claim(cases[0], CAT, "c")
    world.rule(cases[0], CAT, "c", RulingKind.APPROVE)
    world.claim(cases[1], CAT, "d")
    made = world.do(lambda each: make_golden(each, cases[0], RulingKind.BLOCK, "rev_admin"))
    copy, _ = world.do(lambda each: next_golden(each, ANA, "g", LEASE))

    lanes = world.read(standing).lanes
    behind = {each.id for each in world.read(lambda each: unindexed(each, 1000))}

    assert {lane: lanes[lane] - before[lane] for lane in ("pending", "claimed")} == {
        "pending": 1,
        "claimed": 1,
    }
    assert set(cases) <= behind
    assert not {made.id, copy.id} & behind
    assert "acme" in world.read(open_tenants)
    open_ones = world.read(lambda each: open_cases(each, "", 1000, "acme"))
    assert set(cases[1:]) <= {each.id for each in open_ones}
    wanted = Wanted(states=frozenset({"pending", "claimed"}))
    listed_ones = world.read(lambda each: listed(each, wanted, None, 1000))
    assert [row.id for row in listed_ones if row.id in cases] == cases[1:]
    assert not world.read(anything_due)
    far = sa.update(SLOTS).values(lease_until=world.now - timedelta(seconds=1))
    world.do(lambda each: each.connection.execute(far.filter_by(escalation_id=cases[1])))
    assert world.read(anything_due)
    world.close()
