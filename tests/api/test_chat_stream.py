"""`POST /v1/chat/completions` with `stream: true`, read as a client of OpenAI's reads it."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inwit.api.chat_answer import completion
from inwit.api.chat_stream import Chunks, ending
from inwit.api.respond_answer import OutputMessage, RespondResponse
from inwit.api.respond_request import ToolCall as WireToolCall
from inwit.errors import Overloaded
from inwit.pipeline.streaming import Live
from inwit.policy.policy import Policy
from tests.api.chats import CALL, PATH, WEATHER, chat, refusal_in
from tests.conftest import MakeCaller
from tests.fakes import FakeLedger, FakeModel, risk_of
from tests.fakes_policies import compiled

TEXT = "The moon pulls the sea, and the sea comes and goes twice a day. " * 4
MODES = ("buffer", "windowed", "audit_only")
PASS, FAIL = risk_of(0.05), risk_of(0.95)


def policy(mode: str, **sections: Any) -> Policy:
    sections = {"redact": None, **sections}
    return compiled(stream={"mode": mode, "window": 60, "overlap": 30}, **sections)


@dataclass
class Reader:
    """What a client of OpenAI's has of a stream, retractions honoured where it knows of them."""

    chunks: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    content: str = ""
    refusal: str | None = None
    tool_calls: list[Any] = field(default_factory=list[Any])
    finish_reason: str | None = None
    inwit: dict[str, Any] | None = None
    usage: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    done: bool = False

    @property
    def shown(self) -> str:
        """What stands on the screen in the end."""
        retract = (self.inwit or {}).get("retract")
        if retract is not None:
            return self.content[: retract["offset"]] + retract["replacement"]
        return self.content or self.refusal or ""

    def take(self, raw: str) -> "Reader":
        """Take the whole stream, in the order that OpenAI keeps."""
        for block in raw.split("\n\n"):
            if block and not block.startswith(":"):
                assert not self.done
                assert self.error is None
                assert "\n" not in block
                self._take(block.removeprefix("data: "))
        return self

    def _take(self, data: str) -> None:
        if data == "[DONE]":
            self.done = True
            return
        chunk = json.loads(data)
        if "error" in chunk:
            self.error = chunk["error"]
            return
        self.chunks.append(chunk)
        assert self.usage is None, "the usage comes last"
        self.usage = chunk.get("usage")
        for choice in chunk["choices"]:
            assert self.finish_reason is None, "nothing comes after the finish reason"
            delta = choice["delta"]
            self.content += delta.get("content") or ""
            self.refusal = delta.get("refusal", self.refusal)
            self.tool_calls += delta.get("tool_calls", [])
            self.finish_reason = choice["finish_reason"]
            self.inwit = chunk.get("inwit")


@pytest.mark.parametrize("mode", MODES)
async def test_a_stream_tells_what_the_whole_answer_tells(
    make_caller: MakeCaller, mode: str
) -> None:
    caller = await make_caller(FakeModel(TEXT), policies=(policy(mode),))
    whole = (await chat(caller)).json()

    answer = await chat(caller, stream=True)

    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    reader = Reader().take(answer.text)
    assert reader.done
    assert reader.inwit is not None
    assert reader.content == reader.shown == whole["choices"][0]["message"]["content"] == TEXT
    assert reader.finish_reason == "stop"
    assert reader.inwit.keys() == whole["inwit"].keys()
    assert reader.usage is None
    for chunk in reader.chunks:
        assert chunk["object"] == "chat.completion.chunk"
        assert chunk["id"] == f"chatcmpl-{answer.headers['x-inwit-response']}"
        assert (chunk["model"], chunk["created"]) == (whole["model"], reader.chunks[0]["created"])
        assert "usage" not in chunk
    assert reader.chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert all("role" not in chunk["choices"][0]["delta"] for chunk in reader.chunks[1:])


