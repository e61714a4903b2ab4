"""`POST /v1/respond` through the front door. Read this first: it is the tutorial."""

import asyncio
import json
from dataclasses import replace

from inwit.ledger import read
from inwit.ledger.verify_database import verify_database
from inwit.policy.policy import Policy
from inwit.types import Action, KeyRole
from tests.conftest import ASK, LIMITS, MakeCaller
from tests.fakes import FakeLedger, FakeModel, distribution
from tests.patience import longer_and_longer


async def test_a_harmless_answer_is_released_with_what_was_checked(make_caller: MakeCaller) -> None:
    caller = await make_caller(FakeModel("The moon pulls the sea.", answer=distribution(0.1, 0.8)))

    answer = await caller.respond()

    body = answer.json()
    assert answer.status_code == 200
    assert (body["status"], body["action"]) == ("released", "allow")
    assert body["output"]["content"] == "The moon pulls the sea."
    assert body["review"]["judge"] == "judged"
    assert body["review"]["risk"] == round(0.1 / 0.9, 6)
    assert body["review"]["label_mass"] == 0.9
    assert body["review"]["reasons"] == ["risk_below_lower_threshold"]
    assert {"generate", "judge", "record", "total"} == body["timings_ms"].keys()
    assert body["usage"]["review"]["cached_tokens"] == 32


async def test_a_harmful_answer_is_replaced_by_the_fallback(
    make_caller: MakeCaller, policy: Policy
) -> None:
    caller = await make_caller(FakeModel("HARM", answer=distribution(0.9, 0.05)))

    body = (await caller.respond()).json()

    assert (body["status"], body["action"]) == ("blocked", "block")
    assert body["output"]["content"] == policy.fallback_text
    assert body["output"]["finish_reason"] == "content_filter"
    assert "HARM" not in json.dumps(body)


async def test_the_ledger_holds_the_decision_and_the_content_apart_from_it(
    make_caller: MakeCaller,
) -> None:
    caller = await make_caller(FakeModel("The moon pulls the sea."))

    body = (await caller.respond()).json()

    accepted, story = await caller.database.read(lambda db: read.stories(db, body["id"]))
    assert (accepted.facts["type"], accepted.facts["asked"]) == ("accepted", "response")
    assert (accepted.contents, accepted.facts["sequence"]) == ({}, story.facts["sequence"] - 1)
    assert story.facts["outcome"] == "released"
    assert story.hash == body["receipt"]["hash"]
    assert story.facts["policy"] == body["policy"]
    assert story.facts["action"] == "allow"
    assert story.facts["rounds"][0]["verdicts"][0]["risk"] == round(body["review"]["risk"], 6)
    assert "moon" not in json.dumps(story.facts)
    assert story.contents["released"]["text"] == "The moon pulls the sea."
    assert (await caller.database.read(verify_database)).breaks == ()


async def test_reasoning_is_reviewed_and_never_released(make_caller: MakeCaller) -> None:
    model = FakeModel("Fine.", reasoning="SECRET PLAN")
    caller = await make_caller(model)

    answer = await caller.respond()

    assert "SECRET PLAN" in model.reviews[0][-2].content
    assert "SECRET PLAN" not in answer.text


async def test_a_response_released_without_review_says_so(
    make_caller: MakeCaller, policy: Policy
) -> None:
    trusting = replace(policy, on_review_failure=Action.ALLOW)
    caller = await make_caller(FakeModel(answer=distribution(0.0, 0.0)), policies=(trusting,))

    body = (await caller.respond()).json()

    assert body["status"] == "released"
    assert body["review"]["judge"] == "unavailable"
    assert body["review"]["risk"] is None
    assert body["review"]["fault"] == "low_label_mass"
    assert body["review"]["reasons"] == ["review_unavailable"]
    metrics = (await caller.http.get("/metrics")).text
    assert 'inwit_unreviewed_releases_total{policy="default",version=' in metrics


async def test_a_caller_that_hangs_up_stops_the_generation(make_caller: MakeCaller) -> None:
    model = FakeModel(hang="generate")
    caller = await make_caller(model)

    request = asyncio.create_task(caller.respond())
    await model.hanging.wait()
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)

    assert model.cancelled == ["generate"]
    assert "inwit_in_flight 0.0" in (await caller.http.get("/metrics")).text


async def test_past_the_limit_of_requests_in_flight_the_answer_is_503_at_once(
    make_caller: MakeCaller,
) -> None:
    model = FakeModel(hang="generate")
    caller = await make_caller(model, limits=replace(LIMITS, max_in_flight=1))

    first = asyncio.create_task(caller.respond())
    await model.hanging.wait()
    second = await caller.respond()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)

    assert second.status_code == 503
    assert second.headers["retry-after"] == "1"
    assert second.json()["type"] == "urn:inwit:problem:overloaded"


