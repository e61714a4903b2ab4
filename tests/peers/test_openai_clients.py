"""Clients of OpenAI's API as people have them, unchanged, in front of a real gateway.

Each script runs once, in the environment that has its client, and prints what the client saw.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.peers.conftest import RunScript, python_of
from tests.peers.gateway import FALLBACK, EchoServer

pytestmark = pytest.mark.peers

Seen = dict[str, Any]

CLIENTS = {"openai 3": ".venv-openai", "openai 2": ".venv-peers"}


@pytest.fixture(scope="module", params=CLIENTS)
def openai(request: pytest.FixtureRequest, run_script: RunScript) -> Seen:
    return run_script(python_of(CLIENTS[request.param]), "openai_client.py")


@pytest.fixture(scope="module")
def langchain(run_script: RunScript) -> Seen:
    return run_script(python_of(".venv-openai"), "langchain_client.py")


@pytest.fixture(scope="module")
def litellm(peer_python: Path, run_script: RunScript) -> Seen:
    return run_script(peer_python, "litellm_client.py")


def text_of(chunks: list[Any]) -> str:
    """What a client that joins the content of a stream has in the end."""
    return "".join(
        choice["delta"]["content"] or "" for chunk in chunks for choice in chunk["choices"]
    )


def last_choice(chunks: list[Any]) -> Any:
    """The choice of the last chunk that has one."""
    return next(chunk["choices"][0] for chunk in reversed(chunks) if chunk["choices"])


def test_openai_gets_an_answer(openai: Seen, echo_model: EchoServer) -> None:
    plain = openai["plain"]
    asked = next(body for body in echo_model.bodies if body.get("stop") == ["<end of openai>"])

    assert plain["choices"][0]["message"]["content"] == "How do tides work?"
    assert plain["choices"][0]["finish_reason"] == "stop"
    assert plain["usage"]["total_tokens"] == 46
    assert plain["id"] == f"chatcmpl-{plain['inwit']['id']}"
    assert plain["inwit"]["status"] == "released"
    assert plain["request_id"].startswith("req_")
    assert (asked["top_p"], asked["presence_penalty"], asked["max_tokens"]) == (0.9, 0.1, 50)


def test_openai_gets_the_same_streamed(openai: Seen) -> None:
    chunks = openai["streamed"]

    assert text_of(chunks) == "How do tides work?"
    assert last_choice(chunks)["finish_reason"] == "stop"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["total_tokens"] == 46
    assert {chunk["usage"] is None for chunk in chunks[:-1]} == {True}
    assert chunks[-2]["inwit"]["receipt"]["sequence"] > 0


def test_openai_sees_a_block_as_a_refusal(openai: Seen) -> None:
    choice = openai["blocked"]["choices"][0]

    assert (choice["message"]["content"], choice["message"]["refusal"]) == (None, FALLBACK)
    assert choice["finish_reason"] == "content_filter"
    assert last_choice(openai["streamed_blocked"])["delta"]["refusal"] == FALLBACK
    assert last_choice(openai["streamed_blocked"])["finish_reason"] == "content_filter"
    assert text_of(openai["streamed_blocked"]) == ""
    assert openai["parsed_but_blocked"] == "ContentFilterFinishReasonError"
    assert openai["after_a_refusal"] == "Sorry. How do tides work?"


def test_openai_is_told_where_to_ask_for_a_held_answer(openai: Seen) -> None:
    held = openai["held"]

    assert held["choices"][0]["message"]["refusal"] == FALLBACK
    assert held["inwit"]["status"] == "held"
    assert held["inwit"]["escalation"]["poll"] == f"/v1/responses/{held['inwit']['id']}"


def test_openai_is_told_what_is_withdrawn(openai: Seen) -> None:
    chunks = openai["retracted"]
    last = last_choice(chunks)

    assert "HARM" in text_of(chunks)  # audit_only lets it out before it is judged
    assert (last["finish_reason"], last["delta"]["refusal"]) == ("content_filter", FALLBACK)
    assert chunks[-2]["inwit"]["retract"] == {"offset": 0, "replacement": FALLBACK}


def test_openai_calls_tools(openai: Seen) -> None:
    (call,) = openai["tools"]["call"]["choices"][0]["message"]["tool_calls"]

    assert call["function"] == {"name": "weather", "arguments": '{"city": "Paris"}'}
    assert openai["tools"]["call"]["choices"][0]["finish_reason"] == "tool_calls"
    assert openai["tools"]["told"] == "Sunny."
    assert openai["streamed_tools"]["parsed"] == {"city": "Paris"}
    assert "tool_calls.function.arguments.done" in openai["streamed_tools"]["kinds"]


def test_openai_raises_where_a_stream_breaks_off(openai: Seen) -> None:
    broken = openai["broken_off"]

    assert broken["error"] == "APIError"
    assert broken["body"]["code"] == "upstream_unavailable"
    assert broken["text"].startswith("The moon pulls the sea")


def test_openai_reads_structured_answers_models_and_does_it_all_without_waiting(
    openai: Seen,
) -> None:
    assert openai["parsed"] == "blue"
    assert openai["models"]["one"] == "fake-model"
    assert [each["id"] for each in openai["models"]["listed"]] == ["fake-model"]
    assert openai["async"] == {"whole": "Whole.", "parts": "In parts."}


ERRORS = {
    "key": ("AuthenticationError", 401, None, "invalid_api_key"),
    "n": ("BadRequestError", 400, "n", "invalid_field"),
    "logprobs": ("BadRequestError", 400, "logprobs", "invalid_field"),
    "temperature": ("BadRequestError", 400, "temperature", "invalid_field"),
    "image": ("BadRequestError", 400, "messages[0].content[0]", "invalid_field"),
    "cache_salt": ("BadRequestError", 400, "cache_salt", "invalid_field"),
    "policy": ("BadRequestError", 400, "inwit.policy", "invalid_field"),
    "streamed": ("BadRequestError", 400, "n", "invalid_field"),
    "too long": ("BadRequestError", 400, "messages", "context_length_exceeded"),
    "unknown upstream": ("BadRequestError", 400, None, "conversation_refused"),
    "model": ("NotFoundError", 404, "model", "model_not_found"),
    "no such model": ("NotFoundError", 404, "model", "model_not_found"),
    "responses": ("NotFoundError", 404, None, "not_found"),
    "embeddings": ("NotFoundError", 404, None, "not_found"),
}


@pytest.mark.parametrize("mistake", ERRORS)
def test_openai_raises_its_own_errors(openai: Seen, mistake: str) -> None:
    seen = openai["errors"][mistake]

    assert (seen["error"], seen["status"], seen["param"], seen["code"]) == ERRORS[mistake]
    assert seen["message"]
    assert seen["request_id"].startswith("req_")


def test_openai_raises_at_a_rate_limit(openai: Seen) -> None:
    seen = openai["limited"]

    assert (seen["error"], seen["status"]) == ("RateLimitError", 429)
    assert seen["code"] == "rate_limit_exceeded"
    assert int(seen["retry_after"]) >= 1


def test_openai_repeats_a_request_and_gets_the_first_answer(openai: Seen) -> None:
    first, again = openai["repeated"]

    assert first == again


def test_langchain_answers_and_streams(langchain: Seen) -> None:
    for way in ("invoked", "streamed"):
        assert langchain[way]["content"] == "How do tides work?"
        assert langchain[way]["finish_reason"] == "stop"
        assert langchain[way]["usage"]["total_tokens"] == 46
    assert langchain["invoked"]["id"].startswith("chatcmpl-resp_")
    assert langchain["header"].startswith("resp_")
    assert langchain["async"] == {"whole": "Whole.", "parts": "In parts."}


def test_langchain_sees_a_block(langchain: Seen) -> None:
    for way in ("blocked", "held"):
        assert (langchain[way]["content"], langchain[way]["refusal"]) == ("", FALLBACK)
        assert langchain[way]["finish_reason"] == "content_filter"
    # It reads no refusal from a stream: docs/openai.md says what to look at.
    assert langchain["streamed_blocked"]["finish_reason"] == "content_filter"
    assert langchain["streamed_blocked"]["content"] == ""
    assert "ContentFilterFinishReasonError" in langchain["structured_blocked"]["kinds"]
    assert langchain["after_a_refusal"] == "Sorry. How do tides work?"


def test_langchain_calls_tools_and_reads_structure(langchain: Seen) -> None:
    wanted = {"name": "weather", "args": {"city": "Paris"}, "id": "call_1", "type": "tool_call"}

    assert langchain["tools"] == {"call": wanted, "told": "Sunny in Paris."}
    assert langchain["streamed_tools"] == [wanted]
    assert langchain["structured"] == "blue"


def test_langchain_raises_what_it_knows(langchain: Seen) -> None:
    assert "BadRequestError" in langchain["n"]["kinds"]
    assert "ContextOverflowError" in langchain["too_long"]["kinds"]
    assert "use_responses_api=False" in langchain["responses"]["words"]


def test_litellm_answers_and_streams(litellm: Seen) -> None:
    assert litellm["plain"]["choices"][0]["message"]["content"] == "How do tides work?"
    assert litellm["plain"]["inwit"]["status"] == "released"
    assert litellm["streamed"]["text"] == "How do tides work?"
    assert litellm["streamed"]["finish_reason"] == ["stop"]
    assert litellm["streamed"]["usage"][-1]["total_tokens"] == 46
    assert litellm["async"] == "Whole."


def test_litellm_sees_a_block(litellm: Seen) -> None:
    for way in ("blocked", "held"):
        (choice,) = litellm[way]["choices"]
        assert choice["finish_reason"] == "content_filter"
        assert choice["message"]["content"] is None
        assert choice["message"]["provider_specific_fields"] == {"refusal": FALLBACK}
    assert litellm["streamed_blocked"]["finish_reason"] == ["content_filter"]
    assert litellm["streamed_blocked"]["text"] == ""
    assert litellm["after_a_refusal"] == "Sorry. How do tides work?"


def test_litellm_calls_tools(litellm: Seen) -> None:
    arguments = '{"city": "Paris"}'

    assert litellm["tools"] == {"arguments": arguments, "told": "Sunny.", "told_again": "Sunny."}
    assert litellm["streamed_tools"] == {"name": "weather", "arguments": arguments}


def test_litellm_raises_what_it_knows(litellm: Seen) -> None:
    assert "AuthenticationError" in litellm["key"]["kinds"]
    assert "BadRequestError" in litellm["n"]["kinds"]
    assert "NotFoundError" in litellm["model"]["kinds"]
    assert "ContextWindowExceededError" in litellm["too_long"]["kinds"]