@pytest.mark.parametrize("mode", MODES)
async def test_text_leaves_when_the_policy_says(make_caller: MakeCaller, mode: str) -> None:
    slow = FakeModel(TEXT, turns=40)
    caller = await make_caller(slow, ledger=FakeLedger(), policies=(policy(mode),))

    reader = Reader().take((await chat(caller, stream=True)).text)

    pieces = [each["choices"][0]["delta"].get("content") for each in reader.chunks[1:-1]]
    assert (len(pieces) == 1) == (mode == "buffer")
    assert reader.content == TEXT


async def test_usage_is_told_where_it_was_asked_for(make_caller: MakeCaller) -> None:
    caller = await make_caller(FakeModel(TEXT))

    options = {"include_usage": True, "include_obfuscation": False}
    reader = Reader().take((await chat(caller, stream=True, stream_options=options)).text)

    assert reader.usage is not None
    assert reader.usage["total_tokens"] == 30
    assert reader.chunks[-1]["choices"] == []
    assert all(chunk["usage"] is None for chunk in reader.chunks[:-1])


@pytest.mark.parametrize("mode", MODES)
async def test_a_blocked_stream_is_a_refusal(make_caller: MakeCaller, mode: str) -> None:
    strict = policy(mode)
    caller = await make_caller(
        FakeModel("HARM", answer=FAIL), ledger=FakeLedger(), policies=(strict,)
    )

    answer = await chat(caller, stream=True)

    reader = Reader().take(answer.text)
    assert (reader.finish_reason, reader.refusal) == ("content_filter", strict.fallback_text)
    assert reader.shown == strict.fallback_text
    assert reader.inwit is not None
    assert reader.inwit["status"] == "blocked"
    assert mode == "audit_only" or "HARM" not in answer.text


async def test_what_was_flagged_after_text_had_left_is_withdrawn(make_caller: MakeCaller) -> None:
    strict = policy("windowed")
    model = FakeModel(TEXT, turns=40, answers=[PASS, PASS], answer=FAIL)
    caller = await make_caller(model, ledger=FakeLedger(), policies=(strict,))

    reader = Reader().take((await chat(caller, stream=True)).text)

    assert reader.content == TEXT[:90]  # two windows of 60, without the last 30
    assert reader.finish_reason == "content_filter"
    assert reader.refusal == strict.fallback_text
    assert reader.inwit is not None
    assert reader.inwit["retract"] == {"offset": 0, "replacement": strict.fallback_text}
    assert reader.done


async def test_a_rewrite_of_what_has_left_comes_as_its_replacement(
    make_caller: MakeCaller,
) -> None:
    model = FakeModel(
        TEXT, turns=40, answers=[PASS, FAIL, PASS], rewrites=["The tides follow the moon."]
    )
    rewriting = policy("windowed", on_harm="rewrite")
    caller = await make_caller(model, ledger=FakeLedger(), policies=(rewriting,))

    reader = Reader().take((await chat(caller, stream=True)).text)

    assert reader.inwit is not None
    assert reader.content
    assert (reader.inwit["status"], reader.finish_reason) == ("released", "content_filter")
    assert reader.shown == reader.refusal == "The tides follow the moon."


async def test_a_held_stream_says_where_to_ask_again(make_caller: MakeCaller) -> None:
    escalating = policy("buffer", on_harm="escalate")
    caller = await make_caller(FakeModel("HARM", answer=FAIL), policies=(escalating,))

    reader = Reader().take((await chat(caller, stream=True)).text)

    assert reader.inwit is not None
    assert reader.inwit["escalation"]["poll"] == f"/v1/responses/{reader.inwit['id']}"
    assert reader.refusal == escalating.fallback_text


@pytest.mark.parametrize("mode", MODES)
async def test_tool_calls_come_whole_and_after_the_decision(
    make_caller: MakeCaller, mode: str
) -> None:
    model = FakeModel(TEXT, tool_calls=(CALL,))
    caller = await make_caller(model, policies=(policy(mode, tools={"weather": None}),))

    reader = Reader().take((await chat(caller, stream=True, tools=[WEATHER])).text)

    assert reader.tool_calls == [{"index": 0, **CALL.as_openai()}]
    assert reader.finish_reason == "tool_calls"
    assert reader.content == TEXT
    assert "tool_calls" in reader.chunks[-2]["choices"][0]["delta"]


