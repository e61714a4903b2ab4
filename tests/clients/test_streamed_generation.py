"""The streamed generation against a server of raw bytes, cut and spoilt in every way.

The promise: what comes in pieces is the same candidate, or the same kind of error, as what comes
whole, wherever the bytes are cut.
"""

import asyncio
import json
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inwit.clients.openai_compatible import OpenAICompatible
from inwit.errors import InwitError, UpstreamError, UpstreamUnavailable
from inwit.types import Candidate, Generation, Message, Tool, ToolCall, Usage
from tests.clients.raw_sse_server import (
    DONE,
    STOP,
    Answer,
    Pieces,
    RawServer,
    call,
    chunk,
    connected,
    event,
    said,
    streamed,
)

TURNS = 6  # of the loop that server and client share: so long a piece needs to be read alone
GENERATION = Generation((Message("user", "Hi"),), "m", 64, "acme", tools=(Tool("look_up"),))
HI = Candidate("Hi", "m")
SECRET = "a word that the model wrote"

Json = dict[str, Any]


# The same candidate, wherever the bytes are cut.

ESCAPED = '{"choices":[{"delta":{"content":"é🌊 data: [DONE]\\n\\n\\ud83c\\udf0a"}}]}'
EVERYTHING = b"".join(
    [
        event(chunk({"role": "assistant", "content": ""}), end="\r\n\r\n"),
        b": keep-alive\r\n\r\n",
        event(chunk({"reasoning_content": "Héhé 🌊"})),
        b"event: message\r\nid: 7\r\nretry: 10\r\n" + event(chunk({"content": "Größe 潮\r\n"})),
        event(ESCAPED, start="data:", end="\r\n\r\n"),
        event(chunk(call(1, id="b", name="look_up", arguments=""))),
        event(chunk(call(0, name="look_", arguments='{"é":'))),
        event(chunk(call(1, arguments="{}"))),
        event(chunk(call(0, id="a", name="up", arguments=' "🌊"}'))),
        event(chunk(finish="tool_calls")),
        event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 9}}),
        DONE,
    ]
)
EVERYTHING_TEXT = "Größe 潮\r\né🌊 data: [DONE]\n\n\U0001f30a"


async def test_a_stream_cut_at_every_byte_is_the_same_candidate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("_END_S", "_KEEPALIVE_S"):  # or a pause of the machine costs the connection
        monkeypatch.setattr(f"inwit.clients.transport.{name}", 600.0)
    server = RawServer()
    async with connected(server) as client:
        for at in range(1, len(EVERYTHING)):
            server.pieces = (EVERYTHING[:at], EVERYTHING[at:])
            draft = Pieces()

            candidate = await client.generate(GENERATION, draft)

            assert candidate.text == draft.text == EVERYTHING_TEXT
            assert candidate.reasoning == draft.reasoning == "Héhé 🌊"
            assert [(c.id, c.name) for c in candidate.tool_calls] == [
                ("a", "look_up"),
                ("b", "look_up"),
            ]
            assert [json.loads(c.arguments) for c in candidate.tool_calls] == [{"é": "🌊"}, {}]
            assert candidate.usage == Usage(3, 9, 0)
            assert candidate.finish_reason == "tool_calls"
    assert server.connections == 1  # used again after each normal end


async def test_a_stream_that_comes_byte_by_byte(server: RawServer) -> None:
    server.pieces = [bytes([byte]) for byte in EVERYTHING]

    candidate, draft = await streamed(server)

    assert candidate.text == draft.text == EVERYTHING_TEXT


def called(name: str, arguments: str) -> Json:
    return {"id": f"call_{name}", "function": {"name": name, "arguments": arguments}}


names = st.text(max_size=8)
call_objects = st.builds(called, names, st.text(max_size=20) | st.just('{"id": 7}'))
texts = st.text(max_size=60) | st.sampled_from(["data: [DONE]\n\n", "\r\n\r\n", "🌊e\u0301 潮", ""])
answers = st.builds(
    Answer,
    text=st.none() | texts,
    refusal=st.none() | st.sampled_from(["I can't help with that.", ""]),
    reasoning=st.just("") | texts,
    calls=st.lists(call_objects, max_size=3).map(tuple),
    finish=st.sampled_from(["stop", "stop", "length", "tool_calls", "abort", None]),
    role_chunk=st.booleans(),
    cuts=st.lists(st.integers(0, 59), max_size=6).map(tuple),
    order=st.lists(st.integers(0, 5), max_size=20).map(tuple),
    ascii=st.booleans(),
    start=st.sampled_from(["data: ", "data:", ": ping\ndata: ", "event: x\nid: 1\ndata:  "]),
    end=st.sampled_from(["\n\n", "\r\n\r\n", "\n"]),
    usage=st.sampled_from(["none", "last", "continuous"]),
    done=st.booleans(),
)
PLAIN = Answer("Hi.", None, "", (), "stop", True, (), (), True, "data: ", "\n\n", "last", True)


