"""Bad input: a clear problem+json each, and nothing left behind."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
import sqlalchemy as sa

from inwit.ledger.tables import ENTRIES
from tests.conftest import ASK, MakeCaller
from tests.fakes import FakeModel

_HI = {"role": "user", "content": "hi"}
_DEEP = b'{"messages":' + b"[" * 200_000

BODIES: dict[str, tuple[bytes | dict[str, Any], int, str]] = {
    "no messages": ({"messages": []}, 422, "messages"),
    "messages missing": ({}, 422, "messages"),
    "unknown role": ({"messages": [{"role": "wizard", "content": "hi"}]}, 422, "messages[0].role"),
    "empty content": ({"messages": [{"role": "user", "content": ""}]}, 422, "messages[0].content"),
    "blank parts": (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": " "}]}]},
        422,
        "messages[0]",
    ),
    "a part of another type": (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "text": "x"}]}]},
        422,
        "messages[0].content[0].type",
    ),
    "NaN in a tool call": (
        b'{"messages":[{"role":"assistant","tool_calls":[{"a":NaN}]}]}',
        422,
        "messages[0].tool_calls[0]",
    ),
    "blank content": ({"messages": [{"role": "user", "content": " \n"}]}, 422, "messages[0]"),
    "null content": ({"messages": [{"role": "user", "content": None}]}, 422, "messages[0]"),
    "no parts": ({"messages": [{"role": "user", "content": []}]}, 422, "messages[0].content"),
    "tool turn without id": ({"messages": [{"role": "tool", "content": "x"}]}, 422, "messages[0]"),
    "5 MB": (b'{"messages":"' + b"a" * 5_000_000 + b'"}', 413, ""),
    "not JSON": (b'{"messages": [', 400, ""),
    "nothing": (b"", 400, ""),
    "not UTF-8": (b'{"messages":[{"role":"user","content":"\xff\xfe"}]}', 400, ""),
    "lone surrogate": (b'{"messages":[{"role":"user","content":"\\ud800"}]}', 400, ""),
    "very deep": (_DEEP, 400, ""),
    "NaN": (b'{"messages":[{"role":"user","content":"x"}],"temperature":NaN}', 422, "temperature"),
    "infinite": (b'{"messages":[{"role":"user","content":"x"}],"temperature":1e999}', 422, "temp"),
    "unknown field": ({"messages": [_HI], "temprature": 1}, 422, "temprature"),
    "unknown field inside": ({"messages": [{**_HI, "colour": 1}]}, 422, "messages[0].colour"),
    "unknown policy": ({"messages": [_HI], "policy": "nope"}, 422, "policy"),
    "a list": (b"[]", 422, "(body)"),
    "callback": ({"messages": [_HI], "callback_url": "https://a.example"}, 422, "callback_url"),
    "no stream": ({"messages": [_HI], "stream": "often"}, 422, "stream"),
    "tools": ({"messages": [_HI], "tools": [{"type": "function"}]}, 422, "tools[0].function"),
    "metadata of numbers": ({"messages": [_HI], "metadata": {"a": 1}}, 422, "metadata.a"),
    "no tokens": ({"messages": [_HI], "max_tokens": 0}, 422, "max_tokens"),
}


@pytest.mark.parametrize("name", BODIES)
async def test_bad_input_is_named_and_leaves_nothing_behind(
    make_caller: MakeCaller, name: str
) -> None:
    body, status, field = BODIES[name]
    model = FakeModel()
    caller = await make_caller(model)

    if isinstance(body, dict):
        answer = await caller.respond(body)
    else:
        answer = await caller.http.post("/v1/respond", content=body)

    problem = answer.json()
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == status
    assert problem["detail"]
    assert problem["request_id"] == answer.headers["x-request-id"]
    fields = [error["field"] for error in problem.get("errors", [])]
    assert not field or any(each.startswith(field) for each in fields), fields
    count = sa.select(sa.func.count()).where(ENTRIES.c.type != "changed")  # but for its key
    assert await caller.database.read(lambda db: db.execute(count).scalar()) == 0
    assert model.generations == []


async def test_a_problem_never_quotes_the_content(make_caller: MakeCaller) -> None:
    caller = await make_caller()

    answer = await caller.respond({"messages": [{"role": "user", "content": ["MY SECRET"]}]})

    assert answer.status_code == 422
    assert "MY SECRET" not in answer.text


async def test_a_body_that_grows_past_the_limit_is_cut_off(make_caller: MakeCaller) -> None:
    """No Content-Length to warn: the limit holds while reading."""
    caller = await make_caller()
    sent = 0

    async def chunks() -> AsyncGenerator[bytes]:
        nonlocal sent
        for _ in range(80):
            sent += 1
            yield b" " * 2**16

    answer = await caller.http.post("/v1/respond", content=chunks())

    assert answer.status_code == 413
    assert sent < 80


async def test_text_parts_are_joined(make_caller: MakeCaller) -> None:
    model = FakeModel()
    caller = await make_caller(model)
    parts = [{"type": "text", "text": "How do "}, {"type": "text", "text": "tides work?"}]

    await caller.respond({"messages": [{"role": "user", "content": parts}]})

    assert model.generations[0].messages[0].content == "How do tides work?"


async def test_other_methods_and_paths_get_problems_too(make_caller: MakeCaller) -> None:
    caller = await make_caller()

    assert (await caller.http.get("/v1/respond")).status_code == 405
    missing = await caller.http.get("/v2/respond")
    assert missing.status_code == 404
    assert missing.json()["type"] == "urn:inwit:problem:not-found"
    assert (await caller.http.post("/v1/respond/", json=ASK)).status_code == 404
    assert (await caller.http.head("/healthz")).status_code == 200
    assert missing.headers["content-type"] == "application/problem+json"
    assert (await caller.respond(ASK)).status_code == 200
