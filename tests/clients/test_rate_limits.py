"""What callers may use in a minute; on a real Redis in tests/process/test_rate_limits.py."""

import asyncio
import math
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from limits.aio.storage import memory
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from inwit.clients.rate_limits import RateLimiter
from inwit.config import RateRules, load_settings
from inwit.errors import RateLimited, SetupError
from inwit.types import Principal
from tests.process.processes import free_port


def caller(key_id: str = "0a1b2c", tenant: str = "acme") -> Principal:
    return Principal(key_id, tenant, ("default",), frozenset())


def rules(**parts: Any) -> RateRules:
    return RateRules.model_validate(parts)


async def refusal(limiter: RateLimiter, principal: Principal) -> RateLimited | None:
    try:
        await limiter.admit(principal)
    except RateLimited as error:
        return error
    return None


async def admitted(limiter: RateLimiter, principal: Principal, times: int) -> int:
    """How many of so many requests are admitted, one after the other."""
    refusals = [await refusal(limiter, principal) for _ in range(times)]
    return refusals.count(None)


@asynccontextmanager
async def opened(limiter: RateLimiter) -> AsyncGenerator[RateLimiter]:
    await limiter.open()
    try:
        yield limiter
    finally:
        await limiter.close()


@dataclass
class Clock:
    """Time as the counts in memory see it; it goes on when told."""

    now: float = 1_800_000_000.0

    def time(self) -> float:
        return self.now


@contextmanager
def told_time(start: float = 1_800_000_000.0) -> Generator[Clock]:
    clock = Clock(start)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "time", clock)
        yield clock


@pytest.fixture
def clock() -> Generator[Clock]:
    with told_time() as clock:
        yield clock


async def test_a_key_gets_its_requests_and_then_a_429_with_words(clock: Clock) -> None:
    limiter = RateLimiter(rules(key={"requests": 3}), None)

    first = await limiter.admit(caller())
    clock.now += 18
    await admitted(limiter, caller(), 2)
    error = await refusal(limiter, caller())

    assert first.headers == {
        "RateLimit-Policy": '"key-requests";q=3;w=60',
        "RateLimit": '"key-requests";r=2;t=60',
    }
    assert error is not None
    assert (error.status, error.kind, error.retry_after) == (429, "rate-limited", 43)
    assert error.detail == "This API key has used up its 3 requests a minute. Try again in 43 s."
    assert error.headers["RateLimit"] == '"key-requests";r=0;t=42'
    assert await admitted(limiter, caller("other"), 1) == 1


async def test_all_limits_of_a_caller_stand_in_the_headers(clock: Clock) -> None:
    limits = {"requests": 600, "tokens": 200_000}
    limiter = RateLimiter(rules(key=limits, tenant={"requests": 1000, "tokens": 10**12}), None)

    await limiter.admit(caller())
    await limiter.spend(caller(), 700)
    clock.now += 18.5
    headers = (await limiter.admit(caller())).headers

    assert headers["RateLimit-Policy"] == (
        '"key-requests";q=600;w=60, "key-tokens";q=200000;qu="tokens";w=60, '
        '"tenant-requests";q=1000;w=60, "tenant-tokens";q=1000000000000;qu="tokens";w=60'
    )
    assert headers["RateLimit"] == (
        '"key-requests";r=598;t=42, "key-tokens";r=199300;t=42, '
        '"tenant-requests";r=998;t=42, "tenant-tokens";r=999999999300;t=42'
    )


async def test_the_keys_of_a_tenant_share_its_limit(clock: Clock) -> None:
    limiter = RateLimiter(rules(key={"requests": 9}, tenant={"requests": 3}), None)

    assert await admitted(limiter, caller("one"), 2) == 2
    assert await admitted(limiter, caller("two"), 2) == 1
    error = await refusal(limiter, caller("three"))
    assert error is not None
    assert error.detail.startswith("This API key's tenant has used up its 3 requests")
    assert await admitted(limiter, caller("one", "other"), 1) == 1


