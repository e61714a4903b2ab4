"""Rate limits at every door; how they count is tests/clients/test_rate_limits.py's."""

import json

import pytest

from tests.clients.test_rate_limits import clock as clock
from tests.conftest import ASK, MakeCaller
from tests.fakes import FakeModel

# A minute that ends in between would let the second request in.
pytestmark = pytest.mark.usefixtures("clock")

CHAT = {"model": "fake-model", **ASK}
CHECK = {**ASK, "candidate": "The moon pulls the sea."}
GUARD = {"texts": ["The moon pulls the sea."], "input_type": "response"}
DOORS = {
    "/v1/respond": ASK,
    "/v1/chat/completions": CHAT,
    "/v1/check": CHECK,
    "/beta/litellm_basic_guardrail_api": GUARD,
}


@pytest.mark.parametrize("path", DOORS)
async def test_a_key_that_asks_too_often_is_told_when_to_come_back(
    make_caller: MakeCaller, path: str
) -> None:
    model = FakeModel()
    caller = await make_caller(model, rate_limits={"key": {"requests": 1}})
    first = await caller.http.post(path, json=DOORS[path])
    asked = len(model.reviews)

    refused = await caller.http.post(path, json=DOORS[path])

    assert first.status_code == 200, first.text
    assert first.headers["ratelimit-policy"] == '"key-requests";q=1;w=60'
    assert first.headers["ratelimit"].startswith('"key-requests";r=0;t=')
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.headers["ratelimit"].startswith('"key-requests";r=0;t=')
    assert len(model.reviews) == asked
    body = refused.json()
    if path == "/v1/chat/completions":
        assert body["error"]["type"] == "rate_limit_error"
    else:
        assert body["type"] == "urn:inwit:problem:rate-limited"


@pytest.mark.parametrize("path", DOORS)
async def test_what_was_used_counts_for_the_next_request(
    make_caller: MakeCaller, path: str
) -> None:
    caller = await make_caller(rate_limits={"tenant": {"tokens": 10}})
    assert (await caller.http.post(path, json=DOORS[path])).status_code == 200
    await caller.background.idle()

    refused = await caller.http.post(path, json=DOORS[path])

    assert refused.status_code == 429
    assert "token" in json.dumps(refused.json())


async def test_a_stream_is_limited_and_counted_too(make_caller: MakeCaller) -> None:
    caller = await make_caller(rate_limits={"tenant": {"tokens": 10}})
    first = await caller.respond({**ASK, "stream": True})
    await caller.background.idle()

    refused = await caller.respond({**ASK, "stream": True})

    assert first.headers["ratelimit-policy"] == '"tenant-tokens";q=10;qu="tokens";w=60'
    assert (first.status_code, refused.status_code) == (200, 429)


async def test_without_limits_no_header_speaks_of_any(make_caller: MakeCaller) -> None:
    caller = await make_caller()

    assert "ratelimit" not in (await caller.respond()).headers
