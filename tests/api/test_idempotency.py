"""The header `Idempotency-Key`: a request that is repeated is answered once."""

import asyncio
import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from inwit.api.idempotency import release_unless_begun
from inwit.errors import Conflict, LedgerError, UpstreamError
from inwit.ledger.idempotency import Wanted
from inwit.ledger.tables import ENTRIES, IDEMPOTENCY
from inwit.pipeline.streaming import Live
from inwit.types import Call, Claim, KeyRole, Message
from tests.api.test_stream import FAIL, PASS, STREAM, TEXT, policy
from tests.conftest import ASK, Caller, MakeCaller
from tests.fakes import FakeClassifiers, FakeLedger, FakeModel, risk_of, writes_beside
from tests.fakes_policies import compiled
from tests.pipeline.test_promises import PRINCIPAL
from tests.streams import Reader, events_in

KEY = "order-4711"


async def ask(caller: Caller, body: Any = ASK, key: str = KEY, **headers: str) -> httpx.Response:
    return await caller.respond(body, **{"idempotency-key": key, **headers})


async def count(caller: Caller, table: sa.Table) -> int:
    query = sa.select(sa.func.count()).select_from(table)
    return await caller.database.read(lambda db: db.execute(query).scalar_one())


async def decided(caller: Caller) -> int:
    """How many decisions were recorded."""
    query = sa.select(sa.func.count()).select_from(ENTRIES).filter_by(type="decision")
    return await caller.database.read(lambda db: db.execute(query).scalar_one())


async def another_key(caller: Caller, tenant: str, policies: tuple[str, ...]) -> str:
    """The header of another API key."""
    keys = caller.gateway.keys
    _, key = await keys.create(name="n", tenant=tenant, policies=policies, roles=[KeyRole.RESPOND])
    return f"Bearer {key}"


async def generating(model: FakeModel, count: int) -> None:
    """Wait until so many generations have begun."""
    async with asyncio.timeout(60):
        while len(model.generations) < count:  # noqa: ASYNC110  # the fake has no event for it
            await asyncio.sleep(0)


def first_answer(answer: httpx.Response) -> dict[str, Any]:
    return answer.json() | {"timings_ms": None}


async def test_a_repeat_gets_the_first_answer_and_is_recorded_once(
    make_caller: MakeCaller,
) -> None:
    model = FakeModel()
    caller = await make_caller(model)

    first, again = await ask(caller), await ask(caller)

    assert (first.status_code, again.status_code) == (200, 200)
    assert first_answer(again) == first_answer(first)
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert len(model.generations) == 1
    assert await decided(caller) == 1


async def test_without_the_header_nothing_is_kept(make_caller: MakeCaller) -> None:
    model = FakeModel()
    caller = await make_caller(model)

    first, again = await caller.respond(), await caller.respond()

    assert first.json()["id"] != again.json()["id"]
    assert len(model.generations) == 2
    assert await count(caller, IDEMPOTENCY) == 0


async def test_a_repeat_while_the_first_is_worked_on_is_told_to_come_back(
    make_caller: MakeCaller,
) -> None:
    model = FakeModel(waits_for=asyncio.Event())
    assert model.waits_for is not None
    caller = await make_caller(model)
    began = datetime.now(UTC)
    first = asyncio.create_task(ask(caller))
    await generating(model, 1)

    early = await ask(caller)
    took_s = (datetime.now(UTC) - began).total_seconds()
    model.waits_for.set()
    answer, late = await first, await ask(caller)

    assert early.status_code == 409
    assert 1 <= int(early.headers["retry-after"]) <= math.ceil(took_s)
    assert early.json()["type"] == "urn:inwit:problem:conflict"
    assert first_answer(late) == first_answer(answer)
    assert len(model.generations) == 1


async def test_of_many_at_once_one_is_worked_on(make_caller: MakeCaller) -> None:
    model = FakeModel()
    caller = await make_caller(model)

    answers = await asyncio.gather(*(ask(caller) for _ in range(8)))

    assert {answer.status_code for answer in answers} <= {200, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 200}) == 1
    assert len(model.generations) == 1
    assert await decided(caller) == 1


OTHERS: dict[str, dict[str, Any]] = {
    "another question": {"messages": [{"role": "user", "content": "How do winds work?"}]},
    "another length": {**ASK, "max_tokens": 7},
    "another end user": {**ASK, "end_user": "u-1"},
    "a policy": {**ASK, "policy": "default"},
}


@pytest.mark.parametrize("other", OTHERS)
async def test_a_key_stands_for_one_request(make_caller: MakeCaller, other: str) -> None:
    model = FakeModel()
    caller = await make_caller(model)
    await ask(caller)

    answer = await ask(caller, OTHERS[other])

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"
    assert KEY not in answer.text
    assert len(model.generations) == 1


