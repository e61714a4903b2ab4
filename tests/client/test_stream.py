"""`stream` through the wire, by both clients."""

from typing import Any

import httpx
import pytest

from inwit.client import (
    AsyncInwit,
    BadAnswer,
    Decision,
    Delta,
    Done,
    Gone,
    Inwit,
    InwitError,
    NotFound,
    RateLimited,
    Retract,
    StreamBroken,
    Unavailable,
)
from tests.client.conftest import ASK, KEY, Client
from tests.client.server import (
    CALL,
    DECISION,
    DONE,
    END,
    EVENT_STREAM,
    ID,
    TEXT,
    FakeGateway,
    Handler,
    answer,
    breaks,
    decided,
    deltas,
    event,
    refuses,
    replies,
    sends,
    streams,
)

ERROR = event(
    "error",
    {
        "type": "urn:inwit:problem:upstream-unavailable",
        "status": 503,
        "detail": "The model is away.",
        "request_id": "req_theirs",
    },
    "error",
)


async def test_a_stream_ends_with_the_answer_that_json_would_have_given(
    gateway: FakeGateway, client: Client
) -> None:
    first, second = TEXT[:9], TEXT[9:]
    calls = event("delta", {"tool_calls": [CALL]}, "calls")
    rest = event("delta", {"content": second}, "rest")
    gateway.script = [streams(*deltas(first), DECISION, rest, calls, END)]

    told = await client.listen(max_tokens=120)

    assert gateway.seen[0].json == {"messages": ASK, "max_tokens": 120, "stream": True}
    assert [type(each) for each in told.events] == [Delta, Decision, Delta, Delta, Done]
    assert told.texts == [first, first, TEXT, TEXT, TEXT]
    assert told.ended.raw == answer(calls=[CALL])
    assert told.ended.tool_calls[0].name == "look_up"
    assert told.ended.released


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
async def test_a_stream_may_be_cut_anywhere(gateway: FakeGateway, client: Client, end: str) -> None:
    """Inside a character, inside CRLF; with comments, odd fields and events not known here."""
    whole = b"\xef\xbb\xbf: heartbeat\r\n\r\nretry: 10\nid\n" + b"".join(
        [
            event("delta", {"content": TEXT}, str(len(TEXT)), end),
            b"data: not JSON, and not an event of ours\n\n",
            event("novelty", [1, 2], end=end),
            event("decision", decided(), "decision", end),
            event("done", DONE, "done", end),
        ]
    )
    gateway.script = [streams(*(whole[at : at + 1] for at in range(len(whole))))]

    told = await client.listen()

    assert told.ended.raw == answer()


async def test_a_retract_takes_text_back(gateway: FakeGateway, client: Client) -> None:
    """In code points, whatever they are made of."""
    retract = event("retract", {"offset": len(TEXT) - 3, "replacement": "…"}, "retract")
    rest = event("delta", {"content": "!"}, "rest")
    blocked = event("decision", decided("blocked", "block"), "decision")
    gateway.script = [streams(*deltas(TEXT[:5], TEXT[5:]), blocked, retract, rest, END)]

    told = await client.listen()

    assert told.events[3] == Retract(len(TEXT) - 3, "…")
    assert told.texts[2:5] == [TEXT, TEXT[:-3] + "…", TEXT[:-3] + "…!"]
    assert told.ended.content == TEXT[:-3] + "…!"
    assert not told.ended.released


async def test_the_text_to_show_is_always_whole(gateway: FakeGateway, client: Client) -> None:
    retract = event("retract", {"offset": 0, "replacement": "No."}, "retract")
    gateway.script = [streams(*deltas("Yes", ", of course"), DECISION, retract, END)]

    assert await client.texts() == ["Yes", "Yes, of course", "No."]


async def test_an_error_ends_a_stream_with_the_text_at_hand(
    gateway: FakeGateway, client: Client
) -> None:
    gateway.script = [streams(*deltas("The moon"), ERROR, *deltas("never read"))]

    told = await client.listen()

    assert told.texts == ["The moon"]
    assert type(told.error) is Unavailable
    assert (told.error.text, told.error.response_id) == ("The moon", ID)
    assert (told.error.kind, told.error.request_id) == ("upstream-unavailable", "req_theirs")
    assert len(gateway.seen) == 1


async def test_a_stream_that_is_refused_is_tried_again(
    gateway: FakeGateway, client: Client
) -> None:
    gateway.script = [refuses(503, retry_after="0"), breaks, streams(DECISION, END)]

    told = await client.listen()

    assert told.ended.content == ""
    keys = {request.headers["idempotency-key"] for request in gateway.seen}
    assert len(keys) == 1
    assert len(gateway.seen) == 3