async def outcome(client: OpenAICompatible, draft: Pieces | None) -> Candidate | str:
    """The candidate, or what went wrong in the words that the caller would read."""
    try:
        return await client.generate(GENERATION, draft)
    except InwitError as error:
        return f"{type(error).__name__}: {error.detail}"


async def check_whole_and_streamed_agree(answer: Answer, byte_cuts: list[int]) -> None:
    server, draft, raw = RawServer(), Pieces(), answer.stream()
    edges = sorted({0, len(raw), *(cut % len(raw) for cut in byte_cuts)})
    async with connected(server) as client:
        server.content_type, server.pieces = (
            "application/json",
            [json.dumps(answer.whole()).encode()],
        )
        whole = await outcome(client, None)
        server.content_type = "text/event-stream"
        server.pieces = [raw[a:b] for a, b in pairwise(edges)]

        in_pieces = await outcome(client, draft)

    assert in_pieces == whole
    if isinstance(in_pieces, Candidate):
        assert (draft.text, draft.reasoning) == (in_pieces.text, in_pieces.reasoning)


@settings(max_examples=150, deadline=None)
@given(answers, st.lists(st.integers(0, 5000), max_size=6))
@example(PLAIN, [])
def test_whole_and_streamed_agree(answer: Answer, byte_cuts: list[int]) -> None:
    silent = answer.text is None and answer.refusal is None and not answer.reasoning
    if silent and answer.role_chunk and not answer.calls:
        return  # then the stream cannot say that there was no text: it has said "" at its start
    asyncio.run(check_whole_and_streamed_agree(answer, byte_cuts))


# Every way to go wrong.


@pytest.fixture
def server() -> RawServer:
    return RawServer()


