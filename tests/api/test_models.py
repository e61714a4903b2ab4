"""`GET /v1/models`: what the model server serves, in OpenAI's shape."""

from dataclasses import replace

import httpx

from inwit.app import create_app
from inwit.clients.openai_compatible import Capabilities
from inwit.types import KeyRole
from tests.api.chats import refusal_in
from tests.conftest import Caller, MakeCaller

FOUND = Capabilities(
    server="vllm",
    models=("fake-model", "org/model-7b"),
    reviewers=("fake-model", "org/model-7b"),
    context=4096,
    logprobs=True,
    priority=True,
    cache_salt=True,
)


def listing(caller: Caller, found: Capabilities | None = FOUND) -> httpx.AsyncClient:
    """The same gateway, behind which the model server was found to be `found`."""
    gateway = replace(caller.gateway, capabilities=lambda: found)
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(gateway)),
        base_url="http://inwit",
        headers=caller.http.headers,
    )


async def test_the_served_models_are_listed(make_caller: MakeCaller) -> None:
    async with listing(await make_caller()) as http:
        body = (await http.get("/v1/models")).json()

    one, other = body["data"]
    assert body["object"] == "list"
    assert one == {"id": "fake-model", "object": "model", "created": 0, "owned_by": "vllm"}
    assert other["id"] == "org/model-7b"


async def test_one_model_is_found_by_its_name(make_caller: MakeCaller) -> None:
    async with listing(await make_caller()) as http:
        plain = await http.get("/v1/models/fake-model")
        slashed = await http.get("/v1/models/org/model-7b")
        quoted = await http.get("/v1/models/org%2Fmodel-7b")
        unknown = await http.get("/v1/models/nowhere")

    assert plain.json()["id"] == "fake-model"
    assert slashed.json() == quoted.json()
    assert slashed.json()["id"] == "org/model-7b"
    error = refusal_in(unknown, 404)
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert "fake-model, org/model-7b" in error["message"]


async def test_listing_needs_a_key_that_may_ask(make_caller: MakeCaller) -> None:
    auditor = await make_caller(roles=(KeyRole.AUDIT,))
    async with listing(auditor) as http:
        forbidden = await http.get("/v1/models")
        nobody = await http.get("/v1/models/fake-model", headers={"authorization": ""})

    assert refusal_in(forbidden, 403)["type"] == "permission_error"
    assert refusal_in(nobody, 401)["code"] == "invalid_api_key"


async def test_a_model_server_that_was_never_reached_is_503(make_caller: MakeCaller) -> None:
    async with listing(await make_caller(), found=None) as http:
        answer = await http.get("/v1/models")

    assert refusal_in(answer, 503)["code"] == "upstream_unavailable"
    assert answer.headers["retry-after"] == "2"


async def test_other_methods_are_refused_in_openais_envelope(make_caller: MakeCaller) -> None:
    async with listing(await make_caller()) as http:
        deleted = await http.delete("/v1/models/fake-model")

    assert refusal_in(deleted, 405)["code"] == "method_not_allowed"
