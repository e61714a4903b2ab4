"""`Idempotency-Key` at the OpenAI-shaped door; the rest is tests/api/test_idempotency.py's."""

import json
from typing import Any

from tests.conftest import ASK, MakeCaller
from tests.fakes import FakeModel

CHAT = {"model": "fake-model", **ASK}
KEY = {"idempotency-key": "order-7"}
PATH = "/v1/chat/completions"


def chunks(text: str) -> list[dict[str, Any]]:
    lines = [line[6:] for line in text.split("\n") if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


async def test_a_repeated_chat_is_answered_once(make_caller: MakeCaller) -> None:
    model = FakeModel()
    caller = await make_caller(model)
    first = await caller.http.post(PATH, json=CHAT, headers=KEY)

    again = await caller.http.post(PATH, json=CHAT, headers=KEY)

    assert len(model.generations) == 1
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    one, other = first.json(), again.json()
    for answer in (one, other):
        del answer["created"], answer["inwit"]["timings_ms"]
    assert other == one


async def test_a_repeat_may_be_streamed(make_caller: MakeCaller) -> None:
    model = FakeModel()
    caller = await make_caller(model)
    first = (await caller.http.post(PATH, json=CHAT, headers=KEY)).json()

    again = await caller.http.post(PATH, json={**CHAT, "stream": True}, headers=KEY)

    assert len(model.generations) == 1
    told = chunks(again.text)
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in told)
    assert text == first["choices"][0]["message"]["content"]
    assert {chunk["id"] for chunk in told} == {first["id"]}
    assert again.headers["x-inwit-response"] == first["inwit"]["id"]
    assert again.text.endswith("data: [DONE]\n\n")


async def test_a_key_stands_for_one_request_in_openais_words_too(make_caller: MakeCaller) -> None:
    caller = await make_caller()
    await caller.http.post(PATH, json=CHAT, headers=KEY)

    refused = await caller.http.post(PATH, json={**CHAT, "seed": 7}, headers=KEY)

    assert refused.status_code in (400, 422)
    assert "Idempotency-Key" in refused.json()["error"]["message"]


async def test_a_check_takes_no_key_and_says_so(make_caller: MakeCaller) -> None:
    caller = await make_caller()
    body = {**ASK, "candidate": "The moon pulls the sea."}

    refused = await caller.http.post("/v1/check", json=body, headers=KEY)

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "Idempotency-Key"