async def test_the_same_body_under_another_default_policy_is_another_request(
    make_caller: MakeCaller,
) -> None:
    strict = replace(compiled(), ref=replace(compiled().ref, name="strict"))
    caller = await make_caller(policies=(compiled(), strict))
    await ask(caller)

    stricter = await another_key(caller, "acme", ("strict",))
    same = await another_key(caller, "acme", ("default",))

    assert (await ask(caller, authorization=stricter)).status_code == 422
    assert (await ask(caller, authorization=same)).headers["idempotent-replayed"] == "true"


async def test_how_a_body_is_written_does_not_matter(make_caller: MakeCaller) -> None:
    caller = await make_caller()
    first = await ask(caller, {**ASK, "temperature": 0})

    again = await ask(caller, {"temperature": 0.0, "tools": [], **ASK, "stream": False})

    assert again.json()["id"] == first.json()["id"]


async def test_a_key_is_its_tenants_own(make_caller: MakeCaller) -> None:
    model = FakeModel()
    caller = await make_caller(model)
    stranger = await another_key(caller, "other", ("default",))

    mine, theirs = await ask(caller), await ask(caller, authorization=stranger)

    assert mine.json()["id"] != theirs.json()["id"]
    assert "idempotent-replayed" not in theirs.headers


@pytest.mark.parametrize("key", ["", " ", "a b", "k" * 256, "schlüssel", "\x7f"])
async def test_a_malformed_key_is_named(make_caller: MakeCaller, key: str) -> None:
    model = FakeModel()
    caller = await make_caller(model)
    headers = {b"idempotency-key": key.encode()}

    answer = await caller.http.post("/v1/respond", json=ASK, headers=headers)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"
    assert model.generations == []


async def test_two_keys_are_none(make_caller: MakeCaller) -> None:
    caller = await make_caller()
    headers = [("idempotency-key", "a"), ("idempotency-key", "b")]

    answer = await caller.http.post("/v1/respond", json=ASK, headers=headers)

    assert answer.status_code == 422


async def test_the_longest_key_will_do(make_caller: MakeCaller) -> None:
    caller = await make_caller()

    assert (await ask(caller, key="~" * 255)).status_code == 200


async def test_a_stream_is_repeated_as_a_stream_or_as_json_and_json_as_a_stream(
    make_caller: MakeCaller,
) -> None:
    model = FakeModel(TEXT)
    caller = await make_caller(model, policies=(policy("audit_only"),))

    stream = await ask(caller, STREAM)
    again, json = await ask(caller, STREAM), await ask(caller)
    other = await ask(caller, key="other")
    as_stream = await ask(caller, STREAM, key="other")

    whole, repeated = (Reader().take(events_in(each.text)) for each in (stream, again))
    assert again.headers["x-inwit-response"] == stream.headers["x-inwit-response"]
    assert (
        again.headers["idempotent-replayed"] == as_stream.headers["idempotent-replayed"] == "true"
    )
    assert repeated.text == whole.text == json.json()["output"]["content"] == TEXT
    assert repeated.decision == whole.decision
    assert json.json()["id"] == stream.headers["x-inwit-response"]
    events = events_in(as_stream.text)
    assert [each.name for each in events] == ["decision", "delta", "done"]
    assert events[0].data["id"] == other.json()["id"]
    assert len(model.generations) == 2


async def test_a_retracted_stream_is_repeated_without_what_was_withdrawn(
    make_caller: MakeCaller,
) -> None:
    model = FakeModel(TEXT, answers=[PASS, PASS], answer=FAIL, turns=40)
    caller = await make_caller(model, policies=(policy("windowed"),))
    writes_beside(model, caller.gateway.ledger)
    stream = await ask(caller, STREAM)

    again = await ask(caller, STREAM)

    assert "retract" in [each.name for each in events_in(stream.text)]
    assert TEXT[:20] not in again.text
    whole, repeated = (Reader().take(events_in(each.text)) for each in (stream, again))
    assert repeated.text == whole.text == compiled().fallback_text


async def test_a_held_answer_is_repeated_as_it_stands_now(make_caller: MakeCaller) -> None:
    escalating = compiled(on_harm="escalate", escalation={"claim_within_s": 1})
    model = FakeModel(answer=risk_of(0.95))
    caller = await make_caller(model, classifiers=FakeClassifiers(0.9), policies=(escalating,))
    first = await ask(caller)

    held = await ask(caller)
    while (again := await ask(caller)).json()["status"] == "held":
        await caller.gateway.escalation.sweeper.sweep()

    assert (first.status_code, first.json()["status"]) == (202, "held")
    assert (held.status_code, held.json()["status"]) == (202, "held")
    assert (again.status_code, again.json()["status"]) == (200, "blocked")