async def test_a_refused_stream_is_an_error_as_without_streaming(
    gateway: FakeGateway, client: Client
) -> None:
    gateway.script = [refuses(429, retry_after="3600")]

    assert type((await client.listen()).error) is RateLimited


@pytest.mark.parametrize("then", ["end", "break"])
async def test_a_broken_stream_is_taken_up_where_it_broke(
    gateway: FakeGateway, client: Client, then: Any
) -> None:
    """After the last whole event: half an event counts as never sent."""
    one, two, three = deltas("The ", "moon ", "pulls.")
    gateway.script = [
        streams(one, two, three[:-3], then=then),
        streams(three, DECISION, END),
    ]

    told = await client.listen()

    assert told.ended.content == "The moon pulls."
    resumed = gateway.seen[1]
    assert (resumed.method, resumed.path) == ("GET", f"/v1/responses/{ID}/events")
    assert resumed.headers["last-event-id"] == f"{ID}/9"
    assert resumed.headers["authorization"] == f"Bearer {KEY}"


async def test_a_stream_that_broke_before_its_first_event_is_asked_for_again(
    gateway: FakeGateway, client: Client
) -> None:
    """Under the same idempotency key; nothing of it was seen, so that it may be another one."""
    other = event("decision", decided(id="resp_other"), "decision")
    gateway.script = [
        streams(b": heartbeat\n\nevent: del", then="break"),
        refuses(409, retry_after="0"),
        streams(other, END, response_id="resp_other"),
    ]

    told = await client.listen()

    assert told.ended.id == "resp_other"
    assert {(each.method, each.path) for each in gateway.seen} == {("POST", "/v1/respond")}
    assert len({each.headers["idempotency-key"] for each in gateway.seen}) == 1


async def test_a_stream_that_never_begins_is_asked_for_twice(
    gateway: FakeGateway, client: Client
) -> None:
    gateway.script = [streams(then="break"), streams(then="break"), streams(END)]

    assert type((await client.listen()).error) is StreamBroken
    assert len(gateway.seen) == 2


async def test_a_stream_that_the_gateway_gave_up_is_broken(
    gateway: FakeGateway, client: Client
) -> None:
    problem = {"type": "urn:inwit:problem:cut-short", "status": 410, "detail": "Hung up."}
    one, two = deltas("The ", "moon")
    gateway.script = [streams(one, then="break"), streams(two, event("error", problem, "error"))]

    told = await client.listen()

    assert type(told.error) is StreamBroken
    assert type(told.error.__cause__) is Gone
    assert (told.error.text, told.error.response_id) == ("The moon", ID)


async def test_a_stream_without_ids_cannot_be_taken_up(
    gateway: FakeGateway, client: Client
) -> None:
    gateway.script = [streams(event("delta", {"content": "The "}), then="break"), streams(END)]

    assert type((await client.listen()).error) is StreamBroken
    assert len(gateway.seen) == 1


async def test_a_stream_is_taken_up_once(gateway: FakeGateway, client: Client) -> None:
    one, two = deltas("The ", "moon")
    gateway.script = [streams(one, then="break"), streams(two, then="break")]

    told = await client.listen()

    assert type(told.error) is StreamBroken
    assert (told.error.text, told.error.response_id) == ("The moon", ID)
    assert len(gateway.seen) == 2


async def test_a_stream_that_cannot_be_taken_up(gateway: FakeGateway, client: Client) -> None:
    gateway.script = [streams(*deltas("The moon"), then="break"), refuses(404, "not-found")]

    told = await client.listen()

    assert type(told.error) is StreamBroken
    assert type(told.error.__cause__) is NotFound
    assert told.error.text == "The moon"


async def test_leaving_early_hangs_up(gateway: FakeGateway, client: Client) -> None:
    gateway.script = [streams(*deltas("The ", "moon"), then="beat")]

    told = await client.listen(most=1)

    assert told.texts == ["The "]
    await gateway.gone.wait()


