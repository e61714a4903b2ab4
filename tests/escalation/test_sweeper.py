"""What time does: outcomes that the policy says, each once, whoever sweeps and whatever is away."""

import asyncio
from typing import Any

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from inwit.cases import CaseState, RulingKind
from inwit.escalation.index import Index
from inwit.escalation.sweeper import Sweeper
from inwit.ledger.database import Database, sqlite_url
from inwit.ledger.store import LedgerStore
from inwit.ledger.verify_database import verify_database
from tests.conftest import MakeCaller
from tests.escalation.desk_world import (
    ANA,
    BEN,
    FLAGGED,
    NO_WORDS,
    SUE,
    office,
)
from tests.escalation.desk_world import clean_url as clean_url
from tests.fakes import FakeModel

APPROVE, BLOCK = RulingKind.APPROVE, RulingKind.BLOCK
GERMAN = {"messages": [{"role": "user", "content": "Wie entstehen eigentlich Ebbe und Flut?"}]}
EXPIRED = {"en": "Nobody could look at this.", "de": "Das konnte niemand ansehen."}


def lane(name: str) -> float:
    return REGISTRY.get_sample_value("inwit_escalations_open", {"lane": name}) or 0.0


async def test_nobody_claims_and_the_caller_is_told(make_caller: MakeCaller) -> None:
    here = await office(make_caller, escalation={**NO_WORDS, "expired_text": EXPIRED})
    case, german = await here.held(), await here.held(**GERMAN)
    await here.later(300)
    await here.parts.sweeper.sweep()
    assert (await here.told(case))["status"] == "held"

    await here.later(300)
    await here.parts.sweeper.sweep()

    for name, language in ((case, "en"), (german, "de")):
        told = await here.told(name)
        assert (told["status"], told["escalation"]["state"]) == ("blocked", "expired")
        assert told["output"]["content"] == EXPIRED[language]
        assert told["escalation"]["ruling"] is None
        assert len(await here.acts(name, "outcome")) == 1


async def test_without_a_text_of_its_own_expiry_says_the_fallback(make_caller: MakeCaller) -> None:
    here = await office(make_caller)
    answer = await here.caller.respond()
    case = answer.json()["escalation"]["id"]
    await here.later(600)
    await here.parts.sweeper.sweep()

    assert (await here.told(case))["output"] == answer.json()["output"]


async def test_the_next_tier_gets_its_own_clocks_once(make_caller: MakeCaller) -> None:
    here = await office(make_caller, escalation={**NO_WORDS, "on_expiry": "next_tier"})
    case = await here.held()
    await here.claim(case)
    for seconds, state in (
        (599, CaseState.PENDING),
        (1, CaseState.PENDING),
        (599, None),
        (1, None),
    ):
        await here.later(seconds)
        await here.parts.sweeper.sweep()
        if state is None:
            continue
        assert (await here.case(case)).state is state

    assert (await here.told(case))["escalation"]["state"] == "expired"
    kinds = [each.facts["type"] for each in await here.acts(case)]
    assert kinds == ["accepted", "decision", "claimed", "lease_expired", "raised", "outcome"]


async def test_a_ruling_in_time_counts_though_the_clock_fires_in_the_same_sweep(
    make_caller: MakeCaller,
) -> None:
    here = await office(make_caller)
    case = await here.held()
    opened = await here.claim(case)
    await here.rule(opened, APPROVE, undo_s=10)

    await here.later(10_000)  # nothing swept meanwhile
    await here.parts.sweeper.sweep()

    assert (await here.told(case))["status"] == "released"


async def test_a_lease_that_runs_out_gives_the_case_to_the_next(
    make_caller: MakeCaller, clean_url: str
) -> None:
    here = await office(make_caller, redis_url=clean_url)
    case = await here.held()
    await here.claim(case)
    await here.later(120)

    await here.parts.sweeper.sweep()

    found = await here.next(BEN)
    assert found is not None
    assert found.file.case.id == case
    (lost,) = await here.acts(case, "lease_expired")
    assert lost.facts["actor"] == ANA.id


async def test_a_case_that_nobody_can_finish_is_stuck_and_seen(
    make_caller: MakeCaller, clean_url: str
) -> None:
    here = await office(make_caller, redis_url=clean_url)
    case = await here.held()
    for _ in range(3):
        await here.claim(case)
        await here.later(120)
        await here.parts.sweeper.sweep()

    assert (await here.case(case)).stuck
    assert await here.next(BEN) is None
    assert here.parts.sweeper.standing.lanes["stuck"] == lane("stuck") == 1
    assert any("stuck" in warning for warning in here.parts.warnings())
    opened = await here.claim(case, SUE)
    await here.rule(opened, APPROVE, SUE)
    await here.parts.sweeper.sweep()
    assert lane("stuck") == 0


