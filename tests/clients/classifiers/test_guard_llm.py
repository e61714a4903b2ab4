"""The guard client against a real HTTP server on loopback that misbehaves in every way."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from inwit.clients.classifiers.families import FAMILIES
from inwit.clients.classifiers.guard_llm import MAX_ANSWER_BYTES, GuardLLM
from inwit.clients.transport import JsonTransport
from inwit.types import Category, Exchange, Fault, ReviewStatus, Usage
from tests.fakes_guard import ANSWERED, ASKED, GUARD, Behaviour, FakeGuardServer, spread
from tests.patience import longer_and_longer

LONG = 60.0  # seconds; only what hangs takes a part of it

Guarded = Callable[..., AbstractAsyncContextManager[GuardLLM]]


@pytest.fixture
async def server() -> AsyncGenerator[FakeGuardServer]:
    async with FakeGuardServer().running() as running:
        yield running


@pytest.fixture
def guarded(server: FakeGuardServer) -> Guarded:
    @asynccontextmanager
    async def opened(family: str = "llama_guard_3", **settings: Any) -> AsyncGenerator[GuardLLM]:
        transport = JsonTransport(server.base_url, what="guard server")
        guard = GuardLLM("guard", FAMILIES[family], transport, **settings)
        await guard.open()
        try:
            yield guard
        finally:
            await guard.close()

    return opened


async def test_a_verdict_says_who_judged_what_and_covers_it(
    server: FakeGuardServer, guarded: Guarded
) -> None:
    server.says = lambda _body: "\n\nunsafe\nS10,S9"
    server.positions = (
        spread("\n\n"), spread("unsafe", {"unsafe": 0.72, "safe": 0.18, "The": 0.1}),
    )  # fmt: skip

    async with guarded() as guard:
        verdict = await guard.classify(ANSWERED, LONG)

    assert (verdict.judge, verdict.model, verdict.covers) == ("guard", GUARD, ANSWERED.covers)
    assert verdict.status is ReviewStatus.JUDGED
    assert verdict.risk == pytest.approx(0.8)
    assert verdict.label_mass == pytest.approx(0.9)
    assert verdict.categories == (Category.HATE, Category.WEAPONS)
    assert verdict.labels == ("S10: Hate", "S9: Indiscriminate Weapons")
    assert verdict.usage == Usage(300, 3, 256)
    assert server.bodies[0]["model"] == GUARD


async def test_a_category_that_the_policy_does_not_ask_about_is_a_label_only(
    server: FakeGuardServer, guarded: Guarded
) -> None:
    server.says = lambda _body: "unsafe\nS12,S10"

    async with guarded() as guard:
        verdict = await guard.classify(ANSWERED, LONG)
        of_all = await guard.classify(replace(ANSWERED, harms=()), LONG)

    assert verdict.categories == (Category.HATE,)
    assert verdict.labels == of_all.labels == ("S12: Sexual Content", "S10: Hate")
    assert of_all.categories == (Category.SEXUAL_CONTENT, Category.HATE)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("exchange", [ANSWERED, ASKED], ids=["answer", "input"])
async def test_every_family_is_asked_on_its_route(
    server: FakeGuardServer, guarded: Guarded, family: str, exchange: Exchange
) -> None:
    server.alternate = family.startswith("llama")
    async with guarded(family, model="named") as guard:
        assert guard.judges_input
        await guard.classify(exchange, LONG)

    asked = FAMILIES[family].ask(exchange)
    assert server.paths == [f"/v1{question.path}" for question in asked]
    assert {body["model"] for body in server.bodies} == {"named"}


async def test_the_worst_guideline_is_the_risk(server: FakeGuardServer, guarded: Guarded) -> None:
    server.says = lambda body: "Yes" if '"No Hate Speech"' in body["prompt"] else "No"
    server.finish_reason = "length"

    async with guarded("shieldgemma") as guard:
        verdict = await guard.classify(ANSWERED, LONG)

    assert (verdict.risk, verdict.categories) == (1.0, (Category.HATE,))
    assert verdict.usage == Usage(1200, 12, 1024)


@pytest.mark.parametrize("one_shape", [False, True], ids=["vllm", "llama.cpp"])
async def test_log_probabilities_of_plain_text_are_read_too(
    server: FakeGuardServer, guarded: Guarded, one_shape: bool
) -> None:
    server.one_shape = one_shape
    server.says = lambda _body: "No"
    server.positions = (spread("No", {"No": 0.75, "Yes": 0.25}),)

    async with guarded("shieldgemma") as guard:
        verdict = await guard.classify(ANSWERED, LONG)

    assert verdict.risk == pytest.approx(0.25)


async def test_one_guideline_without_an_answer_leaves_the_whole_unjudged(
    server: FakeGuardServer, guarded: Guarded
) -> None:
    server.says = lambda body: "Maybe" if '"No Harassment"' in body["prompt"] else "No"

    async with guarded("shieldgemma") as guard:
        verdict = await guard.classify(ANSWERED, LONG)

    assert (verdict.status, verdict.fault) == (ReviewStatus.UNAVAILABLE, Fault.MALFORMED_ANSWER)
    assert verdict.usage.prompt_tokens == 1200


@pytest.mark.parametrize(
    ("behaviour", "fault"),
    [
        ("error_500", Fault.UPSTREAM),
        ("refuse_429", Fault.UPSTREAM),
        ("hang_up", Fault.UPSTREAM),
        ("garbage", Fault.UPSTREAM),
        ("huge", Fault.UPSTREAM),
        ("wrong_types", Fault.UPSTREAM),
        ("bad_usage", Fault.UPSTREAM),
        ("too_long", Fault.DOES_NOT_FIT),
        ("no_choices", Fault.MALFORMED_ANSWER),
        ("two_choices", Fault.MALFORMED_ANSWER),
        ("null_content", Fault.MALFORMED_ANSWER),
    ],
)
@pytest.mark.parametrize("family", ["llama_guard_3", "shieldgemma"])
async def test_a_server_that_fails_is_a_verdict_and_no_pass(
    server: FakeGuardServer, guarded: Guarded, family: str, behaviour: Behaviour, fault: Fault
) -> None:
    server.behaviour = behaviour
    server.says = lambda body: "safe" if "messages" in body else "No"

    async with guarded(family) as guard:
        verdict = await guard.classify(ANSWERED, LONG)
        server.behaviour = "ok"
        again = await guard.classify(ANSWERED, LONG)

    cut = fault is Fault.DOES_NOT_FIT
    assert verdict.status is (ReviewStatus.TRUNCATED if cut else ReviewStatus.UNAVAILABLE)
    assert (verdict.fault, verdict.risk, verdict.covers) == (fault, None, ANSWERED.covers)
    assert (again.status, again.risk) == (ReviewStatus.JUDGED, 0.0)


async def test_an_answer_of_megabytes_is_not_read(
    server: FakeGuardServer, guarded: Guarded
) -> None:
    server.says = lambda _body: "\n" * (2**20) + "safe"

    async with guarded() as guard:
        verdict = await guard.classify(ANSWERED, LONG)

    assert verdict.fault is Fault.MALFORMED_ANSWER


async def test_the_transport_can_be_bounded_closer(server: FakeGuardServer) -> None:
    server.says = lambda _body: "\n" * MAX_ANSWER_BYTES
    transport = JsonTransport(server.base_url, max_answer_bytes=MAX_ANSWER_BYTES)
    guard = GuardLLM("guard", FAMILIES["llama_guard_3"], transport)
    await guard.open()
    try:
        assert (await guard.classify(ANSWERED, LONG)).fault is Fault.UPSTREAM
    finally:
        await guard.close()


@pytest.mark.parametrize("bound", ["the caller's", "its own"])
async def test_a_server_that_hangs_is_left_in_time(
    server: FakeGuardServer, guarded: Guarded, bound: str
) -> None:
    server.behaviour = "hang"

    for time_s in longer_and_longer(server.hanging.is_set, 0.2, 5, 50):
        own, callers = (time_s, LONG) if bound == "its own" else (None, time_s)
        async with guarded(timeout_s=own) as guard:
            verdict = await guard.classify(ANSWERED, callers)
        assert (verdict.status, verdict.fault) == (ReviewStatus.UNAVAILABLE, Fault.TIMEOUT)

    async with asyncio.timeout(LONG):
        await server.cancelled.wait()


async def test_a_caller_that_goes_takes_its_requests_along(
    server: FakeGuardServer, guarded: Guarded
) -> None:
    server.behaviour = "hang"

    async with guarded("shieldgemma") as guard:
        task = asyncio.create_task(guard.classify(ANSWERED, LONG))
        async with asyncio.timeout(LONG):
            await server.hanging.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await server.cancelled.wait()


@pytest.mark.parametrize(
    ("behaviour", "fault"),
    [
        ("error_500", Fault.UPSTREAM),
        ("garbage", Fault.UPSTREAM),
        ("no_models", Fault.UPSTREAM),
        ("bad_model_name", Fault.UPSTREAM),
        ("too_long", Fault.DOES_NOT_FIT),
    ],
)
async def test_a_server_that_does_not_say_what_it_serves(
    server: FakeGuardServer, guarded: Guarded, behaviour: Behaviour, fault: Fault
) -> None:
    server.models_behaviour = behaviour

    async with guarded() as guard:
        verdict = await guard.classify(ANSWERED, LONG)
        server.models_behaviour = "ok"
        again = await guard.classify(ANSWERED, LONG)

    assert (verdict.fault, verdict.model) == (fault, None)
    assert again.status is ReviewStatus.JUDGED


async def test_another_model_on_the_server_is_found_after_a_failure(
    server: FakeGuardServer, guarded: Guarded
) -> None:
    async with guarded() as guard:
        await guard.classify(ANSWERED, LONG)
        server.model, server.behaviour = "fake/guard-9", "error_500"
        await guard.classify(ANSWERED, LONG)
        server.behaviour = "ok"
        verdict = await guard.classify(ANSWERED, LONG)

    assert verdict.model == "fake/guard-9"


async def test_roles_that_a_template_refuses_are_no_pass(
    server: FakeGuardServer, guarded: Guarded
) -> None:
    server.alternate = True
    server.says = lambda _body: "<score> no </score>"

    async with guarded("granite_guardian_4_1") as guard:
        verdict = await guard.classify(ASKED, LONG)

    assert verdict.fault is Fault.REFUSED


async def test_a_closed_guard_is_unavailable(server: FakeGuardServer) -> None:
    guard = GuardLLM("guard", FAMILIES["llama_guard_3"], JsonTransport(server.base_url))

    assert (await guard.classify(ANSWERED, LONG)).fault is Fault.UPSTREAM