async def test_a_slow_model_ends_at_the_callers_deadline(make_caller: MakeCaller) -> None:
    model = FakeModel(hang="generate")
    caller = await make_caller(model)

    for deadline_ms in longer_and_longer(lambda: model.cancelled, 20, 2_000, 60_000):
        answer = await caller.respond({**ASK, "deadline_ms": deadline_ms})
        assert answer.status_code == 504
        assert answer.json()["type"] == "urn:inwit:problem:upstream-timeout"

    assert model.cancelled == ["generate"]


async def test_a_slow_review_is_a_review_that_failed(make_caller: MakeCaller) -> None:
    caller = await make_caller(
        FakeModel("HARM", hang="review"),
        limits=replace(LIMITS, review=replace(LIMITS.review, judge_ms=20)),
    )

    body = (await caller.respond()).json()

    assert body["status"] == "blocked"
    assert body["review"]["judge"] == "unavailable"
    assert body["review"]["fault"] == "timeout"


async def test_a_caller_cannot_cut_the_review_short(
    make_caller: MakeCaller, policy: Policy
) -> None:
    """Not even where the policy releases what could not be reviewed."""
    trusting = replace(policy, on_review_failure=Action.ALLOW)
    caller = await make_caller(FakeModel("HARM", hang="review"), policies=(trusting,))

    answer = await caller.respond({**ASK, "deadline_ms": 20})

    assert answer.status_code == 504
    assert "HARM" not in answer.text


async def test_a_key_whose_policy_is_gone_is_told_so(
    make_caller: MakeCaller, policy: Policy
) -> None:
    other = replace(policy, ref=replace(policy.ref, name="other"))
    caller = await make_caller(policies=(other,), key_policies=("default",))

    answer = await caller.respond()

    assert answer.status_code == 403
    assert "which this gateway does not have" in answer.json()["detail"]


async def test_a_bug_is_a_500_with_id_and_count_and_without_words(make_caller: MakeCaller) -> None:
    caller = await make_caller(FakeModel(generate_error=ValueError("MY SECRET")))

    answer = await caller.respond()

    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == answer.json()["request_id"]
    assert "MY SECRET" not in answer.text
    counted = 'inwit_http_requests_total{route="/v1/respond",status="500"}'
    assert counted in (await caller.http.get("/metrics")).text


async def test_a_ledger_that_never_confirms_means_nothing_is_released(
    make_caller: MakeCaller,
) -> None:
    caller = await make_caller(
        FakeModel("The moon."), ledger=FakeLedger(hang=True), limits=replace(LIMITS, record_ms=20)
    )

    answer = await caller.respond()

    assert answer.status_code == 503
    assert "The moon." not in answer.text


async def test_a_key_without_the_role_gets_403_and_no_key_401(make_caller: MakeCaller) -> None:
    caller = await make_caller(roles=(KeyRole.AUDIT,))

    forbidden = await caller.respond()
    nobody = await caller.respond(authorization="")
    wrong = await caller.respond(authorization=f"Bearer {caller.key}x")

    assert (forbidden.status_code, nobody.status_code, wrong.status_code) == (403, 401, 401)
    assert nobody.headers["www-authenticate"] == "Bearer"


async def test_a_revoked_key_stops(make_caller: MakeCaller) -> None:
    caller = await make_caller()
    assert (await caller.respond()).status_code == 200

    (stored,) = await caller.gateway.keys.list()
    await caller.gateway.keys.revoke(stored.id)

    assert (await caller.respond()).status_code == 401


async def test_a_key_decides_by_its_own_policies_only(
    make_caller: MakeCaller, policy: Policy
) -> None:
    also, lax = (replace(policy, ref=replace(policy.ref, name=name)) for name in ("also", "lax"))
    caller = await make_caller(policies=(policy, also, lax), key_policies=("also", "default"))

    unnamed = (await caller.respond()).json()
    named = (await caller.respond({**ASK, "policy": "default"})).json()

    assert (unnamed["policy"]["name"], named["policy"]["name"]) == ("also", "default")
    assert (await caller.respond({**ASK, "policy": "lax"})).status_code == 403
    assert (await caller.respond({**ASK, "policy": "nowhere"})).status_code == 422


async def test_every_answer_carries_a_request_id(make_caller: MakeCaller) -> None:
    caller = await make_caller()

    mine = await caller.respond(**{"x-request-id": "abc-1"})
    hostile = await caller.respond(**{"x-request-id": "a b\tc"})
    nowhere = await caller.http.get("/nowhere")

    assert mine.headers["x-request-id"] == "abc-1"
    assert hostile.headers["x-request-id"].startswith("req_")
    assert nowhere.json()["request_id"] == nowhere.headers["x-request-id"]
