"""The model client against a real HTTP server on loopback that misbehaves in every way."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from inwit.clients.openai_compatible import OpenAICompatible
from inwit.errors import (
    ConversationTooLong,
    InvalidField,
    InwitError,
    UpstreamError,
    UpstreamUnavailable,
)
from inwit.types import Generation, Message, TokenScore
from tests.fakes import MODEL
from tests.fakes_server import Behaviour, FakeServer

ASKED = (Message("user", "How do tides work?"),)
GENERATION = Generation(ASKED, MODEL, 64, "acme", temperature=0.5, seed=7)


@pytest.fixture
async def server() -> AsyncGenerator[FakeServer]:
    async with FakeServer().running() as running:
        yield running


@pytest.fixture
async def client(server: FakeServer) -> AsyncGenerator[OpenAICompatible]:
    opened = OpenAICompatible(server.base_url, api_key="secret")
    await opened.open()
    yield opened
    await opened.close()


async def test_a_candidate(client: OpenAICompatible, server: FakeServer) -> None:
    candidate = await client.generate(GENERATION)

    assert candidate.text == server.text
    assert (candidate.usage.prompt_tokens, candidate.usage.completion_tokens) == (12, 34)
    (body,) = server.bodies
    assert (body["max_tokens"], body["temperature"], body["seed"]) == (64, 0.5, 7)
    assert server.headers[0]["Authorization"] == "Bearer secret"


async def test_the_next_token(client: OpenAICompatible, server: FakeServer) -> None:
    answer = await client.next_token(ASKED, MODEL, "acme")

    assert [score.token for score in answer.top] == ["Yes", "No"]
    assert isinstance(answer.top[0], TokenScore)
    (body,) = server.bodies
    assert (body["max_tokens"], body["logprobs"], body["top_logprobs"]) == (1, True, 20)


async def test_vllm_is_asked_for_all_it_can_do(
    client: OpenAICompatible, server: FakeServer
) -> None:
    found = await client.probe()
    server.bodies.clear()

    await client.generate(GENERATION)
    await client.next_token(ASKED, MODEL, "acme")
    await client.next_token(ASKED, MODEL, "other")

    assert (found.server, found.context, found.models) == ("vllm", 4096, (MODEL,))
    assert (found.logprobs, found.priority, found.cache_salt) == (True, True, True)
    generate, review, other = server.bodies
    assert "priority" not in generate
    assert review["priority"] < 0  # lower is earlier: a review goes ahead of generations
    assert generate["cache_salt"] == review["cache_salt"] != other["cache_salt"]


@pytest.mark.parametrize("field", ["priority", "cache_salt"])
async def test_what_the_server_refuses_is_left_out(
    client: OpenAICompatible, server: FakeServer, field: str
) -> None:
    server.refused_fields = frozenset({field})

    await client.probe()
    await client.next_token(ASKED, MODEL, "acme")

    assert field not in server.bodies[-1]


async def test_a_server_that_ignores_unknown_fields_is_not_taken_for_vllm(
    client: OpenAICompatible, server: FakeServer
) -> None:
    server.owned_by = "llamacpp"

    found = await client.probe()

    assert (found.priority, found.cache_salt) == (False, False)


async def test_a_server_without_log_probabilities_is_known_for_it(
    client: OpenAICompatible, server: FakeServer
) -> None:
    server.review = "no_logprobs"

    assert (await client.probe()).logprobs is False


async def test_the_model_that_is_set_must_be_served(server: FakeServer) -> None:
    client = OpenAICompatible(server.base_url, model="other")
    await client.open()
    try:
        with pytest.raises(UpstreamError, match=f"served are: {MODEL}"):
            await client.probe()
    finally:
        await client.close()


async def test_a_model_that_is_not_served_is_the_callers_mistake(client: OpenAICompatible) -> None:
    with pytest.raises(UpstreamUnavailable):
        client.resolve(None)
    await client.probe()

    assert client.resolve(None) == MODEL
    with pytest.raises(InvalidField) as raised:
        client.resolve("nope")
    assert raised.value.errors[0].field == "model"


FAILURES: dict[Behaviour, type[InwitError]] = {
    "error_500": UpstreamError,
    "refuse_429": UpstreamUnavailable,
    "too_long": ConversationTooLong,
    "garbage": UpstreamError,
    "cut": UpstreamUnavailable,
    "hang_up": UpstreamUnavailable,
    "huge": UpstreamError,
    "no_choices": UpstreamError,
    "wrong_types": UpstreamError,
}


@pytest.mark.parametrize("behaviour", FAILURES)
async def test_every_failure_is_one_of_ours_and_quotes_nothing(
    client: OpenAICompatible, server: FakeServer, behaviour: Behaviour
) -> None:
    server.generate = behaviour

    with pytest.raises(InwitError) as raised:
        await client.generate(GENERATION)

    assert type(raised.value) is FAILURES[behaviour]
    assert server.text not in str(raised.value)


async def test_a_refusal_for_now_says_when_to_come_back(
    client: OpenAICompatible, server: FakeServer
) -> None:
    server.generate = "refuse_429"

    with pytest.raises(UpstreamUnavailable) as raised:
        await client.generate(GENERATION)

    assert raised.value.retry_after == 7


async def test_a_number_of_any_length_is_no_bug(
    client: OpenAICompatible, server: FakeServer
) -> None:
    server.retry_after = "9" * 5000
    server.generate = "refuse_429"

    with pytest.raises(UpstreamUnavailable) as raised:
        await client.generate(GENERATION)

    assert raised.value.retry_after == 2


async def test_a_passing_failure_does_not_turn_the_salt_off(
    client: OpenAICompatible, server: FakeServer
) -> None:
    server.failing_fields = frozenset({"cache_salt"})

    with pytest.raises(UpstreamError):
        await client.probe()

    assert client.capabilities is None


async def test_another_model_at_the_same_address_is_noticed(
    client: OpenAICompatible, server: FakeServer
) -> None:
    await client.probe()
    assert await client.alive()

    server.model = "another"

    assert not await client.alive()


async def test_a_conversation_that_is_too_long_comes_with_both_counts(
    client: OpenAICompatible, server: FakeServer
) -> None:
    server.generate = "too_long"

    with pytest.raises(ConversationTooLong) as raised:
        await client.generate(GENERATION)

    assert (raised.value.tokens, raised.value.context) == (5000, 4096)


async def test_a_cancelled_call_is_cancelled_at_the_server(
    client: OpenAICompatible, server: FakeServer
) -> None:
    server.generate = "hang"
    call = asyncio.create_task(client.generate(GENERATION))
    await server.hanging.wait()

    call.cancel()

    async with asyncio.timeout(60):
        await server.cancelled.wait()
    await asyncio.gather(call, return_exceptions=True)


@pytest.mark.parametrize(("call", "sent"), [("generate", 1), ("next_token", 2)])
async def test_only_a_review_is_sent_again_when_the_connection_broke(
    client: OpenAICompatible, server: FakeServer, call: str, sent: int
) -> None:
    server.generate = server.review = "hang_up"
    calls: dict[str, Any] = {
        "generate": lambda: client.generate(GENERATION),
        "next_token": lambda: client.next_token(ASKED, MODEL, "acme"),
    }

    with pytest.raises(UpstreamUnavailable):
        await calls[call]()

    assert len(server.bodies) == sent


async def test_a_server_that_is_not_there() -> None:
    client = OpenAICompatible("http://127.0.0.1:9/v1")
    await client.open()
    try:
        with pytest.raises(UpstreamUnavailable) as raised:
            await client.generate(GENERATION)
        assert raised.value.retry_after
        assert not await client.alive()
    finally:
        await client.close()


async def test_the_trace_goes_on_upstream(client: OpenAICompatible, server: FakeServer) -> None:
    from opentelemetry.context import attach, detach
    from opentelemetry.propagate import extract

    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    token = attach(extract({"traceparent": parent}))
    try:
        await client.generate(GENERATION)
    finally:
        detach(token)

    assert server.headers[0]["traceparent"] == parent