BROKEN_OFF = "broke off its answer"
MALFORMED = "malformed"
NAMELESS = {"object": "error", "message": SECRET}
FAULTS: dict[str, tuple[list[bytes], str]] = {
    "no finish reason": ([*said("Hi"), DONE], BROKEN_OFF),
    "aborted": ([*said("Hi"), event(chunk(finish="abort")), DONE], BROKEN_OFF),
    "an error half way": ([*said("Hi"), event({"error": {"message": SECRET}}), DONE], BROKEN_OFF),
    "an error of another shape": ([*said("Hi"), event(NAMELESS), DONE], BROKEN_OFF),
    "garbage": ([*said("Hi"), event("{"), STOP, DONE], MALFORMED),
    "not UTF-8": ([b'data: {"choices": [{"delta": {"content": "\xff"}}]}\n\n', STOP], MALFORMED),
    "a lone surrogate": ([event('{"choices":[{"delta":{"content":"\\ud83d"}}]}'), STOP], MALFORMED),
    "a number for a text": ([event(chunk({"content": 7})), STOP, DONE], MALFORMED),
    "a list": ([event("[]"), STOP, DONE], MALFORMED),
    "nested without end": ([event("[" * 5000), STOP, DONE], MALFORMED),
    "a negative index": ([event(chunk(call(-1, id="a", name="look_up"))), STOP], MALFORMED),
    "a huge index": ([event(chunk(call(128, id="a", name="look_up"))), STOP], MALFORMED),
    "an endless name": ([event(chunk(call(0, name="n" * 129))), STOP], MALFORMED),
    "an endless id": ([event(chunk(call(0, id="i" * 129, name="n"))), STOP], MALFORMED),
    "half a tool call": (
        [event(chunk(call(0, id="a", name="look_up", arguments='{"a'), finish="length"))],
        "broke off a tool call",
    ),
    "nothing": ([], "gave no text"),
    "only null": ([event(chunk({"content": None})), STOP, DONE], "gave no text"),
    "only thoughts": (
        [*said(""), event(chunk({"reasoning": "Hm"})), event(chunk(finish="length")), DONE],
        "gave no text",
    ),
    "a last event that was cut": ([*said("Hi"), STOP[:-8]], BROKEN_OFF),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_is_spoilt_is_an_error_that_quotes_nothing(
    server: RawServer, fault: str
) -> None:
    server.pieces, words = FAULTS[fault]

    with pytest.raises(UpstreamError, match=words) as raised:
        await streamed(server)

    assert SECRET not in str(raised.value)


OTHER_CHOICE = {"choices": [{"index": 1, "delta": {"content": "no"}}]}
CACHED = {"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}}
CALL_PIECES: tuple[dict[str, str], ...] = ({"name": "look_up"}, {"arguments": "{}"})
TWO_NAMES = {"reasoning": "Hm", "reasoning_content": "Hm"}
SOUND: dict[str, tuple[list[bytes], Candidate]] = {
    "no [DONE]": ([*said("Hi"), STOP], HI),
    "nothing after [DONE] counts": ([*said("Hi"), STOP, DONE, *said("!")], HI),
    "in one piece with [DONE]": ([b"".join([*said("Hi"), STOP, DONE])], HI),
    "other choices": ([event(OTHER_CHOICE), *said("Hi"), STOP], HI),
    "no space at all": ([event(chunk({"content": "Hi"}, "stop"), "data:", "\n")], HI),
    "no text": ([*said(""), STOP, DONE], replace(HI, text="")),
    "cut for want of tokens": (
        [*said("Hi"), event(chunk(finish="length"))],
        replace(HI, finish_reason="length"),
    ),
    "usage that grows": (
        [event(chunk({"content": each}, usage={"prompt_tokens": 3})) for each in "Hi"]
        + [event(chunk(finish="stop", usage={"prompt_tokens": 3, "completion_tokens": 2}))],
        replace(HI, usage=Usage(3, 2, 0)),
    ),
    "usage with a cache": (
        [*said("Hi"), STOP, event({"choices": [], "usage": CACHED})],
        replace(HI, usage=Usage(3, 0, 2)),
    ),
    "both names of reasoning": (
        [event(chunk(TWO_NAMES)), *said("Hi"), STOP],
        replace(HI, reasoning="Hm"),
    ),
    "an id in every piece": (
        [*said("Hi"), *(event(chunk(call(0, id="a", **each))) for each in CALL_PIECES), STOP],
        replace(HI, tool_calls=(ToolCall("a", "look_up", "{}"),)),
    ),
}


@pytest.mark.parametrize("case", SOUND)
async def test_what_is_only_unusual_is_understood(server: RawServer, case: str) -> None:
    server.pieces, expected = SOUND[case]

    candidate, _ = await streamed(server)

    assert candidate == expected


async def test_a_connection_that_is_cut(server: RawServer) -> None:
    server.pieces, server.ends = said("Hi"), "cut"

    with pytest.raises(UpstreamUnavailable, match="hung up"):
        await streamed(server)


async def test_a_server_that_ignores_the_wish_for_a_stream(server: RawServer) -> None:
    server.content_type = "application/json"
    server.pieces = [json.dumps(PLAIN.whole()).encode()]

    with pytest.raises(UpstreamError, match="does not stream"):
        await streamed(server)


# The bounds.

MIB = 2**20


async def test_wrapping_does_not_count_against_the_text(server: RawServer) -> None:
    """12 MiB on the wire for a text of half a MiB: 80,000 tokens, as vLLM sends them."""
    padded = chunk({"content": " token"}, system_fingerprint="f" * 40)
    server.pieces = [event(padded) * 256] * 320 + [STOP, DONE]
    assert sum(map(len, server.pieces)) > 12 * MIB

    candidate, _ = await streamed(server)

    assert len(candidate.text) == 6 * 256 * 320


@pytest.mark.parametrize(
    "pieces",
    [
        [event(chunk({"content": "x" * MIB}))] * 9,
        [event(chunk({"reasoning": "x" * MIB}))] * 9,
        [event(chunk(call(0, arguments="x" * MIB)))] * 9,
        [b"x" * MIB] * 9,
        [b": " + b"x" * MIB + b"\n"] * 65,
    ],
    ids=["text", "reasoning", "arguments", "one line", "comments"],
)
async def test_an_answer_that_is_too_large_is_given_up(
    server: RawServer, pieces: list[bytes]
) -> None:
    server.pieces, server.ends = pieces, "hang"

    with pytest.raises(UpstreamError, match="too large"):
        await streamed(server)

    await _in_time(server.gone)


# The connection.


async def test_a_caller_that_goes_hangs_up_on_the_server(server: RawServer) -> None:
    server.pieces, server.ends = said("Hi"), "hang"
    async with connected(server) as client:
        draft = Pieces()
        work = asyncio.create_task(client.generate(GENERATION, draft))
        await draft.came.wait()

        work.cancel()

        await _in_time(server.gone)
        await asyncio.gather(work, return_exceptions=True)
        assert len(asyncio.all_tasks()) <= 2  # this one, and the server's end of the connection


@pytest.mark.parametrize("ends", ["cut", "hang", "endless"])
async def test_what_a_server_does_after_the_end_does_not_matter(
    server: RawServer, ends: Literal["cut", "hang", "endless"]
) -> None:
    server.pieces, server.ends = [*said("Hi"), STOP, DONE], ends
    async with connected(server) as client, asyncio.timeout(60):
        candidate = await client.generate(GENERATION, Pieces())

        assert candidate.text == "Hi"
        await server.gone.wait()  # and is not used again
        server.ends = "well"
        await client.generate(GENERATION, Pieces())
    assert server.connections == 2


async def test_the_stream_is_asked_for_with_its_usage(server: RawServer) -> None:
    server.pieces = [*said("Hi"), STOP, DONE]

    await streamed(server)

    (body,) = server.requests
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}


async def _in_time(event: asyncio.Event) -> None:
    async with asyncio.timeout(60):
        await event.wait()
