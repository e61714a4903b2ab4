"""`POST /v1/respond` with `stream: true`, through the front door."""

import asyncio
import json
from typing import Any

import pytest

from inwit.errors import LedgerError, UpstreamError
from inwit.policy.policy import Policy
from inwit.types import ToolCall
from tests.api.evidence import counting
from tests.conftest import ASK, MakeCaller
from tests.fakes import FakeClassifiers, FakeLedger, FakeModel, risk_of
from tests.fakes_policies import compiled
from tests.streams import Event, Reader, events_in

STREAM = {**ASK, "stream": True}
TEXT = "The moon pulls the sea, and the sea comes and goes twice a day. " * 4
MODES = ("buffer", "windowed", "audit_only")
PASS, FAIL = risk_of(0.05), risk_of(0.95)


def policy(mode: str, **sections: Any) -> Policy:
    sections = {"redact": None, **sections}
    return compiled(stream={"mode": mode, "window": 60, "overlap": 30}, **sections)


def slow(text: str = TEXT, **settings: Any) -> FakeModel:
    """A model that writes more slowly than windows are reviewed and recorded in memory."""
    return FakeModel(text, turns=40, **settings)


def names(events: list[Event]) -> list[str]:
    """The kinds of events in their order, runs of one kind as one."""
    kinds = [event.name for event in events]
    return [kind for index, kind in enumerate(kinds) if index == 0 or kinds[index - 1] != kind]


@pytest.mark.parametrize("mode", MODES)
async def test_a_stream_tells_what_the_json_answer_tells(
    make_caller: MakeCaller, mode: str
) -> None:
    caller = await make_caller(FakeModel(TEXT), policies=(policy(mode),))
    whole = (await caller.respond()).json()

    answer = await caller.respond(STREAM)

    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    events = events_in(answer.text)
    reader = Reader().take(events)
    assert reader.decision is not None
    assert reader.done is not None
    assert reader.text == whole["output"]["content"] == TEXT
    assert answer.headers["x-inwit-response"] == reader.decision["id"]
    told = {**reader.decision, **reader.done}
    finish_reason = told.pop("finish_reason")
    told["output"] = {**whole["output"], "finish_reason": finish_reason}
    assert told.keys() == whole.keys()
    own = ("id", "timings_ms", "receipt", "usage", "review")
    assert {key: told[key] for key in told if key not in own} == {
        key: whole[key] for key in whole if key not in own
    }
    enforcement = "full" if mode == "buffer" else mode
    assert told["review"] == {**whole["review"], "enforcement": enforcement}
    assert whole["review"]["enforcement"] == "full"


@pytest.mark.parametrize(
    ("mode", "order"),
    [
        ("buffer", ["decision", "delta", "done"]),
        ("windowed", ["delta", "decision", "delta", "done"]),
        ("audit_only", ["delta", "decision", "done"]),
    ],
)
async def test_what_leaves_before_the_decision_is_the_policys_to_say(
    make_caller: MakeCaller, mode: str, order: list[str]
) -> None:
    caller = await make_caller(slow(), ledger=FakeLedger(), policies=(policy(mode),))

    assert names(events_in((await caller.respond(STREAM)).text)) == order


async def test_the_end_of_what_passed_waits_for_the_next_window(make_caller: MakeCaller) -> None:
    model = slow(answers=[PASS, PASS], answer=FAIL)
    caller = await make_caller(model, ledger=FakeLedger(), policies=(policy("windowed"),))

    events = events_in((await caller.respond(STREAM)).text)

    sent = "".join(event.data["content"] for event in events if event.name == "delta")
    assert sent == TEXT[:90]  # two windows of 60, without the last 30
    assert [event.name for event in events][-3:] == ["decision", "retract", "done"]
    assert model.reviews[0][-2].content == TEXT[:60]
    assert model.reviews[1][-2].content == TEXT[:120]


