"""JSON over HTTP to servers that misbehave; test_openai_compatible.py tests the same by use."""

from collections.abc import AsyncGenerator

import pytest

from inwit.clients.transport import JsonTransport
from inwit.errors import (
    ConversationTooLong,
    InwitError,
    UpstreamError,
    UpstreamRefused,
    UpstreamUnavailable,
)
from tests.fakes_classifiers import FakeHttp, Manner

SECRET = "a word that was in the conversation"


@pytest.fixture
async def server() -> AsyncGenerator[FakeHttp]:
    async with FakeHttp(answer={"said": SECRET}).running() as running:
        yield running


@pytest.fixture
async def transport(server: FakeHttp) -> AsyncGenerator[JsonTransport]:
    opened = JsonTransport(
        server.base_url + "/v1/",
        api_key="key",
        what="night watch",
        key_setting="INWIT_WATCH_KEY",
        max_answer_bytes=1000,
    )
    await opened.open()
    yield opened
    await opened.close()


async def test_a_body_goes_and_an_answer_comes(transport: JsonTransport, server: FakeHttp) -> None:
    raw = await transport.send("POST", "/look", {"a": 1})

    assert SECRET.encode() in raw
    assert (server.paths, server.bodies) == (["/v1/look"], [{"a": 1}])
    assert server.headers[0]["Authorization"] == "Bearer key"
    assert server.headers[0]["Accept-Encoding"] == "identity"


async def test_cookies_are_not_kept(server: FakeHttp) -> None:
    server.answer_headers = {"Set-Cookie": "who=me"}
    # By name: cookies of bare addresses are not kept by anybody.
    transport = JsonTransport(server.base_url.replace("127.0.0.1", "localhost"))
    await transport.open()
    try:
        for _ in range(2):
            await transport.send("GET", "/look", None)
    finally:
        await transport.close()

    assert server.bodies == [None, None]
    assert all("Cookie" not in headers for headers in server.headers)


REFUSALS: dict[int, tuple[type[InwitError], str]] = {
    302: (UpstreamError, "The night watch answered 302."),
    400: (UpstreamRefused, "The night watch refuses this conversation"),
    401: (UpstreamError, r"The night watch refuses Inwit's credentials \(INWIT_WATCH_KEY\)"),
    404: (UpstreamError, "The night watch answered 404."),
    429: (UpstreamUnavailable, "The night watch refuses for now."),
    500: (UpstreamError, "The night watch answered 500."),
}


@pytest.mark.parametrize("status", REFUSALS)
async def test_a_refusal_names_the_server_and_quotes_nothing(
    transport: JsonTransport, server: FakeHttp, status: int
) -> None:
    server.status = status
    server.answer_headers = {"Location": f"{server.base_url}/elsewhere"}
    kind, words = REFUSALS[status]

    with pytest.raises(UpstreamError, match=words) as raised:
        await transport.send("POST", "/look", {})

    assert type(raised.value) is kind
    assert SECRET not in str(raised.value)
    assert server.paths == ["/v1/look"]  # neither followed nor sent again


@pytest.mark.parametrize("manner", ["hang_up", "cut"])
@pytest.mark.parametrize(("repeatable", "sent"), [(False, 1), (True, 2)])
async def test_a_broken_connection_is_tried_again_where_that_is_safe(
    transport: JsonTransport, server: FakeHttp, manner: Manner, repeatable: bool, sent: int
) -> None:
    server.manner = manner

    with pytest.raises(UpstreamUnavailable, match="The night watch cannot be reached"):
        await transport.send("POST", "/look", {}, repeatable=repeatable)

    assert len(server.paths) == sent


async def test_an_answer_without_end_is_cut_off(transport: JsonTransport, server: FakeHttp) -> None:
    server.manner = "endless"

    with pytest.raises(UpstreamError, match="The night watch's answer is too large"):
        await transport.send("POST", "/look", {})


@pytest.mark.parametrize(("size", "fits"), [(1000, True), (1001, False)])
async def test_the_bound_is_exact(
    transport: JsonTransport, server: FakeHttp, size: int, fits: bool
) -> None:
    server.answer = b" " * size

    if fits:
        assert len(await transport.send("POST", "/look", {})) == size
    else:
        with pytest.raises(UpstreamError, match="too large"):
            await transport.send("POST", "/look", {})


async def test_what_is_compressed_against_our_wish_is_not_unpacked(
    transport: JsonTransport, server: FakeHttp
) -> None:
    server.answer = b"\x1f\x8b not really"
    server.answer_headers = {"Content-Encoding": "gzip"}

    assert await transport.send("POST", "/look", {}) == server.answer


async def test_too_long_comes_with_the_counts(transport: JsonTransport, server: FakeHttp) -> None:
    server.status = 413
    server.answer = {"error": "maximum context length is 4096 tokens, you requested 5000 tokens"}

    with pytest.raises(ConversationTooLong) as raised:
        await transport.send("POST", "/look", {})

    assert (raised.value.tokens, raised.value.context) == (5000, 4096)


async def test_a_closed_transport_says_so(transport: JsonTransport) -> None:
    await transport.close()

    with pytest.raises(UpstreamUnavailable, match="night watch is closed"):
        await transport.send("GET", "/look", None)
    with pytest.raises(UpstreamUnavailable, match="model server is closed"):
        await JsonTransport("http://127.0.0.1:9").send("GET", "/look", None)
