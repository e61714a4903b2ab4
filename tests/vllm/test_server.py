"""What Inwit relies on in vLLM, asked of vLLM itself: these fail when a new version changes it."""

import asyncio
import math
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from tests.vllm.server import VllmServer

pytestmark = pytest.mark.vllm

Json = dict[str, Any]

HITS = "vllm:prefix_cache_hits_total"
QUERIES = "vllm:prefix_cache_queries_total"
RUNNING = "vllm:num_requests_running"
GENERATED = "vllm:generation_tokens_total"
BLOCK = 32  # tokens; --block-size of scripts/vllm/serve.sh

CONVERSATION: list[Json] = [
    {"role": "system", "content": "You work in a bicycle shop and answer in plain words. " * 6},
    {"role": "user", "content": "How do I mend a flat tyre, and which tools do I need? " * 3},
]
QUESTION: Json = {
    "role": "user",
    "content": "Did your last answer contain anything harmful? Answer Yes or No.",
}
VERDICT: Json = {
    "max_tokens": 1,
    "temperature": 0,
    "logprobs": True,
    "top_logprobs": 20,
    "priority": -1,
}


def salt() -> str:
    return uuid.uuid4().hex


async def ask(http: aiohttp.ClientSession, **request: Any) -> tuple[int, Json]:
    """Status and body of one chat completion."""
    body = {"model": "smollm2", "max_tokens": 1, "temperature": 0, **request}
    async with http.post("/v1/chat/completions", json=body) as response:
        return response.status, await response.json()


async def complete(http: aiohttp.ClientSession, **request: Any) -> Json:
    status, body = await ask(http, **request)
    assert status == 200, body
    return body


async def eventually(check: Callable[[], Awaitable[bool]], within: float = 240.0) -> None:
    async with asyncio.timeout(within):
        while not await check():  # noqa: ASYNC110 - what is awaited happens in another process
            await asyncio.sleep(0.05)


def first_token(answer: Json) -> dict[str, float]:
    """The log-probabilities of the first token's alternatives, by spelling."""
    alternatives = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    return {each["token"]: each["logprob"] for each in alternatives}


async def test_the_model_list_tells_the_context_length(vllm_http: aiohttp.ClientSession) -> None:
    async with vllm_http.get("/v1/models") as response:
        models = (await response.json())["data"]

    assert [(model["id"], model["max_model_len"]) for model in models] == [("smollm2", 4096)]


async def test_one_token_carries_the_log_probabilities_of_both_answer_words(
    vllm_http: aiohttp.ClientSession,
) -> None:
    question: Json = {"role": "user", "content": "Is ice cold? Answer only with Yes or No."}

    answer = await complete(vllm_http, messages=[question], cache_salt=salt(), **VERDICT)

    alternatives = first_token(answer)
    assert answer["usage"]["completion_tokens"] == 1
    assert len(alternatives) == 20
    assert {"Yes", "No"} <= alternatives.keys()
    assert 0 < sum(math.exp(value) for value in alternatives.values()) <= 1 + 1e-4


async def test_log_probabilities_do_not_depend_on_the_temperature(
    vllm_http: aiohttp.ClientSession,
) -> None:
    question: Json = {"role": "user", "content": "Is ice cold? Answer only with Yes or No."}

    cold = first_token(await complete(vllm_http, messages=[question], **VERDICT))
    warm = first_token(
        await complete(vllm_http, messages=[question], **{**VERDICT, "temperature": 1.7})
    )

    assert warm["Yes"] == pytest.approx(cold["Yes"], abs=1e-3)
    assert warm["No"] == pytest.approx(cold["No"], abs=1e-3)


