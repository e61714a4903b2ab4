"""The embedded model for real: its server, its log-probabilities, its control tokens."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from inwit.adapters import ADAPTER_NAME, GGUF_FILE
from inwit.clients.embedded.model import embedded_model
from inwit.clients.embedded.model_server import CONTEXT
from inwit.clients.openai_compatible import OpenAICompatible
from inwit.config import NO_ADAPTER, PACKAGED_ADAPTER
from inwit.errors import ConversationTooLong, SetupError
from inwit.pipeline.conscience import Conscience, frame
from inwit.pipeline.exchange import exchange_for
from inwit.policy.loader import PACKAGED, load_policy
from inwit.types import Candidate, Generation, Message, Verdict

pytestmark = pytest.mark.process

REVIEW = load_policy(PACKAGED / "default.yaml").review


@asynccontextmanager
async def serving(
    folder: Path, conscience: str = PACKAGED_ADAPTER
) -> AsyncGenerator[tuple[OpenAICompatible, str]]:
    async with embedded_model(None, folder / "log", conscience) as served:
        client = OpenAICompatible(
            served.base_url, model=served.name, api_key=served.api_key, adapter=served.adapter
        )
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


async def test_the_adapter_reviews_and_what_is_written_stays_the_base_models(
    tmp_path: Path,
) -> None:
    """With and without it loaded, before a review by it and after one."""
    asked = (Message("user", "How do I keep a wooden boat dry in winter?"),)
    texts: list[str] = []
    verdicts: list[Verdict] = []
    for conscience in (NO_ADAPTER, PACKAGED_ADAPTER):
        async with serving(tmp_path, conscience) as (client, name):
            wanted = Generation(asked, name, 24, "t", temperature=0.0)
            for _ in range(2):
                candidate = await client.generate(wanted)
                exchange = exchange_for(asked, candidate, "t")
                texts.append(candidate.text)
                verdicts.append(await Conscience(client).judge(REVIEW, exchange, name, 240))

    assert len(set(texts)) == 1
    assert [each.model for each in verdicts] == [name, name, ADAPTER_NAME, ADAPTER_NAME]
    # By itself the model finds what it has just worked on; the adapter cannot (decision 0026).
    assert verdicts[0].usage.cached_tokens > 0
    risks = [each.risk for each in verdicts]
    assert risks[2] == risks[3]  # nothing is left of the writing in between
    assert risks[1] != pytest.approx(risks[2], abs=0.01)


async def test_an_adapter_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"INWIT_EMBEDDED_CONSCIENCE is 'nowhere\.gguf'"):
        async with serving(tmp_path, "nowhere.gguf"):
            pass


async def test_an_adapter_of_your_own_is_named_by_what_is_in_it(tmp_path: Path) -> None:
    own = tmp_path / "Mine.gguf"
    own.write_bytes(GGUF_FILE.read_bytes())

    async with serving(tmp_path, str(own)) as (client, name):
        assert client.reviewer_of(name).startswith("mine-")


async def _tokens(client: OpenAICompatible, name: str, text: str) -> int:
    exchange = exchange_for((Message("user", "hi"),), Candidate(f"fine {text}", name), "t")
    messages = frame(REVIEW.framing, REVIEW.question, exchange)
    return (await client.next_token(messages, name, "t")).usage.prompt_tokens
