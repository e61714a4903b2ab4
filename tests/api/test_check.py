"""`POST /v1/check` through the front door: review of what someone else's model wrote."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from inwit.errors import LedgerError
from inwit.ledger.tables import ENTRIES
from inwit.policy.policy import Policy
from inwit.types import Action, KeyRole
from tests.api.checking import (
    EMAIL,
    HARM,
    KIND,
    LOOK_UP,
    Reader,
    calling,
    check,
    checking,
    message,
)
from tests.api.evidence import counting, entry
from tests.conftest import ASK, LIMITS, MakeCaller
from tests.fakes import FakeClassifiers, FakeLedger, FakeModel, distribution, naming, risk_of
from tests.fakes_policies import compiled


async def test_what_passes_may_leave_as_it_is_and_nothing_is_generated(
    make_caller: MakeCaller,
) -> None:
    model = FakeModel(answer=distribution(0.1, 0.8))
    caller = await make_caller(model)
    checked = await counting(caller, 'inwit_checks_total{action="allow",policy="default"}')

    answer = await check(caller, checking())

    body = answer.json()
    assert answer.status_code == 200
    assert (body["status"], body["action"]) == ("passed", "allow")
    assert body["output"] == {"content": KIND, "tool_calls": []}
    assert body["review"]["risk"] == round(0.1 / 0.9, 6)
    assert body["usage"]["generation"]["completion_tokens"] == 0
    assert model.generations == []
    assert model.reviews[0][-2].content == KIND
    assert await checked.grown() == 1


async def test_what_is_withheld_is_not_in_the_answer(make_caller: MakeCaller) -> None:
    caller = await make_caller(FakeModel(answer=risk_of(0.95)))
    responses = await counting(
        caller, 'inwit_responses_total{action="block",enforcement="full",policy="default"}'
    )

    answer = await check(caller, checking(HARM))

    body = answer.json()
    assert (body["status"], body["action"], body["output"]) == ("withheld", "block", None)
    assert HARM not in answer.text
    assert await responses.grown() == 0  # nothing was generated, so nothing was responded


async def test_the_check_is_in_the_ledger_with_what_was_brought(make_caller: MakeCaller) -> None:
    caller = await make_caller(FakeModel(answer=risk_of(0.95)))

    body = (await check(caller, checking(HARM, end_user="u-1"))).json()

    story = await entry(caller, body)
    assert story.facts["type"] == "check"
    assert story.hash == body["receipt"]["hash"]
    assert story.facts["policy"] == body["policy"]
    assert HARM not in json.dumps(story.facts)
    assert story.contents["candidate"]["text"] == HARM
    assert story.contents["request"]["end_user"] == "u-1"


async def test_without_a_record_there_is_no_answer(make_caller: MakeCaller) -> None:
    caller = await make_caller(ledger=FakeLedger(error=LedgerError("full", retry_after=3)))

    answer = await check(caller, checking())

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "3"
    assert KIND not in answer.text


async def test_private_data_is_masked_and_the_candidate_is_then_not_passed(
    make_caller: MakeCaller,
) -> None:
    caller = await make_caller(policies=(compiled(redact={"mask": ["email"]}),))

    body = (await check(caller, checking(EMAIL))).json()

    assert (body["status"], body["action"]) == ("changed", "redact")
    assert "ana@example.org" not in body["output"]["content"]
    assert body["review"]["masked"] == {"email": 1}


@pytest.mark.parametrize("text", [KIND, EMAIL])
async def test_what_was_not_reviewed_is_never_called_passed(
    make_caller: MakeCaller, policy: Policy, text: str
) -> None:
    trusting = replace(policy, on_review_failure=Action.ALLOW)
    caller = await make_caller(FakeModel(answer=distribution(0, 0)), policies=(trusting,))

    body = (await check(caller, checking(text))).json()

    assert body["status"] == "unreviewed"
    assert body["review"]["judge"] == "unavailable"
    assert body["output"] is not None


@pytest.mark.parametrize("action", ["escalate", "rewrite", "block"])
async def test_every_other_action_withholds(make_caller: MakeCaller, action: str) -> None:
    policy = compiled(on_harm=action)
    caller = await make_caller(FakeModel(answer=risk_of(0.95)), policies=(policy,))

    body = (await check(caller, checking(HARM))).json()

    assert (body["status"], body["action"], body["output"]) == ("withheld", action, None)
    assert body["review"]["rewrites"] == []
    assert (await entry(caller, body)).facts["action"] == action


async def test_a_message_is_reviewed_with_its_reasoning_which_stays_inside(
    make_caller: MakeCaller,
) -> None:
    model = FakeModel()
    caller = await make_caller(model)

    for name in ("reasoning_content", "reasoning"):
        answer = await check(caller, checking(message(**{name: "SECRET PLAN"})))

        assert answer.json()["status"] == "passed"
        assert "SECRET PLAN" in model.reviews[-1][-2].content
        assert "SECRET PLAN" not in answer.text


async def test_a_message_may_be_passed_on_as_openais_client_dumps_it(
    make_caller: MakeCaller,
) -> None:
    caller = await make_caller()
    dumped = message(refusal=None, annotations=[], audio=None, function_call=None, tool_calls=None)

    answer = await check(caller, checking(dumped))

    assert answer.json()["status"] == "passed"


@pytest.mark.parametrize(
    ("offered", "status", "reason"),
    [([LOOK_UP], "passed", None), ([], "withheld", "tool_call_outside_policy")],
)
async def test_a_call_must_be_offered_and_permitted(
    make_caller: MakeCaller, offered: list[Any], status: str, reason: str | None
) -> None:
    caller = await make_caller(policies=(compiled(tools={"look_up": None}),))

    body = (await check(caller, checking(calling(), tools=offered))).json()

    assert body["status"] == status
    assert reason is None or body["review"]["reasons"][0] == reason
    calls = body["output"] and body["output"]["tool_calls"]
    assert calls == (calling()["tool_calls"] if status == "passed" else None)


async def test_a_rewrite_that_was_asked_for_is_reviewed_and_given(make_caller: MakeCaller) -> None:
    model = FakeModel("Kinder words.", answers=[risk_of(0.95), risk_of(0.05)])
    caller = await make_caller(model, policies=(compiled(on_harm="rewrite"),))

    answer = await check(caller, checking(HARM, mode="rewrite"))

    body = answer.json()
    assert (body["status"], body["action"]) == ("changed", "allow")
    assert body["output"]["content"] == "Kinder words."
    assert body["review"]["rewrites"] == ["passed"]
    assert body["usage"]["generation"]["completion_tokens"] == 20
    assert HARM not in answer.text
    assert model.generations[0].messages[-2].content == HARM
    assert (await entry(caller, body)).contents["rewrite_1"]["text"] == "Kinder words."


async def test_a_rewrite_in_vain_withholds(make_caller: MakeCaller) -> None:
    model = FakeModel(f"{HARM} again", answer=risk_of(0.95), explanation=naming("hate"))
    policy = compiled(on_harm="rewrite", categories={"hate": {"action": "rewrite"}})
    caller = await make_caller(model, policies=(policy,))

    answer = await check(caller, checking(HARM, mode="rewrite"))

    assert (answer.json()["status"], answer.json()["output"]) == ("withheld", None)
    assert HARM not in answer.text


async def test_the_input_stage_and_passages_hold_as_for_a_response(
    make_caller: MakeCaller,
) -> None:
    policy = compiled(
        input={"use": ["embedded"], "on_flag": "block"},
        retrieval={"sources": ["wiki/*"], "on_other": "drop"},
    )
    caller = await make_caller(classifiers=FakeClassifiers(input_risk=0.95), policies=(policy,))
    passages = [{"id": "p1", "source": "blog/1", "text": "words"}]

    body = (await check(caller, checking(context=passages))).json()

    assert (body["status"], body["review"]["reasons"][0]) == ("withheld", "input_flagged")
    assert body["context"][0]["used"] is False


async def test_a_deadline_that_ends_the_review_is_no_verdict(make_caller: MakeCaller) -> None:
    trusting = compiled(on_review_failure="allow")
    caller = await make_caller(Reader(), policies=(trusting,))

    answer = await check(caller, checking("HANG", deadline_ms=100))

    assert answer.status_code == 504
    assert answer.json()["type"] == "urn:inwit:problem:upstream-timeout"


async def test_past_the_limit_of_requests_in_flight_a_check_is_refused(
    make_caller: MakeCaller,
) -> None:
    model = Reader()
    caller = await make_caller(model, limits=replace(LIMITS, max_in_flight=1))
    first = asyncio.create_task(check(caller, checking("HANG")))
    await model.until(1)

    second = await check(caller, checking())

    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert second.status_code == 503
    assert second.json()["type"] == "urn:inwit:problem:overloaded"


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no candidate": (ASK, "candidates"),
    "null": ({**ASK, "candidate": None}, "candidates"),
    "both": ({**ASK, "candidate": KIND, "candidates": [KIND]}, "candidates"),
    "no candidates": ({**ASK, "candidates": []}, "candidates"),
    "too many": ({**ASK, "candidates": [KIND] * 65}, "candidates"),
    "an empty text": (checking(""), "candidate"),
    "an empty one among them": ({**ASK, "candidates": [KIND, ""]}, "candidates[1]"),
    "null among them": ({**ASK, "candidates": [KIND, None]}, "candidates[1]"),
    "a number": (checking(7), "candidate"),
    "another role": (checking({"role": "user", "content": HARM}), "candidate.role"),
    "an empty message": (checking(message("")), "candidate"),
    "no calls": (checking(message(None, tool_calls=[])), "candidate"),
    "text elsewhere": (checking(message(refusal=HARM)), "candidate.refusal"),
    "two reasonings": (checking(message(reasoning=HARM, reasoning_content=HARM)), "candidate"),
    "annotations": (checking(message(annotations=[{"text": HARM}])), "candidate.annotations"),
    "an unknown field": (checking(message(thoughts=HARM)), "candidate.thoughts"),
    "an odd call": (checking(message(tool_calls=[{"id": "c1"}])), "candidate.tool_calls[0].type"),
    "no messages": ({"messages": [], "candidate": KIND}, "messages"),
    "a stream": (checking(stream=True), "stream"),
    "an unknown mode": (checking(mode="mend"), "mode"),
    "a tool outside the policy": (checking(tools=[LOOK_UP]), "tools[0].function.name"),
    "an unknown policy": (checking(policy="nope"), "policy"),
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_input_is_named_and_leaves_nothing_behind(
    make_caller: MakeCaller, name: str
) -> None:
    body, field = BAD[name]
    model = FakeModel()
    caller = await make_caller(model)

    answer = await check(caller, body)

    assert answer.status_code == 422
    assert field in [each["field"] for each in answer.json()["errors"]]
    assert HARM not in answer.text
    assert model.reviews == []
    count = sa.select(sa.func.count()).where(ENTRIES.c.type != "changed")  # but for its key
    assert await caller.database.read(lambda db: db.execute(count).scalar()) == 0
    assert "inwit_in_flight 0.0" in (await caller.http.get("/metrics")).text


async def test_an_idempotency_key_is_not_ignored(make_caller: MakeCaller) -> None:
    caller = await make_caller()
    caller.http.headers["idempotency-key"] = "k1"

    answer = await check(caller, checking())

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].lower() == "idempotency-key"


async def test_who_may_not_respond_may_not_check(make_caller: MakeCaller) -> None:
    caller = await make_caller(roles=(KeyRole.AUDIT,))

    assert (await check(caller, checking())).status_code == 403
    caller.http.headers["authorization"] = "Bearer inwit_x_y"
    assert (await check(caller, checking())).status_code == 401


async def test_a_body_past_the_limit_is_not_read(make_caller: MakeCaller) -> None:
    caller = await make_caller()

    assert (await check(caller, checking("a" * 2**20))).status_code == 413


async def test_the_example_works_as_it_stands(make_caller: MakeCaller) -> None:
    caller = await make_caller()
    document = (await caller.http.get("/openapi.json")).json()

    (example,) = document["components"]["schemas"]["CheckRequest"]["examples"]

    assert (await check(caller, example)).json()["status"] == "passed"
