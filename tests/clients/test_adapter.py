"""A conscience adapter reviews and never writes, on vLLM by its name, on llama.cpp by its scale."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from inwit.clients.openai_compatible import Adapter, OpenAICompatible
from inwit.errors import InvalidField, UpstreamError
from inwit.pipeline.conscience import Conscience
from inwit.pipeline.exchange import exchange_for
from inwit.policy.loader import PACKAGED, load_policy
from inwit.types import Candidate, Generation, Message
from tests.fakes import MODEL, FakeModel
from tests.fakes_server import FakeServer

ADAPTER = "inwit-conscience-1"
ASKED = (Message("user", "How do tides work?"),)
GENERATION = Generation(ASKED, MODEL, 64, "acme")
REVIEW = load_policy(PACKAGED / "default.yaml").review

SERVED, BESIDE = Adapter(ADAPTER), Adapter(ADAPTER, beside=True)


@asynccontextmanager
async def connected(
    adapter: Adapter | None, **server: object
) -> AsyncGenerator[tuple[OpenAICompatible, FakeServer]]:
    async with FakeServer(**server).running() as running:  # pyright: ignore[reportArgumentType]
        client = OpenAICompatible(running.base_url, adapter=adapter)
        await client.open()
        try:
            yield client, running
        finally:
            await client.close()


async def test_vllm_reviews_by_the_adapters_name_and_writes_by_the_models() -> None:
    async with connected(SERVED, adapters=(ADAPTER,)) as (client, server):
        found = await client.probe()
        server.bodies.clear()
        await client.generate(GENERATION)
        await client.next_token(ASKED, client.reviewer_of(MODEL), "acme")
        await client.structured(ASKED, {}, MODEL, "acme", 8)

        assert (found.models, found.reviewers) == ((MODEL,), (ADAPTER,))
        assert [body["model"] for body in server.bodies] == [MODEL, ADAPTER, MODEL]
        assert not [body for body in server.bodies if "lora" in body]
        assert await client.alive()


async def test_no_caller_can_have_the_adapter_write() -> None:
    async with connected(SERVED, adapters=(ADAPTER,)) as (client, _):
        await client.probe()

        assert client.resolve(None) == MODEL
        with pytest.raises(InvalidField):
            client.resolve(ADAPTER)


async def test_the_probe_asks_the_adapter_for_its_log_probabilities() -> None:
    async with connected(SERVED, adapters=(ADAPTER,)) as (client, server):
        await client.probe()

        assert {body["model"] for body in server.bodies} == {ADAPTER}


@pytest.mark.parametrize(("model", "adapters"), [(MODEL, ("another",)), (ADAPTER, ())])
async def test_an_adapter_that_is_not_served_beside_a_model_is_told(
    model: str, adapters: tuple[str, ...]
) -> None:
    async with connected(SERVED, model=model, adapters=adapters) as (client, _):
        with pytest.raises(UpstreamError, match="INWIT_CONSCIENCE_MODEL is 'inwit-conscience-1'"):
            await client.probe()


async def test_llama_cpp_is_told_in_each_request_how_much_of_it_works() -> None:
    calls: list[tuple[Callable[[OpenAICompatible], Awaitable[object]], float]] = [
        (lambda client: client.generate(GENERATION), 0.0),
        (lambda client: client.next_token(ASKED, ADAPTER, "acme"), 1.0),
        (lambda client: client.structured(ASKED, {}, MODEL, "acme", 8), 0.0),
    ]
    async with connected(BESIDE, owned_by="llamacpp") as (client, server):
        for call, scale in calls:
            await call(client)
            assert server.bodies[-1]["lora"] == [{"id": 0, "scale": scale}]


async def test_what_a_caller_sends_beside_does_not_reach_the_scale() -> None:
    meant = Generation(ASKED, MODEL, 64, "acme", extra={"lora": [{"id": 0, "scale": 1.0}]})
    async with connected(BESIDE, owned_by="llamacpp") as (client, server):
        await client.generate(meant)

        assert server.bodies[-1]["lora"] == [{"id": 0, "scale": 0.0}]


async def test_without_an_adapter_the_model_reviews_itself() -> None:
    async with connected(None) as (client, server):
        await client.next_token(ASKED, client.reviewer_of(MODEL), "acme")

        assert server.bodies[-1]["model"] == MODEL
        assert "lora" not in server.bodies[-1]


@pytest.mark.parametrize(("adapter", "reviewer"), [(None, MODEL), (ADAPTER, ADAPTER)])
async def test_a_verdict_names_what_reviewed(adapter: str | None, reviewer: str) -> None:
    exchange = exchange_for(ASKED, Candidate("The moon.", MODEL), "t")

    verdict = await Conscience(FakeModel(adapter=adapter)).judge(REVIEW, exchange, MODEL, 1.0)

    assert verdict.model == reviewer
