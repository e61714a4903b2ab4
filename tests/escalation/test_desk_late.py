"""What comes too late at the desk, or when the lease is gone; and what people are not shown."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY

from inwit.api.told import Told
from inwit.cases import CaseState, Reviewer, Role, RulingKind
from inwit.errors import Conflict, Forbidden
from inwit.ledger.tables import ESCALATIONS
from inwit.types import Severity
from tests.conftest import MakeCaller
from tests.escalation.desk_world import ANA, BEN, NO_WORDS, SUE, office, said_of

APPROVE, BLOCK = RulingKind.APPROVE, RulingKind.BLOCK
NEXT_TIER = {**NO_WORDS, "on_expiry": "next_tier"}


def ended() -> float:
    labels = {"ending": "nobody_ruled"}
    return REGISTRY.get_sample_value("inwit_escalation_wait_seconds_count", labels) or 0


async def test_a_clock_that_nobody_has_looked_at_yet_has_fired_all_the_same(
    make_caller: MakeCaller,
) -> None:
    here = await office(make_caller, lease_s=3600)
    case, unclaimed = await here.held(), await here.held()
    opened = await here.claim(case)
    await here.later(601)
    before = ended()

    ruling, after = await here.rule(opened, APPROVE)
    with pytest.raises(Conflict, match="expired"):
        await here.claim(unclaimed)

    assert (ruling.counts, after.state) == (False, CaseState.EXPIRED)
    assert (await here.told(case))["status"] == "blocked"
    assert ended() - before == 1
    await here.parts.sweeper.sweep()
    assert ended() - before == 2  # the one that was not claimed; the other one is not told again


@pytest.mark.parametrize("blind", [0.0, 1.0])
async def test_a_late_ruling_is_counted_as_one_and_ends_its_case_once(
    make_caller: MakeCaller, blind: float
) -> None:
    """It needs no first verdict: nobody is influenced any more."""
    here = await office(make_caller, lease_s=3600, blind_share=blind)
    opened = await here.claim(case := await here.held())
    await here.later(601)
    before = ended()
    await here.parts.sweeper.sweep()

    ruling, _ = await here.rule(opened, APPROVE)

    assert not ruling.counts
    assert ended() - before == 1
    assert len(await here.acts(case, "ruled_late")) == 1


@pytest.mark.parametrize("lease_s", [60, 3600])
async def test_what_a_reviewer_says_once_a_senior_has_the_case_is_kept(
    make_caller: MakeCaller, lease_s: int
) -> None:
    here = await office(make_caller, lease_s=lease_s, escalation=NEXT_TIER)
    opened = await here.claim(case := await here.held())
    await here.later(601)
    await here.parts.sweeper.sweep()

    ruling, after = await here.rule(opened, APPROVE)
    with pytest.raises(Conflict):
        await here.rule(opened, BLOCK)  # once
    with pytest.raises(Conflict):
        await here.rule(opened, BLOCK, BEN)  # who never had it

    assert (ruling.counts, after.tier, after.state) == (False, 2, CaseState.PENDING)
    assert (await here.told(case))["status"] == "held"
    senior = await here.claim(case, SUE)
    await here.rule(senior, BLOCK, SUE)
    assert (await here.told(case))["escalation"]["ruling"] == "block"


async def test_who_gave_a_case_back_is_not_late(make_caller: MakeCaller) -> None:
    here = await office(make_caller)
    opened = await here.claim(case := await here.held())
    await here.desk.release(ANA, case, opened.lease.token)
    await here.later(601)
    await here.parts.sweeper.sweep()

    with pytest.raises(Conflict, match="closed"):
        await here.rule(opened, APPROVE)


async def test_a_request_id_stands_for_one_ruling_on_one_text(make_caller: MakeCaller) -> None:
    here = await office(make_caller)
    opened = await here.claim(case := await here.held())
    said = said_of(opened, APPROVE, ANA, undo_s=600)
    ruling, _ = await here.desk.rule(ANA, said)

    again, _ = await here.desk.rule(ANA, said)
    with pytest.raises(Conflict, match="another ruling"):
        await here.desk.rule(ANA, replace(said, digest="0" * 64))
    await here.desk.undo(ANA, case, ruling.id, "another-tab")
    with pytest.raises(Conflict, match="taken back"):
        await here.desk.rule(ANA, replace(said, token="another-tab"))

    assert again == ruling


async def test_clearance_and_kinds_of_harm_hold_for_reading_too(make_caller: MakeCaller) -> None:
    sections = {"categories": {"deception": {"severity": "high"}}}
    here = await office(make_caller, sections=sections)
    case = await here.held()
    low = Reviewer("rev_low", Role.AUDITOR, clearance=Severity.LOW)

    for ask in (here.desk.look(low, case), here.desk.reveal(low, case, "candidate")):
        with pytest.raises(Forbidden, match="worse"):
            await ask

    assert await here.acts(case, "viewed") == []
    assert (await here.desk.look(Reviewer("rev_any", Role.AUDITOR), case)).case.id == case


async def test_who_will_be_asked_blind_is_shown_no_scores_before(make_caller: MakeCaller) -> None:
    here = await office(make_caller, blind_share=1.0)
    file = await here.desk.look(ANA, await here.held())

    assert here.desk.rules.blind(ANA, file.case)
    assert not here.desk.rules.blind(Reviewer("rev_any", Role.AUDITOR), file.case)


async def test_once_the_caller_has_hung_up_a_ruling_can_be_taken_back(
    make_caller: MakeCaller,
) -> None:
    here = await office(make_caller)
    case = await here.held()
    line = sa.update(ESCALATIONS).values(waits_until=datetime.now(UTC) + timedelta(hours=1))
    await here.database.write(lambda each: each.execute(line))
    told = Told(here.caller.gateway)
    held = (await told.about("acme", case.replace("esc_", "resp_"))).response
    assert held is not None
    waiting = asyncio.create_task(told.in_line(held, 3600))
    await asyncio.sleep(0)  # it has begun to wait

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    ruling, _ = await here.rule(await here.claim(case), APPROVE, undo_s=600)

    assert ruling.takes_effect > ruling.time
