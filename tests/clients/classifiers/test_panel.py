"""The panel: order, deadlines, breakers, limits. Real servers on loopback behind its members."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from inwit.clients.classifiers.breaker import BreakerLimits, BreakerState
from inwit.clients.classifiers.http import HttpClassifier
from inwit.clients.classifiers.panel import Panel, Seat
from inwit.types import Fault, ReviewStatus, Verdict
from tests.fakes_classifiers import COVERS, Clock, FakeHttp, FakeMember, exchange

BOTH = ("first", "second")
SHOWN = exchange()
LIMITS = BreakerLimits(failures=2, cooldown_s=5.0, longest_cooldown_s=20.0)


@pytest.fixture
async def first() -> AsyncGenerator[FakeHttp]:
    async with FakeHttp({"risk": 0.1}).running() as running:
        yield running


@pytest.fixture
async def second() -> AsyncGenerator[FakeHttp]:
    async with FakeHttp({"risk": 0.2}).running() as running:
        yield running


MakePanel = Callable[..., Any]


@pytest.fixture
async def panel_of(first: FakeHttp, second: FakeHttp, clock: Clock) -> AsyncGenerator[MakePanel]:
    """Opens a panel on both servers; the bounds are those of the first seat."""
    async with AsyncExitStack() as stack:

        async def make(**bounds: Any) -> Panel:
            bounds.setdefault("breaker", LIMITS)
            one = HttpClassifier("first", first.base_url)
            two = HttpClassifier("second", second.base_url, judges_input=True)
            panel = Panel([Seat(one, **bounds), Seat(two, timeout_ms=60_000)], clock=clock)
            await panel.open()
            stack.push_async_callback(panel.close)
            return panel

        yield make


@pytest.fixture
def clock() -> Clock:
    return Clock()


def failed(name: str, fault: Fault, status: ReviewStatus = ReviewStatus.UNAVAILABLE) -> Verdict:
    return Verdict(name, status, fault=fault, covers=COVERS)


async def test_the_first_one_asked_answers(panel_of: MakePanel, second: FakeHttp) -> None:
    panel = await panel_of()

    verdict = await panel.classify(BOTH, SHOWN, 60)

    assert (verdict.judge, verdict.risk, verdict.covers) == ("first", 0.1, COVERS)
    assert not second.bodies
    assert (await panel.classify(("second", "first"), SHOWN, 60)).judge == "second"
    assert panel.names == BOTH
    assert [panel.judges_input(name) for name in BOTH] == [False, True]


FAILURES: dict[str, dict[str, Any]] = {
    "error": {"status": 500},
    "redirect": {"status": 307, "answer_headers": {"Location": "/elsewhere"}},
    "malformed": {"answer": {"risk": 7}},
    "hang": {"manner": "hang"},
    "hang up": {"manner": "hang_up"},
    "cut": {"manner": "cut"},
    "endless": {"manner": "endless"},
    "does not fit": {"status": 413, "answer": b"context length"},
}


def behave(server: FakeHttp, how: str) -> None:
    for name, value in FAILURES[how].items():
        setattr(server, name, value)


@pytest.mark.parametrize("how", FAILURES)
async def test_whatever_fails_the_next_one_is_asked(
    panel_of: MakePanel, first: FakeHttp, how: str
) -> None:
    behave(first, how)
    panel = await panel_of(timeout_ms=200)

    verdict = await panel.classify(BOTH, SHOWN, 60)

    assert (verdict.judge, verdict.risk) == ("second", 0.2)


async def test_one_that_hangs_leaves_time_for_the_next(
    panel_of: MakePanel, first: FakeHttp
) -> None:
    first.manner = "hang"
    panel = await panel_of(timeout_ms=600_000)

    judges: list[str] = []
    for time_s in (2, 60):  # half of the first is enough, but on a machine that stands still
        judges.append((await panel.classify(BOTH, SHOWN, time_s)).judge)
        if judges[-1] == "second":
            break

    assert judges[-1] == "second"


async def test_a_quick_fallback_leaves_the_first_more_than_half() -> None:
    allowed: list[float] = []

    class Listening(FakeMember):
        async def classify(self, exchange: Any, timeout_s: float) -> Verdict:
            allowed.append(timeout_s)
            return failed(self.name, Fault.UPSTREAM)

    panel = Panel([Seat(Listening("first"), 60_000_000), Seat(Listening("second"), 100_000)])

    await panel.classify(BOTH, SHOWN, 2_000)
    await panel.classify(("second", "first"), SHOWN, 2_000)

    assert allowed == pytest.approx([1_900, 100, 100, 2_000], abs=50)


async def test_the_round_ends_at_its_deadline(
    panel_of: MakePanel, first: FakeHttp, second: FakeHttp
) -> None:
    first.manner = second.manner = "hang"
    panel = await panel_of(timeout_ms=600_000)

    async with asyncio.timeout(50):
        verdict = await panel.classify(BOTH, SHOWN, 0.2)

    assert verdict == failed("first", Fault.TIMEOUT)


async def test_with_no_time_left_nobody_is_asked() -> None:
    member = FakeMember("first")
    panel = Panel([Seat(member)])

    assert await panel.classify(("first",), SHOWN, 0.0) == failed("first", Fault.TIMEOUT)
    assert not member.asked


@pytest.mark.parametrize(
    ("one", "two", "told"),
    [
        (Fault.UPSTREAM, Fault.TIMEOUT, "first"),
        (Fault.BUSY, Fault.TIMEOUT, "second"),
        (Fault.BREAKER_OPEN, Fault.BUSY, "first"),
        (Fault.UPSTREAM, Fault.DOES_NOT_FIT, "second"),
        (Fault.BUSY, Fault.DOES_NOT_FIT, "second"),
    ],
)
async def test_where_none_judges_the_most_telling_failure_is_given(
    one: Fault, two: Fault, told: str
) -> None:
    status = ReviewStatus.TRUNCATED if two is Fault.DOES_NOT_FIT else ReviewStatus.UNAVAILABLE
    given = {"first": failed("first", one), "second": failed("second", two, status)}
    panel = Panel([Seat(FakeMember(name, verdict)) for name, verdict in given.items()])

    assert await panel.classify(BOTH, SHOWN, 60) == given[told]


@pytest.mark.parametrize("how", ["error", "hang", "hang up"])
async def test_failures_in_a_row_open_the_breaker_and_a_trial_closes_it(
    panel_of: MakePanel, first: FakeHttp, clock: Clock, how: str
) -> None:
    behave(first, how)
    panel = await panel_of(timeout_ms=400)
    for _ in range(LIMITS.failures):
        await panel.classify(("first",), SHOWN, 60)
    sent = len(first.bodies)

    assert panel.states() == {"first": BreakerState.OPEN, "second": BreakerState.CLOSED}
    assert await panel.classify(("first",), SHOWN, 60) == failed("first", Fault.BREAKER_OPEN)
    assert (await panel.classify(BOTH, SHOWN, 60)).judge == "second"
    assert len(first.bodies) == sent

    first.status, first.manner, first.answer = 200, "answer", {"risk": 0.3}
    clock.now += LIMITS.cooldown_s
    assert panel.states()["first"] is BreakerState.HALF_OPEN
    while (await panel.classify(("first",), SHOWN, 60)).risk is None:  # which was too slow
        clock.now += LIMITS.longest_cooldown_s
    assert panel.states()["first"] is BreakerState.CLOSED


async def test_one_trial_at_once_and_a_cancelled_one_frees_its_place(
    panel_of: MakePanel, first: FakeHttp, clock: Clock
) -> None:
    behave(first, "error")
    panel = await panel_of(timeout_ms=60_000)
    for _ in range(LIMITS.failures):
        await panel.classify(("first",), SHOWN, 60)
    clock.now += LIMITS.cooldown_s
    first.status, first.manner = 200, "hang"

    trial = asyncio.create_task(panel.classify(("first",), SHOWN, 60))
    await first.hanging.wait()
    assert (await panel.classify(("first",), SHOWN, 60)).fault is Fault.BREAKER_OPEN
    trial.cancel()
    await asyncio.gather(trial, return_exceptions=True)

    first.manner, first.answer = "answer", {"risk": 0.3}
    assert (await panel.classify(("first",), SHOWN, 60)).risk == 0.3


@pytest.mark.parametrize("fault", [Fault.DOES_NOT_FIT, Fault.BUSY, Fault.LOW_LABEL_MASS])
async def test_what_speaks_of_the_exchange_opens_no_breaker(fault: Fault) -> None:
    member = FakeMember("first", failed("first", fault))
    panel = Panel([Seat(member, breaker=LIMITS)])

    for _ in range(10):
        await panel.classify(("first",), SHOWN, 60)

    assert member.asked == 10
    assert panel.states()["first"] is BreakerState.CLOSED


async def test_callers_in_a_hurry_open_no_breaker(panel_of: MakePanel, first: FakeHttp) -> None:
    first.manner = "hang"
    panel = await panel_of(timeout_ms=1_000)

    for _ in range(LIMITS.failures + 1):
        assert (await panel.classify(("first",), SHOWN, 0.02)).fault is Fault.TIMEOUT

    assert panel.states()["first"] is BreakerState.CLOSED


async def test_a_full_member_refuses_at_once_and_a_cancelled_call_makes_room(
    panel_of: MakePanel, first: FakeHttp
) -> None:
    first.manner = "hang"
    panel = await panel_of(timeout_ms=60_000, max_in_flight=1)
    call = asyncio.create_task(panel.classify(BOTH, SHOWN, 60))
    await first.hanging.wait()

    assert await panel.classify(("first",), SHOWN, 60) == failed("first", Fault.BUSY)
    assert (await panel.classify(BOTH, SHOWN, 60)).judge == "second"

    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    async with asyncio.timeout(60):
        await first.cancelled.wait()
    first.manner = "answer"
    assert (await panel.classify(BOTH, SHOWN, 60)).judge == "first"
    assert panel.states()["first"] is BreakerState.CLOSED


@pytest.mark.parametrize("error", [RuntimeError("quoted"), TimeoutError(), KeyError("quoted")])
async def test_a_member_that_raises_is_a_failure_and_is_not_quoted(error: Exception) -> None:
    panel = Panel([Seat(FakeMember("first", error)), Seat(FakeMember("second"))])

    with capture_logs() as logs:
        alone = await panel.classify(("first",), SHOWN, 60)

    fault = Fault.TIMEOUT if isinstance(error, TimeoutError) else Fault.UPSTREAM
    assert alone == failed("first", fault)
    assert "quoted" not in repr(logs)
    assert [entry["error"] for entry in logs] == [type(error).__name__] * (fault is Fault.UPSTREAM)
    assert (await panel.classify(BOTH, SHOWN, 60)).judge == "second"


@pytest.mark.parametrize(
    "wrong",
    [
        Verdict("first", ReviewStatus.JUDGED, risk=0.0, covers="cd" * 32),
        Verdict("other", ReviewStatus.JUDGED, risk=0.0, covers=COVERS),
    ],
)
async def test_a_judgement_of_something_else_never_counts(wrong: Verdict) -> None:
    panel = Panel([Seat(FakeMember("first", wrong))])

    assert await panel.classify(("first",), SHOWN, 60) == failed("first", Fault.UPSTREAM)


async def test_a_member_that_does_not_judge_input_is_not_asked_to(
    panel_of: MakePanel, first: FakeHttp
) -> None:
    panel = await panel_of()

    verdict = await panel.classify(BOTH, exchange(None), 60)

    assert verdict.judge == "second"
    assert not first.bodies


@pytest.mark.parametrize(("names", "judge"), [((), "classifiers"), (("nobody",), "nobody")])
async def test_nobody_to_ask_is_a_failure(
    panel_of: MakePanel, names: tuple[str, ...], judge: str
) -> None:
    panel = await panel_of()

    assert await panel.classify(names, SHOWN, 60) == failed(judge, Fault.UPSTREAM)
    assert (await panel.classify((*names, "second"), SHOWN, 60)).judge == "second"


def calls(name: str, outcome: str) -> float:
    labels = {"classifier": name, "outcome": outcome}
    return REGISTRY.get_sample_value("inwit_classifier_calls_total", labels) or 0.0


async def test_every_call_is_counted(panel_of: MakePanel, first: FakeHttp, clock: Clock) -> None:
    outcomes = ("judged", "upstream_error", "breaker_open", "cancelled")
    before = {outcome: calls("first", outcome) for outcome in outcomes}
    panel = await panel_of(timeout_ms=60_000)

    await panel.classify(("first",), SHOWN, 60)
    first.manner = "hang"
    call = asyncio.create_task(panel.classify(("first",), SHOWN, 60))
    await first.hanging.wait()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    first.manner = "hang_up"
    for _ in range(LIMITS.failures + 3):
        await panel.classify(("first",), SHOWN, 60)

    assert {outcome: calls("first", outcome) - before[outcome] for outcome in outcomes} == {
        "judged": 1,
        "upstream_error": 2,
        "breaker_open": 3,
        "cancelled": 1,
    }
    assert panel.states()["first"] is BreakerState.OPEN
    clock.now += LIMITS.cooldown_s
    assert panel.states()["first"] is BreakerState.HALF_OPEN
    took = REGISTRY.get_sample_value("inwit_classifier_seconds_count", {"classifier": "first"})
    assert took
    assert took >= 4


async def test_a_breaker_that_opens_and_closes_is_logged_once(
    panel_of: MakePanel, first: FakeHttp, clock: Clock
) -> None:
    panel = await panel_of()
    first.status = 500
    with capture_logs() as logs:
        for _ in range(LIMITS.failures + 3):
            await panel.classify(("first",), SHOWN, 60)
        clock.now += LIMITS.cooldown_s
        first.status = 200
        await panel.classify(("first",), SHOWN, 60)

    assert [entry["state"] for entry in logs] == ["open", "closed"]


async def test_members_are_opened_together_or_not_at_all() -> None:
    one, two = FakeMember("first"), FakeMember("second")
    panel = Panel([Seat(one), Seat(two)])
    await panel.open()
    assert (one.opened, two.opened) == (True, True)
    await panel.close()
    assert (one.opened, two.opened) == (False, False)

    two.open_error = RuntimeError("no file")
    with pytest.raises(RuntimeError, match="no file"):
        await panel.open()
    assert not one.opened
    await panel.close()


def test_names_are_unique_and_bounds_positive() -> None:
    with pytest.raises(ValueError, match="same name"):
        Panel([Seat(FakeMember("first")), Seat(FakeMember("first"))])
    with pytest.raises(ValueError, match="must be positive"):
        Seat(FakeMember("first"), timeout_ms=0)
    with pytest.raises(ValueError, match="must be positive"):
        Seat(FakeMember("first"), max_in_flight=0)
