"""Several candidates in one `POST /v1/check`: order, failures, and places for other requests."""

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import pytest

from inwit.api.check_batch import CheckBatch
from inwit.decisions import Response
from inwit.errors import UpstreamTimeout, UpstreamUnavailable
from inwit.pipeline.pipeline import Pipeline
from inwit.pipeline.reviewer import ReviewLimits
from inwit.types import Call, Candidate, Principal
from tests.api.checking import HARM, KIND, Forgetful, Reader, check, checking, message
from tests.api.evidence import entry
from tests.conftest import ASK, LIMITS, MakeCaller
from tests.fakes import FakeLedger, FakeModel
from tests.fakes_policies import compiled

MANY = [f"{HARM}-{n}" if n % 3 == 0 else f"Fine {n}." for n in range(64)]


async def test_many_candidates_are_answered_and_recorded_each_in_order(
    make_caller: MakeCaller,
) -> None:
    caller = await make_caller(Reader())

    answer = await check(caller, {**ASK, "candidates": MANY})

    results = answer.json()["results"]
    assert HARM not in answer.text
    assert len({each["receipt"]["sequence"] for each in results}) == 64
    for text, result in zip(MANY, results, strict=True):
        may_leave: dict[str, Any] = {"content": text, "tool_calls": []}
        assert result["output"] == (None if HARM in text else may_leave)
        story = await entry(caller, result)
        assert story.contents["candidate"]["text"] == text


async def test_results_stand_in_the_order_of_the_candidates_not_of_their_ends(
    make_caller: MakeCaller,
) -> None:
    caller = await make_caller(Reader(), ledger=FakeLedger())

    body = (await check(caller, {**ASK, "candidates": ["LATE", HARM]})).json()

    late, harm = body["results"]
    assert (late["status"], harm["status"]) == ("passed", "withheld")
    assert late["receipt"]["sequence"] > harm["receipt"]["sequence"]


async def test_texts_and_messages_may_stand_side_by_side(make_caller: MakeCaller) -> None:
    caller = await make_caller(Reader())

    body = (await check(caller, {**ASK, "candidates": [KIND, message(HARM)]})).json()

    assert [each["status"] for each in body["results"]] == ["passed", "withheld"]


async def test_a_batch_works_on_eight_at_once(make_caller: MakeCaller) -> None:
    model = Reader()
    caller = await make_caller(model, limits=replace(LIMITS, max_in_flight=100))

    await check(caller, {**ASK, "candidates": MANY})

    assert model.most == 8
    assert "inwit_in_flight 0.0" in (await caller.http.get("/metrics")).text


async def test_where_few_places_are_free_a_batch_takes_longer_and_is_not_refused(
    make_caller: MakeCaller,
) -> None:
    model = Reader()
    caller = await make_caller(model, limits=replace(LIMITS, max_in_flight=3))

    answer = await check(caller, {**ASK, "candidates": MANY})

    assert len(answer.json()["results"]) == 64
    assert model.most == 3


async def test_batches_leave_places_to_others(make_caller: MakeCaller) -> None:
    """Of 256 places, all batches together work ahead in 64, and in one more each."""
    model = Reader()
    caller = await make_caller(model, limits=replace(LIMITS, max_in_flight=256))
    batch = {**ASK, "candidates": ["HANG"] * 8}
    batches = [asyncio.create_task(check(caller, batch)) for _ in range(20)]
    await model.until(64 + 20)

    one_more = await check(caller, checking())

    assert one_more.json()["status"] == "passed"
    assert model.most == 64 + 20 + 1
    for each in batches:
        each.cancel()
    await asyncio.gather(*batches, return_exceptions=True)


async def test_a_candidate_that_fails_keeps_the_others_and_has_no_output(
    make_caller: MakeCaller,
) -> None:
    caller = await make_caller(Reader(), ledger=Forgetful())

    answer = await check(caller, {**ASK, "candidates": [KIND, "LOST", HARM]})

    first, lost, last = answer.json()["results"]
    assert answer.status_code == 200
    assert (first["status"], last["status"]) == ("passed", "withheld")
    assert lost.keys() == {"error"}
    assert lost["error"]["type"] == "urn:inwit:problem:not-recorded"
    assert lost["error"]["request_id"] == answer.headers["x-request-id"]
    assert "LOST" not in answer.text