async def test_a_refused_request_takes_nothing_from_any_limit(clock: Clock) -> None:
    limiter = RateLimiter(rules(key={"requests": 5}, tenant={"requests": 2, "tokens": 10}), None)
    await admitted(limiter, caller(), 50)
    error = await refusal(limiter, caller())
    assert error is not None
    assert '"key-requests";r=3;' in error.headers["RateLimit"]
    assert '"tenant-requests";r=0;' in error.headers["RateLimit"]

    await limiter.spend(caller("one", "other"), 10)
    assert await admitted(limiter, caller("one", "other"), 50) == 0
    error = await refusal(limiter, caller("one", "other"))
    assert error is not None
    assert '"key-requests";r=5;' in error.headers["RateLimit"]


async def test_of_two_limits_used_up_the_one_to_wait_longer_for_is_named(clock: Clock) -> None:
    limiter = RateLimiter(rules(key={"requests": 1, "tokens": 10}), None)

    await limiter.admit(caller())
    await limiter.spend(caller(), 20)
    error = await refusal(limiter, caller())

    assert error is not None
    assert error.detail.startswith("This API key has used up its 10 tokens")
    assert error.retry_after == 60 + 30 + 1
    assert error.headers["RateLimit"] == '"key-requests";r=0;t=60, "key-tokens";r=0;t=90'


async def test_tokens_past_the_limit_are_debts_of_the_next_minute(clock: Clock) -> None:
    limiter = RateLimiter(rules(tenant={"tokens": 100}), None)
    await limiter.spend(caller(), 99)
    await limiter.admit(caller())  # one token is left, so it comes in
    await limiter.spend(caller(), 201)

    waits = await refusal(limiter, caller())
    assert waits is not None
    assert waits.retry_after == 60 + 40 + 1
    clock.now += 99
    assert await refusal(limiter, caller()) is not None
    clock.now += 2
    assert await refusal(limiter, caller()) is None
    assert await refusal(limiter, caller()) is None  # which costs no tokens yet


@pytest.mark.parametrize("huge", [10**12, 10**15, 10**30, 10**400])
async def test_no_amount_that_a_model_server_may_report_is_a_way_round(
    huge: int, clock: Clock
) -> None:
    limiter = RateLimiter(rules(tenant={"tokens": 100}), None)

    for nonsense in (0, -5, -huge):
        await limiter.spend(caller(), nonsense)
    assert await refusal(limiter, caller()) is None
    await limiter.spend(caller(), huge)
    error = await refusal(limiter, caller())

    assert error is not None
    assert error.retry_after is not None
    assert error.retry_after <= 121


async def test_no_time_in_the_headers_is_past_retry_after(clock: Clock) -> None:
    limiter = RateLimiter(rules(key={"requests": 3, "tokens": 50}), None)
    await admitted(limiter, caller(), 3)
    clock.now += 90  # half of the next minute: what came before weighs half

    assert await admitted(limiter, caller(), 3) == 2
    error = await refusal(limiter, caller())

    assert error is not None
    assert error.retry_after == 11
    assert error.headers["RateLimit"] == '"key-requests";r=0;t=10, "key-tokens";r=50;t=11'


async def test_without_limits_nothing_is_counted_and_redis_is_not_asked() -> None:
    away = f"redis://127.0.0.1:{free_port()}"
    nobody = rules(key={}, tenants={"acme": {"tokens": None}})
    async with opened(RateLimiter(nobody, away)) as limiter:
        allowance = await limiter.admit(caller())
        await limiter.spend(caller(), 1)

        assert (dict(allowance.headers), limiter.local) == ({}, False)


