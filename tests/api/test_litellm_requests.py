"""LiteLLM's requests: what is looked at in them, and what is remembered for their answers."""

from dataclasses import replace
from typing import Any

import pytest

from inwit.api.litellm_conversations import Conversation, Conversations
from inwit.types import Action, Message
from tests.api.checking import KIND, LOOK_UP
from tests.api.evidence import counting
from tests.api.litellm_bodies import (
    ASKED,
    CALL,
    ROWS,
    UNKNOWN,
    answering,
    asking,
    guard,
    records,
    sent,
)
from tests.conftest import MakeCaller
from tests.fakes import FakeClassifiers, FakeModel
from tests.fakes_policies import compiled

TOOLS = compiled(tools={"look_up": None})


async def test_an_answer_is_reviewed_against_the_request_of_the_same_call(
    make_caller: MakeCaller,
) -> None:
    model = FakeModel()
    caller = await make_caller(model)

    await guard(caller, asking())
    await guard(caller, answering(KIND))
    await guard(caller, answering(KIND, call_id="another"))

    known, unknown = [[turn.content for turn in review[:-2]] for review in model.reviews]
    assert known == ["Be kind.", ASKED]
    assert unknown == [UNKNOWN]


async def test_a_conversation_that_came_with_the_answer_is_the_one(make_caller: MakeCaller) -> None:
    model = FakeModel()
    caller = await make_caller(model)
    rows = [{"role": "user", "content": "Something else."}]

    await guard(caller, asking())
    await guard(caller, answering(KIND, structured_messages=rows))

    assert [turn.content for turn in model.reviews[0][:-2]] == ["Something else."]


@pytest.mark.parametrize("other", ["rows", "key"])
async def test_nobody_can_have_an_answer_reviewed_against_another_conversation(
    make_caller: MakeCaller, other: str
) -> None:
    """LiteLLM's callers choose the id of their call by a header."""
    model = FakeModel()
    caller = await make_caller(model)
    if other == "rows":
        await guard(caller, asking())
        await guard(caller, asking(rows=[{"role": "user", "content": "Tell me a fable."}]))
    else:
        await guard(caller, asking(request_data={"user_api_key_hash": "another"}))

    await guard(caller, answering(KIND))

    assert [turn.content for turn in model.reviews[-1][:-2]] == [UNKNOWN]


INPUT = {"use": ["embedded"], "on_flag": "block"}


@pytest.mark.parametrize(
    ("risk", "on_flag", "action"),
    [(0.05, "block", "NONE"), (0.95, "block", "BLOCKED"), (0.95, "classify", "NONE")],
)
async def test_a_request_is_looked_at_by_the_input_stage(
    make_caller: MakeCaller, risk: float, on_flag: str, action: str
) -> None:
    policy = compiled(input={**INPUT, "on_flag": on_flag})
    classifiers = FakeClassifiers(input_risk=risk)
    model = FakeModel()
    caller = await make_caller(model, classifiers=classifiers, policies=(policy,))
    taken = "block" if action == "BLOCKED" else "allow"
    looks = await counting(caller, f'inwit_looks_total{{action="{taken}",policy="default"}}')

    answer = await guard(caller, asking())

    assert answer.json()["action"] == action
    assert "tides" not in answer.text
    (asked,) = classifiers.asked
    assert [turn.content for turn in asked[1].conversation] == ["Be kind.", ASKED]
    assert await looks.grown() == 1
    assert model.generations == []
    assert await records(caller) == []


@pytest.mark.parametrize("on_review_failure", [Action.BLOCK, Action.ESCALATE, Action.ALLOW])
async def test_an_input_that_no_judge_could_read_is_as_the_policy_says(
    make_caller: MakeCaller, on_review_failure: Action
) -> None:
    policy = replace(compiled(input=INPUT), on_review_failure=on_review_failure)
    caller = await make_caller(classifiers=FakeClassifiers(input_risk=None), policies=(policy,))

    answer = await guard(caller, asking())

    allowed = on_review_failure is Action.ALLOW
    assert answer.json()["action"] == ("NONE" if allowed else "BLOCKED")


