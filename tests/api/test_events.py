"""`GET /v1/responses/{id}/events`: a stream that broke is taken up where it broke."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from inwit.api.respond_stream import respond_events
from inwit.decisions import Sent
from inwit.pipeline.streaming import Live
from inwit.types import Call, Message, ToolCall, Usage
from tests.api.test_responses import ID, STREAMED, cut, get, window
from tests.api.test_stream import FAIL, MODES, PASS, STREAM, TEXT, policy
from tests.conftest import ASK, Caller, MakeCaller
from tests.fakes import FakeLedger, FakeModel
from tests.ledger.test_store import RECORD
from tests.pipeline.test_promises import PRINCIPAL
from tests.streams import Event, Reader, events_in

TOOL = {"type": "function", "function": {"name": "look_up"}}
CALL = ToolCall("call_1", "look_up", '{"id": 7}')
CUT = "urn:inwit:problem:cut-short"
# Of a ledger's own: another one told this stream than tells it again.
OWN: dict[str, Any] = {"timings_ms": {}, "receipt": {}}


async def rest(caller: Caller, name: str, last: str | None = None) -> httpx.Response:
    """What came after an event."""
    return await get(caller, f"{name}/events", **({"last-event-id": last} if last else {}))


async def keep(caller: Caller, ledger: FakeLedger) -> None:
    """Put into the real ledger what the fake one was told."""
    await caller.background.idle()
    for record in (*ledger.ends, *ledger.entries):
        await caller.gateway.ledger.append(record)


texts = st.sampled_from(
    [TEXT, TEXT * 2, "Tides. ", "", "Write to ana@example.org, über alles 🌊. " * 9]
)
models = st.builds(
    FakeModel,
    text=texts,
    answers=st.sampled_from([[], [PASS], [PASS, PASS], [PASS, PASS, FAIL]]).map(list),
    answer=st.sampled_from([PASS, FAIL]),
    rewrites=st.sampled_from([["The tides follow the moon."], [TEXT]]),
    tool_calls=st.sampled_from([(), (CALL,)]),
    breaks_at=st.sampled_from([None] * 6 + [5, 100, 200]),
    piece=st.integers(5, 12),
    turns=st.just(60),
)
policies = st.builds(
    policy,
    st.sampled_from([*MODES, "windowed", "windowed", "audit_only"]),
    on_harm=st.sampled_from(["block", "escalate", "rewrite"]),
    redact=st.sampled_from([None, {"mask": ["email"]}]),
    tools=st.just({"look_up": {}}),
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(models, policies)
async def test_wherever_it_breaks_the_end_is_the_same(
    make_caller: MakeCaller, model: FakeModel, policy: Any
) -> None:
    ledger = FakeLedger()
    caller = await make_caller(model, ledger=ledger, policies=(policy,))
    answer = await caller.respond({**STREAM, "tools": [TOOL]})
    await keep(caller, ledger)
    if answer.status_code != 200:
        event("an error before the first byte")
        assert ledger.entries == []
        return
    events, name = events_in(answer.text), answer.headers["x-inwit-response"]
    whole = Reader().take(events)
    event(f"{policy.stream.mode.value}: {' '.join(kinds(events))}")

    for count in range(len(events)):
        reader = Reader().take(events[:count])
        resumed = await rest(caller, name, events[count - 1].id if count else None)
        assert resumed.status_code == 200
        assert resumed.headers["x-inwit-response"] == name
        assert_same_end(reader.take(events_in(resumed.text)), whole)
    assert (await rest(caller, name, events[-1].id)).status_code == 204


def assert_same_end(reader: Reader, whole: Reader) -> None:
    assert reader.text == whole.text
    assert reader.tool_calls == whole.tool_calls
    assert reader.decision == whole.decision
    if whole.done is None:
        assert whole.error is not None
        assert reader.error is not None
        assert reader.error["type"] == CUT
    else:
        assert reader.done is not None
        assert reader.done | OWN == whole.done | OWN


def kinds(events: list[Event]) -> list[str]:
    """Each kind of event once, in their order."""
    return list(dict.fromkeys(each.name for each in events))


async def test_what_was_withdrawn_is_not_sent_again(make_caller: MakeCaller) -> None:
    ledger, model = FakeLedger(), FakeModel(TEXT, turns=40, answers=[PASS, PASS], answer=FAIL)
    caller = await make_caller(model, ledger=ledger, policies=(policy("windowed"),))
    answer = await caller.respond(STREAM)
    await keep(caller, ledger)

    resumed = await rest(caller, answer.headers["x-inwit-response"])

    assert "delta" in kinds(events_in(answer.text))
    assert kinds(events_in(resumed.text)) == ["decision", "retract", "done"]
    assert TEXT[:20] not in resumed.text


@pytest.mark.parametrize("mode", ["windowed", "audit_only"])
@pytest.mark.parametrize("count", [1, 2, 3])
async def test_a_caller_that_hung_up_gets_what_had_left_and_how_it_ended(
    make_caller: MakeCaller, mode: str, count: int
) -> None:
    ledger, model = FakeLedger(), FakeModel(TEXT, turns=40)
    caller = await make_caller(model, ledger=ledger, policies=(policy(mode),))
    call = Call(PRINCIPAL, (Message("user", "How do tides work?"),))
    live = Live()
    got = await first(respond_events(caller.gateway.pipeline, call, live, None), count)
    await keep(caller, ledger)

    resumed = events_in((await rest(caller, live.response_id, got[-1].id)).text)

    reader = Reader().take([*got, *resumed])
    assert reader.text == live.sent
    assert reader.text
    assert reader.error is not None
    assert reader.error["type"] == CUT
    assert "its caller hung up" in reader.error["detail"]


async def first(events: AsyncGenerator[bytes], count: int) -> list[Event]:
    """Read so many events, and hang up."""
    got: list[Event] = []
    async for raw in events:
        got += events_in(raw.decode())
        if len(got) == count:
            break
    await events.aclose()
    return got


async def test_a_stream_in_progress_is_followed(make_caller: MakeCaller) -> None:
    caller = await make_caller()
    append = caller.gateway.ledger.append
    await append(window(STREAMED, 0, "The moon "))

    following = asyncio.create_task(rest(caller, ID, f"{ID}/4"))
    for start, text in ((9, "pulls "), (15, "the sea")):
        await append(window(STREAMED, start, text))
    contents = {"released": b'{"text":"The moon pulls the sea.","tool_calls":[]}'}
    sent = Sent(22, 3, Usage(), retracted=False)
    await append(replace(RECORD, origin=STREAMED, contents=contents, sent=sent))
    async with asyncio.timeout(30):
        events = events_in((await following).text)

    assert Reader(text="The ").take(events).text == "The moon pulls the sea."
    assert kinds(events) == ["delta", "decision", "done"]
    assert events[-2].data == {"content": "."}


async def test_a_stream_that_is_followed_tells_when_it_is_cut_short(
    make_caller: MakeCaller,
) -> None:
    caller = await make_caller()
    await caller.gateway.ledger.append(window(STREAMED, 0, "The moon "))
    following = asyncio.create_task(rest(caller, ID))
    await caller.gateway.ledger.append(cut(STREAMED, "The moon "))

    async with asyncio.timeout(30):
        reader = Reader().take(events_in((await following).text))

    assert reader.text == "The moon "
    assert reader.error is not None
    assert reader.error["type"] == CUT


async def test_a_stream_whose_gateway_died_ends_with_an_error(make_caller: MakeCaller) -> None:
    caller = await make_caller(deadline_ms=1, record_ms=1)
    await caller.gateway.ledger.append(window(STREAMED, 0, "The moon ", age_s=6))

    events = events_in((await rest(caller, ID)).text)

    assert [each.name for each in events] == ["delta", "error"]
    assert events[-1].id == f"{ID}/error"


async def test_following_ends_at_shutdown_so_that_another_gateway_can_go_on(
    make_caller: MakeCaller,
) -> None:
    caller = await make_caller()
    await caller.gateway.ledger.append(window(STREAMED, 0, "The moon "))
    following = asyncio.create_task(rest(caller, ID))
    while not caller.gateway.health.draining:
        caller.gateway.health.draining = bool((await get(caller, ID)).json())

    async with asyncio.timeout(30):
        events = events_in((await following).text)

    assert {each.name for each in events} <= {"delta"}


async def test_followers_have_places_of_their_own(make_caller: MakeCaller) -> None:
    caller = await make_caller(max_in_flight=1)
    await caller.gateway.ledger.append(window(STREAMED, 0, "The moon "))

    two = {asyncio.create_task(rest(caller, ID)) for _ in range(2)}
    async with asyncio.timeout(30):
        done, _ = await asyncio.wait(two, return_when=asyncio.FIRST_COMPLETED)
        answered = await caller.respond(ASK)
        await caller.gateway.ledger.append(cut(STREAMED, "The moon "))
        await asyncio.wait(two)

    assert done.pop().result().status_code == 503
    assert answered.status_code == 200


BAD = [
    "",
    "0",
    f"{ID}",
    f"{ID}/",
    f"{ID}/-1",
    f"{ID}/x",
    f"{ID}/1e3",
    f"{ID}/9999999999",
    f"{ID}/decision/",
    f"resp_{'b' * 32}/0",
    f"{ID}/99",
    f"{ID}/retract",
    f"{ID}/calls",
]


@pytest.mark.parametrize("last", BAD)
async def test_an_id_of_no_event_is_named(make_caller: MakeCaller, last: str) -> None:
    caller = await make_caller()
    contents = {"released": b'{"text":"The moon.","tool_calls":[]}'}
    await caller.gateway.ledger.append(replace(RECORD, origin=STREAMED, contents=contents))

    answer = await get(caller, f"{ID}/events", **{"last-event-id": last})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "Last-Event-ID"


async def test_an_event_after_the_decision_of_a_stream_that_is_not_decided_is_none(
    make_caller: MakeCaller,
) -> None:
    caller = await make_caller()
    await caller.gateway.ledger.append(window(STREAMED, 0, "The moon "))

    assert (await rest(caller, ID, f"{ID}/decision")).status_code == 422


@pytest.mark.parametrize("step", ["done", "error"])
async def test_after_the_end_comes_nothing_and_for_strangers_not_even_that(
    make_caller: MakeCaller, step: str
) -> None:
    caller = await make_caller()

    assert (await rest(caller, ID, f"{ID}/{step}")).status_code == 404
    await caller.gateway.ledger.append(window(STREAMED, 0, "The moon "))
    assert (await rest(caller, ID, f"{ID}/{step}")).status_code == 204
