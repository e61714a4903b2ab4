"""The circuit breaker, against a model of itself and by example."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from inwit.clients.classifiers.breaker import Breaker, BreakerLimits, BreakerState, Permit
from tests.fakes_classifiers import Clock

LIMITS = BreakerLimits(failures=3, cooldown_s=2.0, longest_cooldown_s=7.0)


def broken(clock: Clock) -> Breaker:
    """A breaker that has just opened."""
    breaker = Breaker(LIMITS, clock)
    for _ in range(LIMITS.failures):
        entered(breaker).failed()
    return breaker


def entered(breaker: Breaker) -> Permit:
    permit = breaker.enter()
    assert permit is not None
    return permit


def test_failures_in_a_row_open_it() -> None:
    breaker = Breaker(LIMITS, Clock())
    for settle in (Permit.failed, Permit.failed, Permit.succeeded, Permit.failed, Permit.failed):
        settle(entered(breaker))
    assert breaker.state is BreakerState.CLOSED

    entered(breaker).failed()

    assert breaker.state is BreakerState.OPEN
    assert breaker.enter() is None


def test_what_counts_neither_way_changes_nothing() -> None:
    breaker = Breaker(LIMITS, Clock())
    for settle in (Permit.failed, Permit.release, Permit.failed, Permit.release, Permit.failed):
        settle(entered(breaker))

    assert breaker.state is BreakerState.OPEN


def test_one_trial_goes_through_and_closes_it() -> None:
    clock = Clock()
    breaker = broken(clock)

    clock.now += LIMITS.cooldown_s

    assert breaker.state is BreakerState.HALF_OPEN
    trial = entered(breaker)
    assert breaker.enter() is None
    trial.succeeded()
    assert breaker.state is BreakerState.CLOSED
    entered(breaker).failed()
    assert breaker.state is BreakerState.CLOSED  # it counts from zero again


def test_the_cool_down_grows_to_its_bound_and_starts_anew_after_a_success() -> None:
    clock = Clock()
    breaker = broken(clock)
    for cooldown in (2.0, 4.0, 7.0, 7.0):
        clock.now += cooldown - 0.5
        assert breaker.enter() is None
        clock.now += 0.5
        entered(breaker).failed()
    clock.now += 7.0
    entered(breaker).succeeded()

    for _ in range(LIMITS.failures):
        entered(breaker).failed()
    clock.now += LIMITS.cooldown_s

    assert breaker.state is BreakerState.HALF_OPEN


def test_a_cancelled_trial_frees_the_slot() -> None:
    clock = Clock()
    breaker = broken(clock)
    clock.now += LIMITS.cooldown_s

    entered(breaker).release()

    entered(breaker).succeeded()
    assert breaker.state is BreakerState.CLOSED


def test_calls_from_before_it_opened_are_old_news() -> None:
    clock = Clock()
    breaker = Breaker(LIMITS, clock)
    early = [entered(breaker) for _ in range(8)]
    for permit in early[:3]:
        permit.failed()

    early[3].succeeded()
    assert breaker.state is BreakerState.OPEN
    clock.now += LIMITS.cooldown_s
    early[4].failed()
    trial = entered(breaker)
    early[5].release()
    assert breaker.enter() is None
    trial.succeeded()
    for permit in early[6:]:
        permit.failed()
    entered(breaker).failed()

    assert breaker.state is BreakerState.CLOSED


@pytest.mark.parametrize("limits", [(0, 1.0, 1.0), (1, 0.0, 1.0), (1, 2.0, 1.0)])
def test_limits_that_make_no_sense(limits: tuple[int, float, float]) -> None:
    with pytest.raises(ValueError, match="a breaker needs"):
        BreakerLimits(*limits)


class BreakerMachine(RuleBasedStateMachine):
    """Any order of calls, ends and waiting, next to a model that keeps books on all of it."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = Breaker(LIMITS, self.clock)
        self.trial: Permit | None = None
        self.current: set[int] = set()  # permits given since it last opened or closed
        self.failures = 0
        self.opens_at: float | None = None
        self.cooldown_s = LIMITS.cooldown_s

    permits: Bundle[Permit] = Bundle("permits")

    @property
    def state(self) -> BreakerState:
        if self.opens_at is None:
            return BreakerState.CLOSED
        waited = self.trial is not None or self.clock.now >= self.opens_at
        return BreakerState.HALF_OPEN if waited else BreakerState.OPEN

    @rule(target=permits)
    def enter(self) -> Permit:
        before = self.state
        permit = self.breaker.enter()
        refuses = before is BreakerState.OPEN or self.trial is not None
        assert (permit is None) == refuses
        if permit is None:
            # A bundle takes no gaps: a permit of another breaker stands in, and must do nothing.
            return entered(Breaker(LIMITS, self.clock))
        if before is BreakerState.HALF_OPEN:
            self.trial = permit
        self.current.add(id(permit))
        return permit

    @rule(permit=permits)
    def succeed(self, permit: Permit) -> None:
        permit.succeeded()
        if id(permit) in self.current:
            self.current.discard(id(permit))
            self.failures = 0
            if permit is self.trial:
                self.trial, self.opens_at, self.cooldown_s = None, None, LIMITS.cooldown_s
                self.current.clear()

    @rule(permit=permits)
    def fail(self, permit: Permit) -> None:
        permit.failed()
        if id(permit) not in self.current:
            return
        self.current.discard(id(permit))
        self.failures += 1
        if permit is self.trial or self.failures == LIMITS.failures:
            self.trial, self.failures = None, 0
            self.opens_at = self.clock.now + self.cooldown_s
            self.cooldown_s = min(2 * self.cooldown_s, LIMITS.longest_cooldown_s)
            self.current.clear()

    @rule(permit=consumes(permits))
    def release(self, permit: Permit) -> None:
        permit.release()
        self.current.discard(id(permit))
        if permit is self.trial:
            self.trial = None

    @rule(seconds=st.sampled_from([0.5, 2.0, 4.0, 7.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def is_in_the_state_of_the_model(self) -> None:
        assert self.breaker.state is self.state

    @invariant()
    def lets_no_second_trial_through(self) -> None:
        if self.trial is not None:
            assert self.breaker.enter() is None

    def teardown(self) -> None:
        """Whatever happened: left alone for long enough, one success makes it whole."""
        if self.trial is not None:
            self.trial.release()
        self.clock.now += LIMITS.longest_cooldown_s
        entered(self.breaker).succeeded()
        assert self.breaker.state is BreakerState.CLOSED


TestBreakerMachine = BreakerMachine.TestCase