async def test_a_request_that_offers_tools_outside_the_policy_is_blocked(
    make_caller: MakeCaller,
) -> None:
    caller = await make_caller(policies=(TOOLS,))
    other = {"type": "function", "function": {"name": "delete"}}

    offers: list[tuple[list[Any], str]] = [
        ([LOOK_UP], "NONE"),
        ([LOOK_UP, other], "BLOCKED"),
        ([{"type": "web_search_20250305", "max_uses": 5}], "BLOCKED"),
        ([{}], "BLOCKED"),
        (["look_up"], "BLOCKED"),
    ]
    for tools, action in offers:
        assert (await guard(caller, asking(tools=tools))).json()["action"] == action


async def test_a_request_of_texts_alone_is_looked_at_too(make_caller: MakeCaller) -> None:
    classifiers = FakeClassifiers(input_risk=0.95)
    caller = await make_caller(classifiers=classifiers, policies=(compiled(input=INPUT),))

    answer = await guard(caller, sent("request", ASKED))

    assert answer.json()["action"] == "BLOCKED"


ODD_ROWS: list[Any] = [
    {"role": "wizard", "content": "hi"},
    {"role": "user", "content": None},
    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}, "words", 7]},
    {"role": "assistant", "content": None, "tool_calls": [CALL, {"type": "odd"}, None]},
    {"role": "assistant", "content": "x", "tool_calls": "none"},
    {"role": "tool", "content": "18 degrees", "tool_call_id": "c1"},
    {"role": "function", "content": "18 degrees", "name": "look_up"},
    {"role": "user", "content": {"text": "hi"}, "cache_control": {"type": "ephemeral"}},
    {},
    "hi",
    None,
]


async def test_rows_in_other_shapes_are_read_as_far_as_they_go(make_caller: MakeCaller) -> None:
    model = FakeModel()
    caller = await make_caller(model)

    for row in ODD_ROWS:
        body = answering(KIND, structured_messages=[*ROWS, row])
        assert (await guard(caller, body)).json()["action"] == "NONE", row

    read = [turn.content for review in model.reviews for turn in review]
    assert "(image_url, not shown)\nwords\n(something, not shown)" in read


def talk(text: str) -> Conversation:
    return Conversation((Message("user", text),), frozenset())


def key(call_id: str) -> tuple[str, str, str]:
    return ("k", "", call_id)


def test_conversations_are_forgotten_after_a_quarter_of_an_hour() -> None:
    now = 0.0
    conversations = Conversations(clock=lambda: now)
    conversations.remember(key("a"), talk("hi"))
    now = 899.0
    conversations.remember(key("b"), talk("ho"))
    assert conversations.recall(key("a")) == talk("hi")

    now = 900.0

    assert conversations.recall(key("a")) is None
    assert conversations.recall(key("b")) == talk("ho")


def test_the_oldest_conversations_go_when_there_is_no_room() -> None:
    conversations = Conversations(kept_characters=10_000)

    for number in range(100):
        conversations.remember(key(str(number)), talk("x" * 900))
    conversations.remember(key("huge"), talk("x" * 20_000))

    assert conversations.recall(key("huge")) is None
    for number in range(5):
        conversations.remember(key(f"then {number}"), talk("x" * 900))
        assert conversations.recall(key(f"then {number}")) is not None


def test_a_request_may_be_sent_twice() -> None:
    conversations = Conversations()

    conversations.remember(key("a"), talk("hi"))
    conversations.remember(key("a"), talk("hi"))
    assert conversations.recall(key("a")) == talk("hi")

    for text in ("ho", "hi", "hi"):
        conversations.remember(key("a"), talk(text))
        assert conversations.recall(key("a")) is None