async def test_where_all_fail_the_request_fails(make_caller: MakeCaller) -> None:
    caller = await make_caller(Reader(), ledger=Forgetful())

    answer = await check(caller, {**ASK, "candidates": ["LOST", "LOST too"]})

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"
    assert answer.headers["content-type"] == "application/problem+json"


@dataclass
class Away(FakeModel):
    """A model server that was never reached."""

    def resolve(self, name: str | None) -> str:
        raise UpstreamUnavailable("The model server has not been reached yet.", retry_after=5)


async def test_a_model_server_that_is_away_is_a_503(make_caller: MakeCaller) -> None:
    caller = await make_caller(Away())

    answer = await check(caller, {**ASK, "candidates": [KIND, KIND]})

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"


async def test_the_deadline_is_one_for_all_candidates(make_caller: MakeCaller) -> None:
    trusting = compiled(on_review_failure="allow")
    caller = await make_caller(
        Reader(), policies=(trusting,), limits=replace(LIMITS, max_in_flight=2)
    )
    candidates = [KIND, *["HANG"] * 9, HARM]

    first, others = dict[str, Any](), list[Any]()
    for deadline_ms in (300, 3_000, 60_000):
        body = {**ASK, "candidates": candidates, "deadline_ms": deadline_ms}
        answer = await check(caller, body)
        if answer.status_code == 200:  # the first deadline that was long enough for one
            first, *others = answer.json()["results"]
            break

    assert first["status"] == "passed"
    assert [each["error"]["status"] for each in others] == [504] * 10


class Watched(Pipeline):
    """Passes nothing on: it only notes how long each candidate may take."""

    def __init__(self) -> None:
        self.left_ms: list[int | None] = []

    async def check(self, call: Call, candidate: Candidate, *, rewrite: bool) -> Response:
        self.left_ms.append(call.deadline_ms)
        await asyncio.sleep(0.02)  # time that the next one does not have
        raise UpstreamTimeout("The review did not end.")


async def test_a_later_candidate_has_the_time_that_is_left() -> None:
    pipeline = Watched()
    batch = CheckBatch(pipeline, max_in_flight=1, deadline_ms=3_600_000)
    principal = Principal("k", "acme", ("default",), frozenset())
    call = Call(principal, (), deadline_ms=600_000)

    with pytest.raises(UpstreamTimeout):
        await batch.check(call, (Candidate("a", ""), Candidate("b", "")), rewrite=False)

    first, second = pipeline.left_ms
    assert first is not None
    assert second is not None
    assert 500_000 < first <= 600_000
    assert second <= first - 20


async def test_a_caller_that_hangs_up_stops_every_check(make_caller: MakeCaller) -> None:
    model = Reader()
    caller = await make_caller(model, limits=replace(LIMITS, max_in_flight=100))
    request = asyncio.create_task(check(caller, {**ASK, "candidates": ["HANG"] * 20}))
    await model.until(8)

    request.cancel()
    await asyncio.gather(request, return_exceptions=True)

    assert model.under_way == 0
    assert model.most == 8
    assert "inwit_in_flight 0.0" in (await caller.http.get("/metrics")).text


async def test_a_bug_in_one_review_ends_all_of_them_and_lets_nothing_out(
    make_caller: MakeCaller,
) -> None:
    model = Reader()
    patient = replace(LIMITS, deadline_ms=60_000, review=ReviewLimits(60_000, 60_000, 60_000))
    caller = await make_caller(model, limits=patient)

    async with asyncio.timeout(20):
        answer = await check(caller, {**ASK, "candidates": [KIND, "HANG", "BUG", "HANG"]})

    assert answer.status_code == 500
    assert model.under_way == 0
    assert "inwit_in_flight 0.0" in (await caller.http.get("/metrics")).text