async def test_a_caller_named_in_the_rules_has_its_own_limits(clock: Clock) -> None:
    limiter = RateLimiter(
        rules(
            key={"requests": 2, "tokens": 50},
            keys={"big": {"requests": 4}, "free": {"requests": None, "tokens": None}},
            tenants={"small": {"requests": 1}},
        ),
        None,
    )

    assert await admitted(limiter, caller("any"), 9) == 2
    assert await admitted(limiter, caller("big"), 9) == 4
    assert await admitted(limiter, caller("free"), 9) == 9
    assert await admitted(limiter, caller("free", "small"), 9) == 1
    assert "key-tokens" in (await limiter.admit(caller("new"))).headers["RateLimit"]
    error = await refusal(limiter, caller("big"))
    assert error is not None
    assert '"key-tokens";q=50;' in error.headers["RateLimit-Policy"]


Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(st.sampled_from(["admit", "spend"]), st.integers(1, 30))
    | st.tuples(st.just("wait"), st.integers(1, 130_000)),
    min_size=1,
    max_size=40,
)
SOME = st.none() | st.integers(1, 20)
RATES = st.fixed_dictionaries({"requests": SOME, "tokens": SOME})
RULES = st.fixed_dictionaries({"key": RATES, "tenant": RATES}).map(RateRules.model_validate)


@settings(max_examples=200, deadline=None)
@given(RULES, STEPS, st.floats(1.7e9, 1.9e9))
def test_who_waits_retry_after_is_admitted_and_none_is_told_to_wait_much_longer(
    some: RateRules, steps: list[Step], start: float
) -> None:
    async def run() -> None:
        limiter = RateLimiter(some, None)
        with told_time(start) as clock:
            for step, amount in steps:
                if step == "wait":
                    clock.now += amount / 1000
                elif step == "spend":
                    await limiter.spend(caller(), amount)
                elif (error := await refusal(limiter, caller())) is not None:
                    assert error.retry_after is not None
                    assert 1 <= error.retry_after <= 121
                    clock.now += max(0.0, error.retry_after - 1.01)
                    early = await refusal(limiter, caller())
                    assert early is not None
                    assert early.retry_after is not None
                    clock.now += early.retry_after
                    assert await refusal(limiter, caller()) is None

    asyncio.run(run())


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 10), st.lists(st.integers(0, 40_000), max_size=60), st.floats(1.7e9, 1.9e9))
def test_no_minute_sees_more_than_twice_the_limit(
    amount: int, waits: list[int], start: float
) -> None:
    async def run() -> list[float]:
        limiter = RateLimiter(rules(key={"requests": amount}), None)
        times: list[float] = []
        with told_time(start) as clock:
            for wait in waits:
                clock.now += wait / 1000
                times += [clock.now] * await admitted(limiter, caller(), amount)
        return times

    times = asyncio.run(run())
    for first in times:
        assert sum(first <= time < first + 60 for time in times) <= 2 * amount
        minute = math.floor(first / 60)
        assert sum(math.floor(time / 60) == minute for time in times) <= amount


NAMES = st.text(st.sampled_from("a:{}/\x00\n*é\udc80"), max_size=5)


@settings(max_examples=300, deadline=None)
@given(st.tuples(NAMES, NAMES), st.tuples(NAMES, NAMES))
def test_no_names_are_counted_as_anothers(one: tuple[str, str], other: tuple[str, str]) -> None:
    async def run(some: RateRules) -> int:
        limiter = RateLimiter(some, None)
        return await admitted(limiter, caller(*one), 1) + await admitted(limiter, caller(*other), 1)

    with told_time():
        assert asyncio.run(run(rules(key={"requests": 1}))) == 1 + (one != other)
        assert asyncio.run(run(rules(tenant={"requests": 1}))) == 1 + (one[1] != other[1])
        each = rules(key={"requests": 1}, tenant={"requests": 2, "tokens": 9})
        assert asyncio.run(run(each)) == 1 + (one != other)


def switches(to: str) -> float:
    return REGISTRY.get_sample_value("inwit_rate_limit_switches_total", {"to": to}) or 0.0


