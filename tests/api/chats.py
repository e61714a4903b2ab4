"""Asks at the OpenAI-shaped door, and reads its errors."""

from typing import Any

import httpx

from inwit.types import ToolCall
from tests.conftest import Caller
from tests.fakes import MODEL

PATH = "/v1/chat/completions"
SAID = {"role": "user", "content": "How do tides work?"}
CHAT: dict[str, Any] = {"model": MODEL, "messages": [SAID]}
WEATHER = {"type": "function", "function": {"name": "weather", "strict": True}}
CALL = ToolCall("call_1", "weather", '{"city": "Paris"}')
_ENVELOPE = {"message", "type", "param", "code"}


async def chat(caller: Caller, **more: Any) -> httpx.Response:
    """Ask; `more` stands beside what every question has."""
    return await caller.http.post(PATH, json=CHAT | more)


def refusal_in(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The error of an answer in OpenAI's envelope."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    error = answer.json()["error"]
    assert answer.json().keys() == {"error"}
    assert error.keys() == _ENVELOPE
    return error