async def test_a_flagged_window_ends_the_generation_at_once(make_caller: MakeCaller) -> None:
    model = slow(TEXT * 50, answers=[PASS], answer=FAIL)
    caller = await make_caller(model, ledger=FakeLedger(), policies=(policy("windowed"),))

    reader = Reader().take(events_in((await caller.respond(STREAM)).text))

    assert reader.decision is not None
    assert (reader.decision["status"], reader.decision["action"]) == ("blocked", "block")
    assert reader.text == compiled().fallback_text
    assert model.cut_at < len(TEXT)
    assert len(model.reviews) == 2


async def test_a_rewrite_replaces_what_has_left(make_caller: MakeCaller) -> None:
    model = slow(TEXT, answers=[PASS, FAIL, PASS], rewrites=["The tides follow the moon."])
    rewriting = policy("windowed", on_harm="rewrite")
    caller = await make_caller(model, ledger=FakeLedger(), policies=(rewriting,))

    events = events_in((await caller.respond(STREAM)).text)

    reader = Reader().take(events)
    assert names(events) == ["delta", "decision", "retract", "done"]
    assert reader.text == "The tides follow the moon."
    assert reader.decision is not None
    assert reader.decision["review"]["rewrites"] == ["passed"]


async def test_what_a_person_is_to_see_is_held(make_caller: MakeCaller) -> None:
    model = slow(TEXT, answers=[PASS], answer=FAIL)
    escalating = policy("windowed", on_harm="escalate")
    caller = await make_caller(model, ledger=FakeLedger(), policies=(escalating,))

    reader = Reader().take(events_in((await caller.respond(STREAM)).text))

    assert reader.decision is not None
    assert reader.decision["status"] == "held"
    assert reader.decision["escalation"]["poll"] == f"/v1/responses/{reader.decision['id']}"
    assert reader.text == escalating.fallback_text


@pytest.mark.parametrize("mode", ["windowed", "audit_only"])
async def test_what_was_sent_is_in_the_ledger_first(make_caller: MakeCaller, mode: str) -> None:
    ledger = FakeLedger()
    caller = await make_caller(slow(TEXT), ledger=ledger, policies=(policy(mode),))

    events = events_in((await caller.respond(STREAM)).text)

    deltas = [event.data["content"] for event in events if event.name == "delta"]
    if mode == "windowed":
        kept = [json.loads(each.contents["released"])["text"] for each in ledger.entries]
        assert kept == [*deltas[:-1], TEXT]
    else:
        opening, decided = ledger.entries
        assert opening.contents == {}
        assert opening.origin == decided.origin
    sent = ledger.records[0].sent
    assert sent is not None
    assert not sent.retracted


@pytest.mark.parametrize("mode", ["windowed", "audit_only"])
async def test_without_a_ledger_nothing_leaves(make_caller: MakeCaller, mode: str) -> None:
    ledger = FakeLedger(error=LedgerError("disk full", retry_after=5))
    caller = await make_caller(FakeModel(TEXT), ledger=ledger, policies=(policy(mode),))

    answer = await caller.respond(STREAM)

    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert TEXT[:5] not in answer.text


@pytest.mark.parametrize("mode", MODES)
async def test_an_error_before_the_first_byte_is_an_http_error(
    make_caller: MakeCaller, mode: str
) -> None:
    model = FakeModel(TEXT, generate_error=UpstreamError("failed"))
    caller = await make_caller(model, policies=(policy(mode),))

    answer = await caller.respond(STREAM)

    assert answer.status_code == 502
    assert answer.json()["type"] == "urn:inwit:problem:upstream-error"


@pytest.mark.parametrize("mode", ["windowed", "audit_only"])
async def test_a_model_that_fails_half_way_cuts_the_stream(
    make_caller: MakeCaller, mode: str
) -> None:
    ledger, model = FakeLedger(), FakeModel(TEXT, breaks_at=150)
    caller = await make_caller(model, ledger=ledger, policies=(policy(mode),))

    reader = Reader().take(events_in((await caller.respond(STREAM)).text))

    assert reader.error is not None
    assert reader.error["type"] == "urn:inwit:problem:upstream-error"
    assert TEXT.startswith(reader.text)
    assert reader.text
    await caller.background.idle()
    cut = ledger.entries[-1]
    assert json.loads(cut.contents["released"])["text"] == reader.text