async def test_without_redis_this_gateway_counts_alone_and_says_so_once(clock: Clock) -> None:
    away = f"redis://:s3cret@127.0.0.1:{free_port()}"
    before = switches("local")
    with capture_logs() as logs:
        limiter = RateLimiter(rules(key={"requests": 3}, tenant={"tokens": 10}), away)
        async with opened(limiter):
            assert limiter.local
            assert await admitted(limiter, caller(), 9) == 3
            await limiter.spend(caller(), 10)
            error = await refusal(limiter, caller("other"))

    assert error is not None
    assert "tenant has used up its 10 tokens" in error.detail
    assert switches("local") - before == 1
    assert logs == [
        {"event": "rate_limits_local", "log_level": "warning", "error": "ConnectionError"}
    ]


async def test_a_refusal_is_counted_by_the_limit_that_said_so(clock: Clock) -> None:
    def refused(limit: str) -> float:
        return REGISTRY.get_sample_value("inwit_rate_limited_total", {"limit": limit}) or 0.0

    before = refused("key-requests"), refused("tenant-tokens")
    async with opened(
        RateLimiter(rules(key={"requests": 1}, tenant={"tokens": 9}), None)
    ) as limiter:
        await admitted(limiter, caller(), 3)
        await limiter.spend(caller("two"), 9)
        await admitted(limiter, caller("three"), 1)

    assert (refused("key-requests"), refused("tenant-tokens")) == (before[0] + 2, before[1] + 1)


async def test_an_address_that_cannot_be_read_is_refused_at_start() -> None:
    with pytest.raises(SetupError, match="INWIT_REDIS_URL"):
        await RateLimiter(rules(key={"requests": 1}), "redis+sentinel://h:1").open()


def test_the_setting_is_read_from_json(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().rate_limits is None
    monkeypatch.setenv(
        "INWIT_RATE_LIMITS",
        '{"key": {"requests": 600, "tokens": 200000}, "tenants": {"acme": {"tokens": null}}}',
    )

    read = load_settings().rate_limits

    assert read == rules(
        key={"requests": 600, "tokens": 200_000}, tenants={"acme": {"tokens": None}}
    )
    assert read is not None
    assert read.any


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("{", ".*it must be a JSON object"),
        ("", ".*it must be a JSON object"),
        ("[]", ".*it must be a JSON object"),
        ("5", ".*it must be a JSON object"),
        ('{"user": {}}', "user: Extra inputs are not permitted"),
        ('{"key": {"request": 5}}', r"key\.request: Extra inputs"),
        ('{"key": {"requests": 0}}', r"key\.requests: .*greater than or equal to 1"),
        ('{"key": {"requests": -1}}', r"key\.requests: .*greater than or equal to 1"),
        ('{"tenant": {"tokens": 1e13}}', r"tenant\.tokens: "),
        ('{"tenant": {"tokens": 10000000000000}}', r"tenant\.tokens: .*less than or equal"),
        ('{"tenant": {"tokens": 1.5}}', r"tenant\.tokens: .*valid integer"),
        ('{"tenant": {"tokens": "9"}}', r"tenant\.tokens: .*valid integer"),
        ('{"tenant": {"tokens": true}}', r"tenant\.tokens: .*valid integer"),
        ('{"tenants": {"acme": {"tokens": 0}}}', r"tenants\.acme\.tokens: .*greater"),
        ('{"keys": {"0a1b": {"each": 1}}}', r"keys\.0a1b\.each: Extra"),
        ('{"tenants": {"": {"tokens": 1}}}', "tenants"),
    ],
)
def test_a_setting_that_is_wrong_is_one_sentence_that_names_it(
    value: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INWIT_RATE_LIMITS", value)
    with pytest.raises(SetupError, match=f"^INWIT_RATE_LIMITS: {words}"):
        load_settings()


def test_a_setting_that_is_no_json_is_named_and_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INWIT_CLASSIFIERS", '{"guard": {"api_key": "s3cret"')
    with pytest.raises(SetupError, match=r"^INWIT_CLASSIFIERS: it must be JSON\.$"):
        load_settings()
