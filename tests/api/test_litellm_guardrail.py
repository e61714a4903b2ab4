"""LiteLLM's generic guardrail through the front door: answers, and who may ask."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from inwit.types import Action, KeyRole
from tests.api.checking import EMAIL, HARM, KIND, LOOK_UP, Forgetful, Reader
from tests.api.litellm_bodies import CALL, answering, asking, guard, records
from tests.conftest import MakeCaller
from tests.fakes import FakeModel, distribution, risk_of
from tests.fakes_policies import compiled


async def test_an_answer_that_passes_goes_on_and_is_recorded(make_caller: MakeCaller) -> None:
    caller = await make_caller()

    answer = await guard(caller, answering(KIND))

    assert answer.json() == {"action": "NONE"}
    (story,) = await records(caller)
    assert story.facts["type"] == "check"
    assert story.contents["candidate"]["text"] == KIND
    request = story.contents["request"]
    assert (request["end_user"], request["conversation_id"]) == ("u-1", "d257ad3b")
    assert request["metadata"] == {"litellm_call_id": "1ee61eb4", "litellm_version": "1.109.1"}


@pytest.mark.parametrize("action", ["block", "escalate"])
async def test_an_answer_that_is_withheld_is_blocked_without_its_words(
    make_caller: MakeCaller, action: str
) -> None:
    caller = await make_caller(Reader(), policies=(compiled(on_harm=action),))

    answer = await guard(caller, answering(HARM))

    (story,) = await records(caller)
    body = answer.json()
    assert body["action"] == "BLOCKED"
    assert action in body["blocked_reason"]
    assert story.facts["response"] in body["blocked_reason"]
    assert HARM not in answer.text


async def test_private_data_is_masked_in_its_place(make_caller: MakeCaller) -> None:
    caller = await make_caller(policies=(compiled(redact={"mask": ["email"]}),))

    body = (await guard(caller, answering(KIND, EMAIL))).json()

    assert body["action"] == "GUARDRAIL_INTERVENED"
    assert body["texts"][0] == KIND
    assert body["texts"][1].startswith("Write to ")
    assert "ana@" not in body["texts"][1]


async def test_a_flagged_answer_is_rewritten_where_the_policy_says_so(
    make_caller: MakeCaller,
) -> None:
    model = FakeModel("Kinder words.", answers=[risk_of(0.95), risk_of(0.05)])
    caller = await make_caller(model, policies=(compiled(on_harm="rewrite"),))

    body = (await guard(caller, answering(HARM))).json()

    assert body == {"action": "GUARDRAIL_INTERVENED", "texts": ["Kinder words."]}


async def test_an_operator_may_have_changes_blocked(make_caller: MakeCaller) -> None:
    """For streams that LiteLLM plays back as they came: it would drop every change."""
    model = Reader()
    policy = compiled(on_harm="rewrite", redact={"mask": ["email"]})
    caller = await make_caller(model, policies=(policy,))
    header = {"x-inwit-changes": "block"}

    masked = await guard(caller, answering(EMAIL), **header)
    rewritten = await guard(caller, answering(HARM), **header)
    passed = await guard(caller, answering(KIND), **header)
    unclear = await guard(caller, answering(KIND), **{"x-inwit-changes": "perhaps"})

    assert masked.json()["action"] == rewritten.json()["action"] == "BLOCKED"
    assert "ana@" not in masked.text
    assert passed.json()["action"] == "NONE"
    assert model.generations == []
    assert unclear.status_code == 422
    assert unclear.json()["errors"][0]["field"] == "x-inwit-changes"


async def test_one_choice_of_several_that_is_withheld_blocks_the_answer(
    make_caller: MakeCaller,
) -> None:
    caller = await make_caller(Reader())

    answer = await guard(caller, answering(KIND, HARM, KIND))

    assert answer.json()["action"] == "BLOCKED"
    assert len(await records(caller)) == 3


async def test_a_choice_that_could_not_be_checked_is_an_error(make_caller: MakeCaller) -> None:
    """LiteLLM raises on any error status, and so blocks."""
    caller = await make_caller(Reader(), ledger=Forgetful())

    answer = await guard(caller, answering(KIND, "LOST"))

    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:inwit:problem:not-recorded"


TOOLS = compiled(tools={"look_up": None})


async def test_a_tool_call_is_checked_with_its_text(make_caller: MakeCaller) -> None:
    model = Reader()
    caller = await make_caller(model, policies=(TOOLS,))

    answer = await guard(caller, answering(KIND, tool_calls=[{**CALL, "index": 0}]))

    assert answer.json() == {"action": "NONE"}
    assert model.reviews[0][-2].content.startswith(KIND)
    assert '"name":"look_up"' in model.reviews[0][-2].content


@pytest.mark.parametrize(
    "call",
    [
        {**CALL, "function": {"name": "delete", "arguments": "{}"}},
        {**CALL, "function": {"name": "look_up", "arguments": "[1]"}},
        {**CALL, "function": {"name": "look_up", "arguments": ["x"]}},
        {**CALL, "id": HARM * 20},
        {"id": "c1"},
        "look_up",
        None,
    ],
)
async def test_a_call_that_the_policy_does_not_permit_blocks(
    make_caller: MakeCaller, call: Any
) -> None:
    caller = await make_caller(policies=(TOOLS,))

    answer = await guard(caller, answering(tool_calls=[call]))

    assert answer.json()["action"] == "BLOCKED"
    assert "tool_call_outside_policy" in answer.json()["blocked_reason"]
    assert HARM not in answer.text


async def test_a_permitted_call_that_was_not_offered_blocks_where_that_is_known(
    make_caller: MakeCaller,
) -> None:
    caller = await make_caller(policies=(TOOLS,))

    for call_id, tools, action in (("a", [LOOK_UP], "NONE"), ("b", None, "BLOCKED")):
        await guard(caller, asking(call_id, tools=tools))
        answer = await guard(caller, answering(KIND, call_id=call_id, tool_calls=[CALL]))
        assert answer.json()["action"] == action


async def test_calls_of_several_choices_are_checked_by_themselves(make_caller: MakeCaller) -> None:
    caller = await make_caller(policies=(TOOLS,))
    second = {**CALL, "id": "c2"}

    passed = await guard(caller, answering(KIND, EMAIL, tool_calls=[CALL, second]))
    twice = await guard(caller, answering(KIND, EMAIL, tool_calls=[CALL, CALL]))

    assert passed.json()["action"] in ("NONE", "GUARDRAIL_INTERVENED")
    assert len(passed.json().get("texts", [KIND, EMAIL])) == 2
    assert twice.json()["action"] == "BLOCKED"


async def test_a_rewrite_that_drops_a_call_blocks_since_litellm_would_keep_it(
    make_caller: MakeCaller,
) -> None:
    policy = compiled(on_harm="rewrite", tools={"look_up": None})
    caller = await make_caller(Reader("Kinder words."), policies=(policy,))

    answer = await guard(caller, answering(HARM, tool_calls=[CALL]))

    assert answer.json()["action"] == "BLOCKED"
    (story,) = await records(caller)
    assert story.contents["released"]["text"] == "Kinder words."


async def test_images_in_an_answer_block_it(make_caller: MakeCaller) -> None:
    caller = await make_caller()

    answer = await guard(caller, answering(KIND, images=["data:image/png;base64,AAAA"]))

    assert answer.json()["action"] == "BLOCKED"


async def test_an_answer_without_anything_has_nothing_to_check(make_caller: MakeCaller) -> None:
    model = FakeModel()
    caller = await make_caller(model)

    assert (await guard(caller, answering())).json() == {"action": "NONE"}
    assert model.reviews == []


async def test_fields_of_other_versions_do_no_harm(make_caller: MakeCaller) -> None:
    caller = await make_caller()
    body = answering(KIND, stream=True, novelty={"a": [1]}, request_data=None)

    answer = await guard(caller, body)
    bare = await guard(caller, {"input_type": "response", "texts": [KIND]})

    assert answer.json() == bare.json() == {"action": "NONE"}


async def test_the_policy_is_the_keys_or_the_one_that_the_guardrail_names(
    make_caller: MakeCaller,
) -> None:
    mild = compiled("mild", on_harm="escalate")
    caller = await make_caller(Reader(), policies=(compiled(), mild))

    def naming(policy: str) -> dict[str, Any]:
        return answering(HARM, additional_provider_specific_params={"policy": policy})

    own = (await guard(caller, answering(HARM))).json()
    named = (await guard(caller, naming("mild"))).json()
    unknown = await guard(caller, naming("nope"))

    assert "'default'" in own["blocked_reason"]
    assert "'mild'" in named["blocked_reason"]
    assert unknown.status_code == 422


async def test_a_policy_that_the_key_lacks_is_refused(make_caller: MakeCaller) -> None:
    policies = (compiled(), compiled("other"))
    caller = await make_caller(policies=policies, key_policies=("default",))
    params: Any = {"additional_provider_specific_params": {"policy": "other"}}

    for body in (answering(KIND, **params), asking(**params)):
        assert (await guard(caller, body)).status_code == 403


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"input_type": "mcp"}, "input_type"),
        ({"texts": [1]}, "texts[0]"),
        ({"texts": [KIND] * 129}, "texts"),
        (
            {"additional_provider_specific_params": {"polcy": "x"}},
            "additional_provider_specific_params.polcy",
        ),
    ],
)
async def test_what_cannot_be_read_is_an_error_that_names_it(
    make_caller: MakeCaller, fields: dict[str, Any], named: str
) -> None:
    model = FakeModel()
    caller = await make_caller(model)

    answer = await guard(caller, {**answering(KIND), **fields})

    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == [named]
    assert model.reviews == []


async def test_the_key_comes_in_either_header(make_caller: MakeCaller) -> None:
    caller = await make_caller()
    del caller.http.headers["authorization"]

    assert (await guard(caller, answering(KIND))).status_code == 401
    wrong = await guard(caller, answering(KIND), **{"x-api-key": "inwit_x_y"})
    assert wrong.status_code == 401
    right = await guard(caller, answering(KIND), **{"x-api-key": caller.key})
    assert right.json() == {"action": "NONE"}


async def test_who_may_not_respond_may_not_guard(make_caller: MakeCaller) -> None:
    caller = await make_caller(roles=(KeyRole.AUDIT,))

    assert (await guard(caller, answering(KIND))).status_code == 403


async def test_what_was_released_without_review_is_the_policys_to_say(
    make_caller: MakeCaller,
) -> None:
    unread = FakeModel(answer=distribution(0, 0))
    trusting = replace(compiled(), on_review_failure=Action.ALLOW)
    closed = await make_caller(unread)
    open_ = await make_caller(unread, policies=(trusting,))

    assert (await guard(closed, answering(KIND))).json()["action"] == "BLOCKED"
    assert (await guard(open_, answering(KIND))).json()["action"] == "NONE"


async def test_a_caller_that_hangs_up_stops_the_check(make_caller: MakeCaller) -> None:
    model = FakeModel(hang="review")
    caller = await make_caller(model)
    request = asyncio.create_task(guard(caller, answering(KIND)))
    await model.hanging.wait()

    request.cancel()
    await asyncio.gather(request, return_exceptions=True)

    assert model.cancelled == ["review"]
    assert "inwit_in_flight 0.0" in (await caller.http.get("/metrics")).text