async def test_a_window_that_cannot_be_reviewed_waits_for_the_next(
    make_caller: MakeCaller,
) -> None:
    # In doubt, and no classifier answers: by itself that would block.
    model = slow(answers=[risk_of(0.5), PASS], answer=PASS)
    failing = FakeClassifiers(risk=None)
    caller = await make_caller(
        model, classifiers=failing, ledger=FakeLedger(), policies=(policy("windowed"),)
    )

    events = events_in((await caller.respond(STREAM)).text)

    assert events[0].data["content"] == TEXT[:90]
    assert Reader().take(events).text == TEXT


async def test_tool_calls_leave_whole_and_after_the_decision(make_caller: MakeCaller) -> None:
    call = ToolCall("call_1", "look_up", '{"id": 7}')
    offered = policy("audit_only", tools={"look_up": {}})
    model = slow(tool_calls=(call,))
    caller = await make_caller(model, ledger=FakeLedger(), policies=(offered,))
    tool = {"type": "function", "function": {"name": "look_up"}}

    events = events_in((await caller.respond({**STREAM, "tools": [tool]})).text)

    assert names(events) == ["delta", "decision", "delta", "done"]
    assert events[-2].data == {"tool_calls": [call.as_openai()]}


@pytest.mark.parametrize("mode", MODES)
async def test_private_data_is_masked_as_in_the_json_answer(
    make_caller: MakeCaller, mode: str
) -> None:
    text = f"{TEXT * 4}Write to ana@example.org or bob@example.org. {TEXT * 4}"
    masking = policy(mode, redact={"mask": ["email"]})
    caller = await make_caller(FakeModel(text), policies=(masking,))
    whole = (await caller.respond()).json()

    answer = await caller.respond(STREAM)

    assert "@" not in answer.text
    reader = Reader().take(events_in(answer.text))
    assert reader.text == whole["output"]["content"]
    assert "[EMAIL_2]" in reader.text


@pytest.mark.parametrize(
    ("mode", "series"),
    [
        ("windowed", 'inwit_windows_total{outcome="passed",policy="default"}'),
        ("audit_only", 'inwit_released_before_review_total{policy="default"}'),
        (
            "audit_only",
            'inwit_responses_total{action="allow",enforcement="audit_only",policy="default"}',
        ),
        ("windowed", 'inwit_first_release_seconds_count{enforcement="windowed"}'),
        ("buffer", 'inwit_streams_total{end="done"}'),
    ],
)
async def test_streams_are_counted(make_caller: MakeCaller, mode: str, series: str) -> None:
    caller = await make_caller(slow(TEXT), ledger=FakeLedger(), policies=(policy(mode),))
    counted = await counting(caller, series)

    await caller.respond(STREAM)

    assert await counted.grown() > 0


async def test_an_input_that_blocks_is_known_before_anything_leaves(
    make_caller: MakeCaller,
) -> None:
    blocking = policy("audit_only", input={"use": ["guard"], "on_flag": "block"})
    classifiers = FakeClassifiers(input_risk=0.95)
    caller = await make_caller(FakeModel(TEXT), classifiers=classifiers, policies=(blocking,))

    events = events_in((await caller.respond(STREAM)).text)

    assert names(events) == ["decision", "delta", "done"]
    assert Reader().take(events).text == blocking.fallback_text


async def test_many_streams_at_once_do_not_mix(make_caller: MakeCaller) -> None:
    caller = await make_caller(FakeModel(TEXT), policies=(policy("windowed"),))

    answers = await asyncio.gather(*(caller.respond(STREAM) for _ in range(6)))

    for answer in answers:
        events = events_in(answer.text)
        assert {event.id.split("/")[0] for event in events} == {answer.headers["x-inwit-response"]}
        assert Reader().take(events).text == TEXT
