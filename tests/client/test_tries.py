"""When a call is tried again. The clock and the draws are the test's own."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inwit.client.errors import (
    Conflict,
    InvalidRequest,
    InwitError,
    NotReached,
    RateLimited,
    TimedOut,
    Unavailable,
)
from inwit.client.tries import LONGEST_WAIT_S, Tries


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def limited(retry_after: float | None) -> RateLimited:
    error = RateLimited("No.", status=429)
    error.retry_after = retry_after
    return error


@given(st.floats(0, 100), st.floats(0.1, 200), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_never_shorter_than_asked_nor_longer_than_there_is_time(
    retry_after: float, timeout: float, draw: float
) -> None:
    tries = Tries(2, timeout, clock=Clock(), draw=lambda: draw)
    try:
        wait = tries.wait_after(limited(retry_after))
    except RateLimited:
        assert retry_after * 1.25 + 0.1 >= min(timeout, LONGEST_WAIT_S)
    else:
        assert retry_after <= wait < min(timeout, LONGEST_WAIT_S)


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=12, max_size=12))
def test_without_word_from_the_gateway_waits_grow_to_a_limit(draws: list[float]) -> None:
    left = iter(draws)
    tries = Tries(None, 1e6, clock=Clock(), draw=lambda: next(left))

    waits = [tries.wait_after(NotReached("Gone.")) for _ in draws]

    bounds = [0.5, 1, 2, 4, 8, 8, 8, 8, 8, 8, 8, 8]
    assert all(bound / 2 <= wait <= bound for wait, bound in zip(waits, bounds, strict=True))


@given(st.integers(0, 10), st.floats(1, 100))
def test_a_call_ends_in_time_whatever_happens(retries: int, timeout: float) -> None:
    clock = Clock()
    tries, began, made = Tries(retries, timeout, clock=clock), clock.now, 1
    try:
        while True:
            clock.now += tries.wait_after(Unavailable("Away.", status=503))
            made += 1
    except Unavailable:
        pass

    assert made <= retries + 1
    assert clock.now - began <= timeout


def test_a_failed_connection_after_the_time_is_a_timeout() -> None:
    clock = Clock()
    tries = Tries(2, 5, clock=clock)
    clock.now += 5
    broken = NotReached("Gone.")
    broken.request_id = "req_1"

    with pytest.raises(TimedOut) as raised:
        tries.wait_after(broken)

    assert raised.value.__cause__ is broken
    assert raised.value.request_id == "req_1"
    with pytest.raises(TimedOut):
        tries.again()


def test_patient_tries_have_no_longest_wait() -> None:
    assert Tries(None, 3600, clock=Clock()).wait_after(limited(120)) >= 120


@pytest.mark.parametrize("error", [InvalidRequest("No."), Conflict("No."), TimedOut("No.")])
def test_what_does_not_pass_is_final(error: InwitError) -> None:
    with pytest.raises(type(error)):
        Tries(2, 5, clock=Clock()).wait_after(error)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
def test_a_timeout_is_a_number_of_seconds(timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout"):
        Tries(2, timeout)
