"""LiteLLM's generic guardrail through the front door, with bodies as LiteLLM 1.109 sends them."""

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from inwit.api.litellm_conversations import Conversation, Conversations
from inwit.errors import LedgerError
from inwit.ledger import read
from inwit.ledger.tables import ENTRIES
from inwit.ledger.verify import verify_chain
from inwit.types import Action, KeyRole, Message
from tests.api.evidence import counting
from tests.conftest import Caller, MakeCaller
from tests.fakes import FakeClassifiers, FakeLedger, FakeModel, distribution, risk_of
from tests.fakes_policies import compiled

HARM = "HARM-1a"
KIND = "The moon pulls the sea."
EMAIL = "Write to ana@example.org."
ASKED = "How do tides work?"
ROWS: list[Any] = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": [{"type": "text", "text": ASKED}]},
]
LOOK_UP: dict[str, Any] = {"type": "function", "function": {"name": "look_up", "parameters": {}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}


def sent(input_type: str, *texts: str, call_id: str = "1ee61eb4", **fields: Any) -> dict[str, Any]:
    """What LiteLLM sends; recorded from its proxy."""
    return {
        "input_type": input_type,
        "litellm_call_id": call_id,
        "litellm_trace_id": "d257ad3b",
        "structured_messages": None,
        "images": None,
        "tools": None,
        "texts": list(texts),
        "request_data": {"user_api_key_hash": "88dc28", "user_api_key_end_user_id": "u-1"},
        "request_headers": {"host": "127.0.0.1:4000", "x-custom": "[present]"},
        "litellm_version": "1.109.1",
        "additional_provider_specific_params": {},
        "tool_calls": None,
        "model": "gpt-4",
        **fields,
    }


def asking(call_id: str = "1ee61eb4", rows: list[Any] | None = None, **fields: Any) -> Any:
    given = ROWS if rows is None else rows
    return sent("request", "Be kind.", ASKED, call_id=call_id, structured_messages=given, **fields)


def answering(*texts: str, **fields: Any) -> dict[str, Any]:
    return sent("response", *texts, **fields)


async def guard(caller: Caller, body: dict[str, Any], **headers: str) -> httpx.Response:
    return await caller.http.post("/beta/litellm_basic_guardrail_api", json=body, headers=headers)


async def records(caller: Caller) -> list[Any]:
    """Every entry with its content, in a chain that holds."""

    def look(db: sa.Connection) -> list[Any]:
        ids = db.execute(sa.select(ENTRIES.c.response_id).order_by(ENTRIES.c.sequence)).scalars()
        return [read.stories(db, each)[0] for each in ids]

    assert (await caller.database.read(verify_chain)).breaks == ()
    return await caller.database.read(look)


@dataclass
class Reader(FakeModel):
    """A conscience that sees a risk where HARM stands in the answer."""

    async def next_token(self, messages: Any, model: str, tenant: str) -> Any:
        self.answer = risk_of(0.95 if "HARM" in messages[-2].content else 0.05)
        return await super().next_token(messages, model, tenant)


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


@dataclass
class Forgetful(FakeLedger):
    """A ledger that cannot take candidates with LOST in them."""

    async def append(self, record: Any) -> Any:
        if b"LOST" in record.contents["candidate"]:
            raise LedgerError("The ledger is away.", retry_after=2)
        return await super().append(record)


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
    assert unknown == ["(What the answer is about is not known.)"]


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

    assert [turn.content for turn in model.reviews[-1][:-2]] == [
        "(What the answer is about is not known.)"
    ]


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
