"""Errors at the OpenAI-shaped door: OpenAI's envelope, and the status that its clients expect."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from inwit.clients.openai_compatible import OpenAICompatible
from inwit.errors import (
    ConversationTooLong,
    LedgerError,
    RateLimited,
    UpstreamRefused,
    UpstreamUnavailable,
)
from inwit.types import KeyRole
from tests.api.chats import CHAT, PATH, SAID, WEATHER, chat, refusal_in
from tests.conftest import MakeCaller
from tests.fakes import MODEL, FakeLedger, FakeModel
from tests.fakes_server import FakeServer


async def test_a_tool_that_the_policy_does_not_permit_is_named(make_caller: MakeCaller) -> None:
    caller = await make_caller()

    error = refusal_in(await chat(caller, tools=[WEATHER]), 400)

    assert error["param"] == "tools[0].function.name"


BAD: dict[str, tuple[Mapping[str, Any] | bytes, str | None]] = {
    "no model": ({"messages": [SAID]}, "model"),
    "a model of no name": ({**CHAT, "model": 7}, "model"),
    "no messages": ({"model": MODEL, "messages": []}, "messages"),
    "an image": (
        {**CHAT, "messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        "messages[0].content[0]",
    ),
    "a part of no kind": (
        {**CHAT, "messages": [{"role": "user", "content": ["MY SECRET"]}]},
        "messages[0].content[0]",
    ),
    "blank": ({**CHAT, "messages": [{"role": "user", "content": " "}]}, "messages[0]"),
    "null": ({**CHAT, "messages": [{"role": "user", "content": None}]}, "messages[0]"),
    "an assistant's nothing": ({**CHAT, "messages": [{"role": "assistant"}]}, "messages[0]"),
    "a refusal of the user": (
        {**CHAT, "messages": [{"role": "user", "content": "x", "refusal": "No."}]},
        "messages[0]",
    ),
    "calls of the user": (
        {**CHAT, "messages": [{"role": "user", "content": "x", "tool_calls": []}]},
        "messages[0]",
    ),
    "a result of no call": ({**CHAT, "messages": [{"role": "tool", "content": "x"}]}, "messages"),
    "an old role": ({**CHAT, "messages": [{"role": "function", "content": "x"}]}, "messages"),
    "audio before": (
        {**CHAT, "messages": [{"role": "assistant", "content": "x", "audio": {"id": "MY SECRET"}}]},
        "messages[0].audio",
    ),
    "tools of another kind": ({**CHAT, "tools": [{"type": "custom"}]}, "tools[0].type"),
    "one tool twice": ({**CHAT, "tools": [WEATHER, WEATHER]}, "(body)"),
    "too hot": ({**CHAT, "temperature": 3}, "temperature"),
    "obfuscation": ({**CHAT, "stream_options": {"include_obfuscation": True}}, "stream_options"),
    "statistics": ({**CHAT, "stream_options": {"continuous_usage_stats": True}}, "stream_options"),
    "an unknown field of ours": ({**CHAT, "inwit": {"polcy": "x"}}, "inwit.polcy"),
    "metadata of numbers": ({**CHAT, "metadata": {"a": 1}}, "metadata.a"),
    "NaN that would go through": (b'{"model":"m","messages":[{"role":"user","content":"x"}],'
                                  b'"top_p":NaN}', "top_p"),
    "not JSON": (b"{", None),
    "a list": (b"[]", "(body)"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
async def test_bad_input_is_400_and_names_the_field(make_caller: MakeCaller, name: str) -> None:
    body, param = BAD[name]
    model = FakeModel()
    caller = await make_caller(model)
    raw = body if isinstance(body, bytes) else json.dumps(body)

    answer = await caller.http.post(PATH, content=raw)

    error = refusal_in(answer, 400)
    assert error["message"]
    assert (error["param"] or "").startswith(param) if param else error["param"] is None
    assert "MY SECRET" not in answer.text
    assert model.generations == []


async def test_errors_before_the_body_is_read_are_in_openais_envelope(
    make_caller: MakeCaller,
) -> None:
    caller = await make_caller()
    auditor = await make_caller(roles=(KeyRole.AUDIT,))

    nobody = await caller.http.post(PATH, json=CHAT, headers={"authorization": ""})
    long = await caller.http.post(PATH, content=b'{"a":"' + b"a" * 5_000_000)

    assert refusal_in(nobody, 401)["code"] == "invalid_api_key"
    assert nobody.headers["www-authenticate"] == "Bearer"
    assert refusal_in(await chat(auditor), 403)["type"] == "permission_error"
    assert refusal_in(long, 413)["code"] == "body_too_large"
    assert refusal_in(await caller.http.get(PATH), 405)["code"] == "method_not_allowed"
    assert (await caller.http.get(PATH)).headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/v1/chat/completions/", "/v1/chat", "/v1/responses"])
async def test_what_is_not_served_says_what_is(make_caller: MakeCaller, path: str) -> None:
    caller = await make_caller()

    error = refusal_in(await caller.http.post(path, json=CHAT), 404)

    assert "POST /v1/chat/completions" in error["message"]


async def test_a_model_that_is_not_served_is_404(make_caller: MakeCaller) -> None:
    async with FakeServer().running() as server:
        client = OpenAICompatible(server.base_url)
        await client.open()
        await client.probe()
        caller = await make_caller(client)

        error = refusal_in(await chat(caller, model="gpt-nowhere"), 404)
        await client.close()

    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert MODEL in error["message"]


async def test_what_the_model_server_does_not_take_is_400(make_caller: MakeCaller) -> None:
    async with FakeServer(refused_fields=frozenset({"flavour"})).running() as server:
        client = OpenAICompatible(server.base_url)
        await client.open()
        await client.probe()
        caller = await make_caller(client)

        whole = refusal_in(await chat(caller, flavour="mint"), 400)
        streamed = refusal_in(await chat(caller, flavour="mint", stream=True), 400)
        taken = await chat(caller, top_p=0.5)
        await client.close()

    assert whole["code"] == streamed["code"] == "conversation_refused"
    assert taken.status_code == 200
    assert any(body.get("top_p") == 0.5 for body in server.bodies)


async def test_other_routes_keep_their_own_errors(make_caller: MakeCaller) -> None:
    caller = await make_caller()

    for path in ("/v1/chatter", "/v2/chat/completions", "/v1/modelsx"):
        answer = await caller.http.post(path, json=CHAT)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.status_code == 404
    assert (await caller.respond({})).json()["type"] == "urn:inwit:problem:invalid-field"


FAILURES: dict[str, tuple[FakeModel, int, str, str | None]] = {
    "too long": (
        FakeModel(generate_error=ConversationTooLong(5000, 4096)),
        400,
        "context_length_exceeded",
        "messages",
    ),
    "refused": (
        FakeModel(generate_error=UpstreamRefused("no")),
        400,
        "conversation_refused",
        None,
    ),
    "away": (
        FakeModel(generate_error=UpstreamUnavailable("away", retry_after=2)),
        503,
        "upstream_unavailable",
        None,
    ),
    "a bug": (FakeModel(generate_error=ValueError("MY SECRET")), 500, "internal", None),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_failures_behind_the_door(make_caller: MakeCaller, name: str) -> None:
    model, status, code, param = FAILURES[name]
    caller = await make_caller(model)

    answer = await chat(caller)

    error = refusal_in(answer, status)
    assert (error["code"], error["param"]) == (code, param)
    assert error["type"] == ("server_error" if status >= 500 else "invalid_request_error")
    assert "MY SECRET" not in answer.text
    assert answer.headers.get("retry-after") == ("2" if name == "away" else None)


async def test_a_rate_limit_says_when_to_come_back(make_caller: MakeCaller) -> None:
    left = {"RateLimit": '"key-requests";r=0;t=7'}
    caller = await make_caller(
        FakeModel(generate_error=RateLimited("used up", retry_after=7, headers=left))
    )

    answer = await chat(caller)

    error = refusal_in(answer, 429)
    assert (error["code"], error["type"]) == ("rate_limit_exceeded", "rate_limit_error")
    assert answer.headers["retry-after"] == "7"
    assert answer.headers["ratelimit"] == left["RateLimit"]


async def test_what_is_not_recorded_is_not_released(make_caller: MakeCaller) -> None:
    ledger = FakeLedger(error=LedgerError("away", retry_after=1))
    caller = await make_caller(FakeModel("The moon."), ledger=ledger)

    answer = await chat(caller)

    assert refusal_in(answer, 503)["code"] == "not_recorded"
    assert "The moon." not in answer.text