async def test_two_gateways_sweep_and_each_thing_happens_once(
    make_caller: MakeCaller, clean_url: str, tmp_path: Any
) -> None:
    here = await office(make_caller, redis_url=clean_url)
    expiring = [await here.held() for _ in range(3)]
    lost, ruled = await here.held(), await here.held()
    await here.rule(await here.claim(ruled), APPROVE, undo_s=10)
    await here.later(500)
    await here.claim(lost)
    await here.later(120)  # all that was held is over now, and so is the lease
    ended = REGISTRY.get_sample_value(
        "inwit_escalation_wait_seconds_count", {"ending": "nobody_ruled"}
    )

    other = Database(sqlite_url(tmp_path))
    await other.open()
    store = LedgerStore(other)
    async with store.running():
        index = Index(other, store, here.parts.queue)
        second = Sweeper(other, store, here.parts.queue, index)
        await asyncio.gather(*(each.sweep() for each in (here.parts.sweeper, second) * 3))
    await other.close()

    for case in expiring:
        assert len(await here.acts(case, "outcome")) == 1
    assert len(await here.acts(ruled, "outcome")) == 1
    assert len(await here.acts(lost, "lease_expired")) == 1
    now = REGISTRY.get_sample_value(
        "inwit_escalation_wait_seconds_count", {"ending": "nobody_ruled"}
    )
    assert (now or 0) - (ended or 0) == len(expiring)
    assert not (await here.database.read(verify_database)).breaks


async def test_clocks_run_though_the_queue_is_away(make_caller: MakeCaller) -> None:
    here = await office(make_caller)  # nobody listens there
    case = await here.held()
    await here.later(600)

    await here.parts.sweeper.sweep()
    await here.parts.sweeper.compare()

    assert (await here.told(case))["status"] == "blocked"
    assert here.parts.sweeper.standing.behind == 1
    assert any("not heard of 1" in warning for warning in here.parts.warnings())


async def test_a_sweep_that_breaks_is_not_the_last(
    make_caller: MakeCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inwit.escalation.sweeper._EVERY_S", 0.01)
    here = await office(make_caller)
    case = await here.held()
    rename = "ALTER TABLE slots RENAME TO hidden", "ALTER TABLE hidden RENAME TO slots"
    await here.database.write(lambda each: each.exec_driver_sql(rename[0]))
    with capture_logs() as logs:
        async with asyncio.timeout(60), here.parts.sweeper.running():
            while "sweep_failed" not in {line["event"] for line in logs}:  # noqa: ASYNC110
                await asyncio.sleep(0)  # a log is nothing that could be waited for
            await here.database.write(lambda each: each.exec_driver_sql(rename[1]))
            await here.later(600)
            while (await here.told(case))["status"] == "held":
                pass

    assert len(await here.acts(case, "outcome")) == 1


async def test_a_second_ruling_that_never_comes_releases_nothing(make_caller: MakeCaller) -> None:
    here = await office(make_caller, escalation={**NO_WORDS, "second_review": {"share": 1.0}})
    case = await here.held()
    await here.approved(case)
    assert (await here.told(case))["status"] == "held"

    await here.later(600)
    await here.parts.sweeper.sweep()

    assert (await here.told(case))["status"] == "blocked"
    assert (await here.acts(case, "outcome"))[0].facts["facts"]["released"] is False


async def test_a_late_ruling_is_kept_to_learn_from(make_caller: MakeCaller) -> None:
    here = await office(make_caller, lease_s=3600)
    case = await here.held()
    opened = await here.claim(case)
    await here.later(601)
    await here.parts.sweeper.sweep()
    late = REGISTRY.get_sample_value("inwit_rulings_total", {"ruling": "approve", "late": "true"})

    ruling, after = await here.rule(opened, APPROVE)

    assert (ruling.counts, after.state) == (False, CaseState.EXPIRED)
    assert (await here.told(case))["status"] == "blocked"
    assert [each.facts["type"] for each in await here.acts(case)][-2:] == ["outcome", "ruled_late"]
    now = REGISTRY.get_sample_value("inwit_rulings_total", {"ruling": "approve", "late": "true"})
    assert (now or 0) - (late or 0) == 1


async def test_how_things_stand_is_measured(make_caller: MakeCaller, clean_url: str) -> None:
    here = await office(make_caller, FakeModel(answer=FLAGGED), redis_url=clean_url)
    cases = [await here.held() for _ in range(2)]
    await here.claim(cases[0])
    await here.later(60)

    await here.parts.sweeper.sweep()

    assert (lane("pending"), lane("claimed"), lane("senior")) == (1, 1, 0)
    assert here.parts.sweeper.standing.oldest_s >= 60
    assert here.parts.sweeper.standing.behind == 0
