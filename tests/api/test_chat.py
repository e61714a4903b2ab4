"""`POST /v1/chat/completions` through the front door; its streams are in test_chat_stream.py."""

import asyncio

from inwit.policy.policy import Policy
from tests.api.chats import CALL, SAID, WEATHER, chat
from tests.conftest import ASK, MakeCaller
from tests.fakes import MODEL, FakeModel, risk_of
from tests.fakes_policies import compiled


async def test_a_harmless_answer_in_openais_shape(make_caller: MakeCaller) -> None:
    caller = await make_caller(FakeModel("The moon pulls the sea."))

    answer = await chat(caller)

    body = answer.json()
    assert answer.status_code == 200
    assert body["object"] == "chat.completion"
    assert body["id"] == f"chatcmpl-{body['inwit']['id']}"
    assert answer.headers["x-inwit-response"] == body["inwit"]["id"]
    assert body["model"] == MODEL
    message = {"role": "assistant", "content": "The moon pulls the sea.", "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    assert body["choices"] == [choice]
    tokens = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}
    assert body["usage"] == {**tokens, "prompt_tokens_details": {"cached_tokens": 0}}
    assert body["created"] > 1_700_000_000
    assert body["system_fingerprint"] is None


async def test_inwits_part_is_that_of_respond(make_caller: MakeCaller) -> None:
    caller = await make_caller()
    whole = (await caller.respond()).json()

    part = (await chat(caller)).json()["inwit"]

    assert part.keys() == whole.keys() - {"model", "output"}
    own = ("id", "timings_ms", "receipt")
    assert {key: part[key] for key in part if key not in own} == {
        key: whole[key] for key in part if key not in own
    }


async def test_a_blocked_answer_is_a_refusal(make_caller: MakeCaller, policy: Policy) -> None:
    caller = await make_caller(FakeModel("HARM", answer=risk_of(0.95)))

    answer = await chat(caller)

    (choice,) = answer.json()["choices"]
    assert answer.status_code == 200
    assert choice["finish_reason"] == "content_filter"
    assert choice["message"]["content"] is None
    assert choice["message"]["refusal"] == policy.fallback_text
    assert answer.json()["inwit"]["status"] == "blocked"
    assert "HARM" not in answer.text


async def test_a_held_answer_says_where_to_ask_again(make_caller: MakeCaller) -> None:
    escalating = compiled(on_harm="escalate")
    caller = await make_caller(FakeModel("HARM", answer=risk_of(0.95)), policies=(escalating,))

    answer = await chat(caller)

    part = answer.json()["inwit"]
    assert answer.status_code == 200
    assert part["status"] == "held"
    assert part["escalation"]["poll"] == f"/v1/responses/{part['id']}"
    assert answer.json()["choices"][0]["message"]["refusal"] == escalating.fallback_text


async def test_tools_are_called_and_their_results_go_back(make_caller: MakeCaller) -> None:
    model = FakeModel("", tool_calls=(CALL,))
    caller = await make_caller(model, policies=(compiled(tools={"weather": None}),))

    message = (await chat(caller, tools=[WEATHER])).json()["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": "call_1", "content": ""}
    model.tool_calls = ()
    model.text = "Sunny."
    told = await chat(caller, messages=[SAID, message, result], tools=[WEATHER])

    function = {"name": "weather", "arguments": '{"city": "Paris"}'}
    assert message["tool_calls"] == [{"id": "call_1", "type": "function", "function": function}]
    assert message["content"] is None
    assert told.json()["choices"][0]["message"]["content"] == "Sunny."
    assert model.generations[1].messages[1].tool_calls == (CALL.as_openai(),)


async def test_a_caller_that_hangs_up_stops_the_generation(make_caller: MakeCaller) -> None:
    model = FakeModel(hang="generate")
    caller = await make_caller(model)

    request = asyncio.create_task(chat(caller))
    await model.hanging.wait()
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)

    assert model.cancelled == ["generate"]
    assert "inwit_in_flight 0.0" in (await caller.http.get("/metrics")).text


async def test_both_doors_ask_the_model_the_same(make_caller: MakeCaller) -> None:
    model = FakeModel()
    caller = await make_caller(model)

    await caller.respond(ASK | {"model": MODEL})
    await chat(caller)

    assert model.generations[0] == model.generations[1]