FAILURES: dict[str, dict[str, Any]] = {
    "the model fails": {"generate_error": UpstreamError("failed")},
    "a bug": {"generate_error": ValueError("bug")},
    "too slow": {"hang": "generate"},
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("failure", FAILURES)
async def test_a_request_that_fails_can_be_repeated_at_once(
    make_caller: MakeCaller, failure: str, stream: bool
) -> None:
    # The repeat, which is the same request, has no more time than the one that was too slow.
    for deadline_ms in (500, 5_000, 50_000) if failure == "too slow" else (None,):
        model = FakeModel(**FAILURES[failure])
        caller = await make_caller(model)
        body = {**ASK, "deadline_ms": deadline_ms, "stream": stream}
        failed = await ask(caller, body)
        assert failed.status_code >= 500
        model.generate_error, model.hang = None, None
        answer = await ask(caller, body)
        if answer.status_code == 200:
            break
    else:
        raise AssertionError("the repeat was not answered")

    assert "idempotent-replayed" not in answer.headers


async def test_a_request_that_is_refused_can_be_mended(make_caller: MakeCaller) -> None:
    caller = await make_caller()

    refused = await ask(caller, {**ASK, "policy": "nowhere"})
    answer = await ask(caller)

    assert (refused.status_code, answer.status_code) == (422, 200)


async def test_a_caller_that_hangs_up_can_repeat_at_once(make_caller: MakeCaller) -> None:
    model = FakeModel(hang="generate")
    caller = await make_caller(model)
    gone = asyncio.create_task(ask(caller))
    await model.hanging.wait()
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    model.hang = None

    assert (await ask(caller)).status_code == 200


async def test_a_stream_that_never_began_lets_its_key_go(make_caller: MakeCaller) -> None:
    caller = await make_caller()
    claim = Claim("acme", "ab" * 32, "o1")
    wanted = Wanted(claim, "cd" * 32, lease_s=60)
    call = Call(PRINCIPAL, (Message("user", "?"),), claim=claim)
    begun = Live()
    begun.response_id = "resp_1"
    ledger = caller.gateway.ledger
    await ledger.claim(wanted)

    another = replace(wanted, claim=replace(claim, owner="o2"))

    release_unless_begun(caller.gateway, call, begun)
    with pytest.raises(Conflict):
        await ledger.claim(another)
    release_unless_begun(caller.gateway, call, Live())

    assert await ledger.claim(another) is None


async def test_a_decision_that_was_not_confirmed_is_not_made_twice(
    make_caller: MakeCaller,
) -> None:
    """Its entry may be there; where it is not, the key is free."""
    ledger = FakeLedger(error=LedgerError("away", retry_after=1))
    caller = await make_caller(ledger=ledger)

    failed = await ask(caller)

    assert failed.status_code == 503
    assert [claim.tenant for claim in ledger.released] == ["acme"]


async def test_whoever_lost_its_claim_is_neither_recorded_nor_released(
    make_caller: MakeCaller,
) -> None:
    model = FakeModel(waits_for=asyncio.Event())
    assert model.waits_for is not None
    caller = await make_caller(model)
    slow = asyncio.create_task(ask(caller))
    await generating(model, 1)
    over = sa.update(IDEMPOTENCY).values(lease_until=sa.text("'2020-01-01 00:00:00.000000'"))
    await caller.database.write(lambda db: db.execute(over))
    fast = asyncio.create_task(ask(caller))
    await generating(model, 2)

    model.waits_for.set()
    lost, answer = await slow, await fast
    again = await ask(caller)

    assert (lost.status_code, answer.status_code) == (409, 200)
    assert model.text not in lost.text
    assert lost.headers["retry-after"] == "1"
    assert again.json()["id"] == answer.json()["id"]
    assert await decided(caller) == 1


async def test_an_answer_whose_content_was_erased_is_gone(make_caller: MakeCaller) -> None:
    model = FakeModel()
    caller = await make_caller(model)
    await ask(caller)
    await caller.database.write(lambda db: db.execute(sa.text("DELETE FROM contents")))

    assert (await ask(caller)).status_code == 410
    assert len(model.generations) == 1


async def test_without_a_ledger_nothing_is_generated(make_caller: MakeCaller) -> None:
    model = FakeModel()
    caller = await make_caller(model)
    await caller.respond()
    await caller.database.write(lambda db: db.execute(sa.text("DROP TABLE idempotency")))

    answer = await ask(caller)

    assert answer.status_code == 503
    assert len(model.generations) == 1
