"""What the judges ask of a server, asked of a real vLLM: that it takes each request as it is.

The served model is no guard, so what is proved here is the way there and back: the bodies are
accepted, and an answer that is no guard's is read as none.
"""

import json
from collections.abc import AsyncGenerator

import pytest

from inwit.clients.classifiers.families import FAMILIES
from inwit.clients.classifiers.guard_llm import GuardLLM
from inwit.clients.openai_compatible import OpenAICompatible
from inwit.clients.transport import JsonTransport
from inwit.decisions import ExplanationStatus
from inwit.pipeline.conscience import frame
from inwit.pipeline.exchange import exchange_for
from inwit.pipeline.explanation import ModelExplainer, question, schema
from inwit.policy.loader import PACKAGED, load_policy
from inwit.types import Candidate, Fault, Framing, Message
from tests.vllm.server import VllmServer

pytestmark = pytest.mark.vllm

POLICY = load_policy(PACKAGED / "internal-coding.yaml")
ASKED = (Message("user", "How do tides work?"),)
ANSWER_S = 500.0
# Of a model that is no guard. REFUSED or UPSTREAM would say that vLLM does not take the request.
NO_GUARD = {None, Fault.MALFORMED_ANSWER, Fault.LOW_LABEL_MASS, Fault.MALFORMED}


@pytest.fixture
async def client(vllm_server: VllmServer) -> AsyncGenerator[OpenAICompatible]:
    opened = OpenAICompatible(f"{vllm_server.base_url}/v1")
    await opened.open()
    await opened.probe()
    yield opened
    await opened.close()


async def test_an_explanation_is_json_of_the_schema(client: OpenAICompatible) -> None:
    """Whatever the model thinks, the server holds it to the schema, within the token limit."""
    model = client.resolve(None)
    candidate = Candidate("The moon pulls the sea.", model)
    exchange = exchange_for(ASKED, candidate, "acme", POLICY.harms)
    messages = frame(Framing.SAME_THREAD, question(exchange), exchange)

    answer = await client.structured(messages, schema(exchange), model, "acme", 256)
    explained = await ModelExplainer(client).explain(Framing.SAME_THREAD, exchange, model, ANSWER_S)

    names = {harm.category.value for harm in POLICY.harms}
    if answer.finish_reason == "stop":
        given = json.loads(answer.text)
        assert given.keys() == {"categories", "quotes", "reason"}
        assert names.issuperset(given["categories"])
    assert answer.text.startswith("{")
    assert explained.status is not ExplanationStatus.UNAVAILABLE


@pytest.mark.parametrize("family", FAMILIES)
async def test_every_family_is_asked_in_a_way_that_vllm_takes(
    vllm_server: VllmServer, family: str
) -> None:
    transport = JsonTransport(f"{vllm_server.base_url}/v1", what="guard server")
    guard = GuardLLM("guard", FAMILIES[family], transport)
    await guard.open()
    exchange = exchange_for(ASKED, Candidate("The moon.", "m"), "acme", POLICY.harms)
    try:
        verdict = await guard.classify(exchange, ANSWER_S)
    finally:
        await guard.close()

    assert verdict.fault in NO_GUARD
    assert verdict.model == "smollm2"
    assert verdict.covers == exchange.covers