@pytest.mark.parametrize(
    ("chunks", "words"),
    [
        ([event("delta", {"tool_calls": [CALL]}, "calls")], "no decision released"),
        (
            [
                event("decision", decided("blocked", "block"), "decision"),
                event("delta", {"tool_calls": [CALL]}, "calls"),
            ],
            "no decision released",
        ),
        ([event("delta", {"content": "moon"}, "7")], "lost or doubled"),
        ([*deltas("moon"), *deltas("moon")], "lost or doubled"),
        ([*deltas("a"), event("retract", {"offset": 2, "replacement": ""})], "never sent"),
        ([event("retract", {"offset": -1, "replacement": ""})], "retract.offset"),
        ([event("retract", {"offset": True, "replacement": ""})], "retract.offset"),
        ([event("retract", {"offset": 0})], "retract.replacement"),
        ([END], "without a decision"),
        ([DECISION, DECISION], "decides twice"),
        ([event("decision", decided(id="resp_other"))], "another response"),
        ([DECISION, event("done", {"finish_reason": "stop"})], "receipt"),
        ([b"event: delta\ndata: {\n\n"], "delta is not an object"),
        ([b"event: delta\ndata: {\ndata:}\n\n", b"event: delta\ndata: 1\n\n"], "not an object"),
        ([b'event: delta\ndata: {"content": "\xff"}\n\n'], "not UTF-8"),
        ([b"data: " + b"x" * (8 * 2**20)], "line that is too long"),
        ([b"data: " + b"x" * (5 * 2**20) + b"\n"] * 2, "event that is too large"),
    ],
)
async def test_a_stream_that_breaks_the_contract_ends_there(
    gateway: FakeGateway, client: Client, chunks: list[bytes], words: str
) -> None:
    gateway.script = [streams(*chunks, *deltas("never read"), END)]

    told = await client.listen()

    assert type(told.error) is BadAnswer
    assert words in str(told.error)
    assert told.error.response_id == ID
    assert told.error.__context__ is None


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (replies(answer()), "not a stream"),
        (sends(DECISION + END, content_type="text/event-stream"), "x-inwit-response"),
        (
            sends(b"\x1f\x8b", content_type="text/event-stream", content_encoding="gzip"),
            "is compressed",
        ),
        (
            sends(b"", content_type="text/event-stream", x_inwit_response="../up"),
            "x-inwit-response",
        ),
    ],
)
async def test_what_is_no_stream_of_the_gateway_is_refused(
    gateway: FakeGateway, client: Client, reply: Handler, words: str
) -> None:
    gateway.script = [reply]

    told = await client.listen()

    assert type(told.error) is BadAnswer
    assert words in str(told.error)


async def test_an_error_without_a_status_is_still_an_error(
    gateway: FakeGateway, client: Client
) -> None:
    gateway.script = [streams(event("error", {"status": 200}))]

    assert isinstance((await client.listen()).error, InwitError)


def _in_memory(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, headers=EVENT_STREAM, content=b"".join(deltas("moon")) + DECISION)


def test_a_stream_knows_nothing_before_it_is_opened_and_has_no_answer_before_its_end() -> None:
    with httpx.Client(transport=httpx.MockTransport(_in_memory)) as http:
        stream = Inwit("http://inwit", api_key=KEY, http=http).stream(ASK)
        with pytest.raises(RuntimeError, match="Open the stream first"):
            _ = stream.text
        with pytest.raises(RuntimeError, match="Open the stream first"):
            next(stream)

        with stream:
            assert (stream.id, stream.text, stream.decision) == (ID, "", None)
            assert type(next(stream)) is Delta
            assert type(next(stream)) is Decision
            assert stream.decision is not None
            with pytest.raises(RuntimeError, match="no answer before its end"):
                _ = stream.answer
            with pytest.raises(RuntimeError, match="opened once"):
                stream.__enter__()


async def test_the_same_on_asyncio() -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(_in_memory)) as http:
        stream = AsyncInwit("http://inwit", api_key=KEY, http=http).stream(ASK)
        with pytest.raises(RuntimeError, match="Open the stream first"):
            await anext(stream)

        async with stream:
            assert type(await anext(stream)) is Delta
            with pytest.raises(RuntimeError, match="no answer before its end"):
                _ = stream.answer
            with pytest.raises(RuntimeError, match="opened once"):
                await stream.__aenter__()


def test_a_stream_is_over_after_an_error() -> None:
    def broken(_request: httpx.Request) -> httpx.Response:
        late = ERROR + b"".join(deltas("late")) + DECISION + END
        return httpx.Response(200, headers=EVENT_STREAM, content=late)

    with (
        httpx.Client(transport=httpx.MockTransport(broken)) as http,
        Inwit("http://inwit", api_key=KEY, http=http).stream(ASK) as stream,
    ):
        with pytest.raises(Unavailable):
            next(stream)
        assert (list(stream), stream.text) == ([], "")
        with pytest.raises(RuntimeError, match="no answer before its end"):
            _ = stream.answer