async def test_a_flagged_tool_call_never_leaves(make_caller: MakeCaller) -> None:
    model = FakeModel(TEXT, tool_calls=(CALL,), answer=FAIL)
    caller = await make_caller(model, policies=(policy("audit_only", tools={"weather": None}),))

    answer = await chat(caller, stream=True, tools=[WEATHER])

    assert "Paris" not in answer.text
    assert Reader().take(answer.text).tool_calls == []


async def test_an_error_before_the_first_byte_has_its_own_status(make_caller: MakeCaller) -> None:
    caller = await make_caller(FakeModel(generate_error=Overloaded("busy", retry_after=1)))

    answer = await chat(caller, stream=True)

    assert refusal_in(answer, 503)["code"] == "overloaded"
    assert answer.headers["retry-after"] == "1"


async def test_an_error_after_text_has_left_ends_the_stream(make_caller: MakeCaller) -> None:
    broken = FakeModel(TEXT, turns=40, breaks_at=100)
    caller = await make_caller(broken, ledger=FakeLedger(), policies=(policy("audit_only"),))

    answer = await chat(caller, stream=True)

    reader = Reader().take(answer.text)
    assert answer.status_code == 200
    assert reader.error is not None
    assert (reader.error["code"], reader.error["type"]) == ("upstream_error", "server_error")
    assert TEXT.startswith(reader.content)
    assert reader.content
    assert not reader.done


calls = st.lists(
    st.builds(
        WireToolCall,
        id=st.sampled_from(["call_1", "call_2"]),
        type=st.just("function"),
        function=st.just({"name": "weather", "arguments": "{}"}),
    ),
    max_size=2,
)
outputs = st.builds(
    OutputMessage,
    role=st.just("assistant"),
    content=st.text(max_size=40),
    tool_calls=calls,
    finish_reason=st.sampled_from(["stop", "length", "tool_calls", "content_filter"]),
)


async def test_whatever_had_left_a_client_ends_with_the_whole_answer(
    make_caller: MakeCaller,
) -> None:
    """Any text, any part of it sent before, withdrawn or not."""
    caller = await make_caller()
    answer = RespondResponse.model_validate((await caller.respond()).json())

    @given(outputs, st.integers(0, 40), st.text(min_size=1, max_size=40), st.booleans())
    def ends_alike(output: OutputMessage, upto: int, other: str, include_usage: bool) -> None:
        for sent in (output.content[:upto], other):
            retracted = not output.content.startswith(sent)
            drawn = answer.model_copy(update={"output": output})
            chunks = Chunks(Live(), answer.model, 0, include_usage)
            opened = chunks.delta({"role": "assistant", "content": sent})
            raw = b"".join([opened, *ending(drawn, len(sent), retracted, chunks)])

            reader, whole = Reader().take(raw.decode()), completion(drawn, 0)

            (choice,) = whole.choices
            assert reader.shown == output.content
            assert reader.done
            assert (reader.usage is not None) == include_usage
            withdrawn = bool(sent) and (retracted or choice.finish_reason == "content_filter")
            assert ("retract" in (reader.inwit or {})) == withdrawn
            if withdrawn or choice.finish_reason == "content_filter":
                assert (reader.finish_reason, reader.tool_calls) == ("content_filter", [])
            else:
                assert reader.finish_reason == choice.finish_reason
                assert [call["id"] for call in reader.tool_calls] == [
                    call.id for call in output.tool_calls
                ]

    ends_alike()


async def test_the_query_and_openais_headers_are_ignored(make_caller: MakeCaller) -> None:
    caller = await make_caller(FakeModel(TEXT))
    headers = {"openai-organization": "org", "openai-project": "p", "x-stainless-lang": "python"}

    body = {"model": "fake-model", "messages": [{"role": "user", "content": "Hi"}]}
    answer = await caller.http.post(f"{PATH}?api-version=2", json=body, headers=headers)

    assert answer.status_code == 200