async def test_a_review_reuses_the_conversation_only_under_the_same_salt(
    vllm_server: VllmServer,
    vllm_http: aiohttp.ClientSession,
    record_property: Callable[[str, object], None],
) -> None:
    tenant = salt()
    started = time.monotonic()
    generation = await complete(
        vllm_http, messages=CONVERSATION, cache_salt=tenant, max_tokens=200, ignore_eos=True
    )
    record_property("generation of 200 tokens, ms", round((time.monotonic() - started) * 1000))
    candidate: Json = {
        "role": "assistant",
        "content": generation["choices"][0]["message"]["content"],
    }
    review = [*CONVERSATION, candidate, QUESTION]
    await complete(vllm_http, messages=review, cache_salt=salt(), **VERDICT)  # warm, not counted

    async def reused(cache_salt: str) -> tuple[float, float]:
        hits, queries = await vllm_server.counter(HITS), await vllm_server.counter(QUERIES)
        started = time.monotonic()
        answer = await complete(vllm_http, messages=review, cache_salt=cache_salt, **VERDICT)
        name = "shared" if cache_salt == tenant else "not shared"
        record_property(f"review, prefix {name}, ms", round((time.monotonic() - started) * 1000))
        prompt = answer["usage"]["prompt_tokens"]

        async def counted() -> bool:
            return await vllm_server.counter(QUERIES) == queries + prompt

        await eventually(counted)
        return await vllm_server.counter(HITS) - hits, prompt

    hits, prompt = await reused(tenant)
    assert generation["usage"]["prompt_tokens"] < hits < prompt  # the candidate too, not all of it
    assert hits % BLOCK == 0

    hits, _ = await reused(salt())
    assert hits == 0


@pytest.mark.parametrize("stream", [False, True])
async def test_a_closed_connection_ends_the_generation(
    vllm_server: VllmServer, vllm_http: aiohttp.ClientSession, stream: bool
) -> None:
    before = await vllm_server.counter(GENERATED)

    async def generate() -> bytes:
        body = {
            "model": "smollm2",
            "messages": CONVERSATION,
            "max_tokens": 2000,
            "ignore_eos": True,
            "stream": stream,
        }
        async with vllm_http.post("/v1/chat/completions", json=body) as response:
            return await response.read()

    async def running() -> bool:
        return (
            await vllm_server.counter(RUNNING) == 1
            and await vllm_server.counter(GENERATED) > before
        )

    async def idle() -> bool:
        return await vllm_server.counter(RUNNING) == 0

    request = asyncio.create_task(generate())
    await eventually(running)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    await eventually(idle)

    assert 0 < await vllm_server.counter(GENERATED) - before < 2000


@pytest.mark.parametrize(
    ("request_", "status", "parameter"),
    [
        ({"messages": [{"role": "user", "content": "word " * 5000}]}, 400, "input_tokens"),
        ({"max_tokens": 5000}, 400, "max_tokens"),
        ({"logprobs": True, "top_logprobs": 21}, 400, "logprobs"),
        ({"model": "nobody"}, 404, "model"),
        ({"priority": "high"}, 400, "body.priority"),
    ],
)
async def test_a_refusal_names_the_parameter(
    vllm_http: aiohttp.ClientSession, request_: Json, status: int, parameter: str
) -> None:
    answered, body = await ask(vllm_http, **{"messages": [QUESTION], **request_})

    assert (answered, body["error"]["code"]) == (status, status)
    assert body["error"]["param"] == parameter


async def test_a_prompt_that_is_too_long_is_told_with_the_limit(
    vllm_http: aiohttp.ClientSession,
) -> None:
    _, body = await ask(vllm_http, messages=[{"role": "user", "content": "word " * 5000}])

    assert "maximum context length is 4096 tokens" in body["error"]["message"]


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([QUESTION, QUESTION], id="two user turns in a row"),
        pytest.param([{"role": "user", "content": ""}], id="empty content"),
        pytest.param([{"role": "wizard", "content": "Hello"}], id="unknown role"),
    ],
)
async def test_what_vllm_lets_through(
    vllm_http: aiohttp.ClientSession, messages: list[Json]
) -> None:
    """The gateway must refuse the last two itself: vLLM answers them, unknown fields as well."""
    answer = await complete(vllm_http, messages=messages, no_such_field=1)

    assert answer["usage"]["completion_tokens"] == 1
