"""The desk: whom it gives which case."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY

from inwit.cases import CaseState, Output, RulingKind, WhySkipped
from inwit.errors import Conflict, Gone, QueueDown
from inwit.ledger.golden import make_golden
from inwit.ledger.reviewing import exposure
from inwit.ledger.tables import CONTENTS
from inwit.types import Severity
from tests.conftest import MakeCaller
from tests.escalation.desk_world import (
    ANA,
    BEN,
    SUE,
    Office,
    office,
)
from tests.escalation.desk_world import clean_url as clean_url

APPROVE, REWRITE, EDIT, BLOCK, ESCALATE = RulingKind
TEXTS = (
    "  Spaces before and after \t ",
    "Lines\r\nof\rall\nkinds\u2028\x85\x0b",
    "ß ﬁ İ e\u0301 é 👩\u200d🔬 \u202eabc\u202c \ufeff\ufffe \U0010ffff",
    "\x01\x7f\x1b[31m <script>alert(1)</script> {{x}} %s \\u0041",
)


@pytest.fixture(autouse=True)
def _one_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Midnight does not come in the middle of a test of a day's dose."""

    def day(_now: datetime) -> str:
        return "2026-11-30"

    monkeypatch.setattr("inwit.ledger.reviewing._day", day)


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def released(here: Office, case: str) -> dict[str, Any]:
    """Everywhere that the released bytes stand, which is the same everywhere."""
    (outcome,) = await here.acts(case, "outcome")
    content, facts = outcome.contents["released"], outcome.facts["facts"]
    (ruled,) = await here.acts(case, "ruled")
    told = await here.told(case)
    assert told["status"] == "released"
    assert told["output"]["content"] == content["text"]
    assert told["output"]["finish_reason"] == content["finish_reason"]
    digest = Output(content["text"], content["finish_reason"]).digest
    assert facts["digest"] == ruled.facts["facts"]["digest"] == digest
    assert facts["released"]
    return content


async def test_the_next_case_is_the_queues_and_comes_once(
    make_caller: MakeCaller, clean_url: str
) -> None:
    here = await office(make_caller, redis_url=clean_url)
    cases = {await here.held() for _ in range(3)}
    await here.parts.sweeper.sweep()

    given = [await here.next(who) for who in (ANA, BEN, SUE)]
    none = await here.next(BEN, token="other")

    assert {each.file.case.id for each in given if each} == cases
    assert none is None


async def test_the_same_request_gets_the_same_case_and_counts_once(
    make_caller: MakeCaller, clean_url: str
) -> None:
    here = await office(make_caller, redis_url=clean_url)
    for _ in range(2):
        await here.held()
    await here.parts.sweeper.sweep()

    one, again = [await here.next(ANA, request_id="same") for _ in range(2)]

    assert one is not None
    assert again is not None
    assert (one.lease, one.file.case.id) == (again.lease, again.file.case.id)
    assert await seen(here) == {Severity.MEDIUM: 1}
    assert len(await here.acts(one.file.case.id, "claimed")) == 1


async def seen(here: Office) -> dict[Severity, int]:
    now = datetime.now(UTC)
    return dict(await here.database.read(lambda each: exposure(each, ANA.id, now)))


async def test_a_wrong_pick_of_the_queue_is_mended(make_caller: MakeCaller, clean_url: str) -> None:
    """The queue lost a lease, so that it gives away what Ben has. The database does not."""
    here = await office(make_caller, redis_url=clean_url)
    bens = await here.held()
    await here.parts.sweeper.sweep()
    await here.claim(bens, BEN)
    assert await here.parts.queue.release("acme", bens, 1, BEN.id, None)

    assert await here.next(ANA) is None

    assert (await here.case(bens)).slots[0].reviewer == BEN.id
    assert await here.parts.queue.renew("acme", bens, 1, BEN.id, 60)  # Ben has it there again
    await here.desk.release(BEN, bens, BEN.id)
    found = await here.next(ANA)
    assert found is not None
    assert found.file.case.id == bens


async def test_a_case_that_no_ledger_has_is_forgotten_by_the_queue(
    make_caller: MakeCaller, clean_url: str
) -> None:
    here = await office(make_caller, redis_url=clean_url)
    case = await here.held()
    await here.parts.sweeper.sweep()
    old = datetime(2020, 1, 1, tzinfo=UTC)
    ghost = replace(await here.case(case), id="esc_" + "0" * 32, opened=old)
    await here.parts.queue.put(ghost)

    found = await here.next(ANA)

    assert found is not None
    assert found.file.case.id == case
    known = await here.parts.queue.known("acme")
    assert [name for name, _ in known.cases] == [case]


