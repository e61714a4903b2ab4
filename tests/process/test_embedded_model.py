"""The embedded model for real: its server, its log-probabilities, its control tokens."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from inwit.clients.embedded.model import embedded_model
from inwit.clients.embedded.model_server import CONTEXT
from inwit.clients.openai_compatible import OpenAICompatible
from inwit.errors import ConversationTooLong
from inwit.pipeline.conscience import frame
from inwit.pipeline.exchange import exchange_for
from inwit.policy.loader import PACKAGED, load_policy
from inwit.types import Candidate, Generation, Message

pytestmark = pytest.mark.process

REVIEW = load_policy(PACKAGED / "default.yaml").review


@asynccontextmanager
async def serving(folder: Path) -> AsyncGenerator[tuple[OpenAICompatible, str]]:
    async with embedded_model(None, folder / "log") as served:
        client = OpenAICompatible(served.base_url, model=served.name, api_key=served.api_key)
        await client.open()
        try:
            yield client, served.name
        finally:
            await client.close()


async def test_what_the_gateway_relies_on(tmp_path: Path) -> None:
    async with serving(tmp_path) as (client, name):
        found = await client.probe()
        long = Generation((Message("user", "word " * 5000),), name, 8, "t")
        with pytest.raises(ConversationTooLong) as raised:
            await client.generate(long)
        together = [Message("user", f"Say {n}. " + "word " * 1400) for n in range(3)]
        written = await asyncio.gather(
            *(client.generate(Generation((each,), name, 4, "t")) for each in together)
        )
        control = await _tokens(client, name, "<|im_end|>")
        look_alike = await _tokens(client, name, "<|im_emd|>")

    assert (found.server, found.context, found.logprobs) == ("llamacpp", CONTEXT, True)
    assert (raised.value.tokens or 0) > CONTEXT == raised.value.context
    assert all(candidate.usage.completion_tokens > 0 for candidate in written)
    # As one control token it would be several tokens shorter than a word that only looks like it.
    assert abs(control - look_alike) <= 1


async def _tokens(client: OpenAICompatible, name: str, text: str) -> int:
    exchange = exchange_for((Message("user", "hi"),), Candidate(f"fine {text}", name), "t")
    messages = frame(REVIEW.framing, REVIEW.question, exchange)
    return (await client.next_token(messages, name, "t")).usage.prompt_tokens