async def test_a_queue_that_is_away_leaves_claims_by_name(make_caller: MakeCaller) -> None:
    here = await office(make_caller)
    case = await here.held()

    with pytest.raises(QueueDown):
        await here.desk.next(ANA, "a", "r")
    opened = await here.claim(case)
    await here.desk.renew(ANA, case, ANA.id)
    await here.rule(opened, APPROVE)

    assert (await here.told(case))["status"] == "released"


async def test_content_that_was_changed_is_shown_to_nobody_and_holds_up_nothing(
    make_caller: MakeCaller, clean_url: str
) -> None:
    here = await office(make_caller, redis_url=clean_url)
    forged, well = await here.held(), await here.held()
    await here.parts.sweeper.sweep()
    first = (await here.acts(forged, "decision"))[0].facts["sequence"]
    lie = (
        sa.update(CONTENTS).filter_by(sequence=first, kind="held").values(content=b'{"offers":{}}')
    )
    await here.database.write(lambda each: each.execute(lie))

    found = await here.next(ANA)
    with pytest.raises(Gone):
        await here.claim(forged, BEN)
    with pytest.raises(Gone):
        await here.desk.look(BEN, forged)

    assert found is not None
    assert found.file.case.id == well
    case = await here.case(forged)
    assert (case.stuck, case.state, case.slots[0].reviewer) == (True, CaseState.PENDING, None)
    assert await here.acts(forged, "claimed") == []
    await here.later(600)
    await here.parts.sweeper.sweep()
    (outcome,) = await here.acts(forged, "outcome")
    assert (outcome.facts["facts"]["released"], outcome.contents["released"]["text"]) == (False, "")


async def test_the_days_dose_steers_what_is_next(make_caller: MakeCaller, clean_url: str) -> None:
    here = await office(make_caller, redis_url=clean_url, exposure_budget={"medium": 2})
    cases = [await here.held() for _ in range(4)]
    await here.parts.sweeper.sweep()

    first, second, third = [await here.next(ANA, token=f"t{n}") for n in range(3)]
    other = await here.next(BEN)
    named = await here.claim(cases[3], ANA, token="by name")

    assert first is not None
    assert second is not None
    assert third is None
    assert other is not None
    assert named.file.case.id == cases[3]
    assert await seen(here) == {Severity.MEDIUM: 3}
    await here.desk.reveal(ANA, cases[3], "candidate")
    await here.desk.look(ANA, cases[3])
    assert await seen(here) == {Severity.MEDIUM: 3}


async def test_what_was_given_away_is_never_next(make_caller: MakeCaller, clean_url: str) -> None:
    here = await office(make_caller, redis_url=clean_url)
    case = await here.held()
    await here.parts.sweeper.sweep()
    assert await here.next(ANA) is not None

    await here.desk.release(ANA, case, ANA.id, WhySkipped.UNSURE)

    assert await here.next(ANA) is None
    assert await here.next(BEN) is not None
    with pytest.raises(Conflict):
        await here.claim(case, ANA, token="again")


async def test_a_golden_copy_looks_like_any_case_and_counts_for_the_dose_alone(
    make_caller: MakeCaller, clean_url: str
) -> None:
    here = await office(make_caller, redis_url=clean_url, golden_share=1.0)
    source = await here.held()
    await here.approved(source, BEN)
    store = here.caller.gateway.ledger
    await store.write(lambda each: make_golden(each, source, BLOCK, "rev_admin"))
    real = await here.held()
    await here.parts.sweeper.sweep()
    before = metric("inwit_rulings_total", ruling="block", late="false")

    first = await here.next(ANA, request_id="one")
    again = await here.next(ANA, request_id="one")
    assert first is not None
    assert again is not None
    golden = first.file.case
    await here.rule(first, BLOCK)
    then = await here.next(ANA, token="t2", request_id="two")

    assert (golden.expected, again.lease) == (BLOCK, first.lease)
    assert first.file.offers.keys() == {APPROVE}
    assert metric("inwit_rulings_total", ruling="block", late="false") == before
    assert then is not None
    assert then.file.case.id == real
    assert await seen(here) == {Severity.MEDIUM: 2}
    answer = await here.caller.http.get(f"/v1/responses/{golden.id.replace('esc_', 'resp_')}")
    assert answer.status_code == 404
    assert (await here.told(source))["status"] == "released"


async def test_golden_copies_keep_to_the_days_dose(make_caller: MakeCaller, clean_url: str) -> None:
    here = await office(
        make_caller, redis_url=clean_url, golden_share=1.0, exposure_budget={"medium": 1}
    )
    for _ in range(2):
        source = await here.held()
        await here.approved(source, BEN)
        store = here.caller.gateway.ledger
        await store.write(lambda each, case=source: make_golden(each, case, BLOCK, "rev_admin"))

    assert await here.next(ANA, token="t1") is not None
    assert await here.next(ANA, token="t2") is None
