"""A circuit breaker: a classifier that keeps failing is left alone for a while.

Closed, every call goes through. After `failures` failures in a row it opens, and refuses. When its
cool-down is over it is half open: one call goes through as a trial. A trial that succeeds closes
it; one that fails opens it for twice as long, up to a bound. No I/O, and no clock but the given
one.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class BreakerState(StrEnum):
    """Whether calls go through, one does, or none does."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """When a breaker opens, and for how many seconds: at first, and at most."""

    failures: int = 5
    cooldown_s: float = 2.0
    longest_cooldown_s: float = 60.0

    def __post_init__(self) -> None:
        if self.failures < 1 or not 0 < self.cooldown_s <= self.longest_cooldown_s:
            raise ValueError("a breaker needs one failure or more, and cool-downs above zero")


class Breaker:
    """One circuit breaker, for one event loop: `enter` before a call, settle the permit after it.

    `clock` gives seconds that never go back.
    """

    def __init__(
        self,
        limits: BreakerLimits = BreakerLimits(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._failures = 0
        self._cooldown_s = limits.cooldown_s
        self._closed_to_calls_until: float | None = None
        self._trial: Permit | None = None
        # Counts openings and closings: what a call from before the last one says is old news.
        self._era = 0

    @property
    def state(self) -> BreakerState:
        """The state now; half open begins when the cool-down ends, and lasts through the trial."""
        if self._closed_to_calls_until is None:
            return BreakerState.CLOSED
        if self._trial is None and self._clock() < self._closed_to_calls_until:
            return BreakerState.OPEN
        return BreakerState.HALF_OPEN

    def enter(self) -> "Permit | None":
        """Permit a call, or refuse it with None: the breaker is open, or its trial is under way."""
        permit = Permit(self, self._era)
        match self.state:
            case BreakerState.CLOSED:
                return permit
            case BreakerState.HALF_OPEN if self._trial is None:
                self._trial = permit
                return permit
            case _:
                return None

    def settle(self, permit: "Permit", succeeded: bool | None) -> None:
        """Take note of a call's end; None counts neither way. For `Permit`."""
        if permit.era != self._era:
            return
        if succeeded is None:
            if permit is self._trial:
                self._trial = None
        elif succeeded:
            self._failures = 0
            if permit is self._trial:
                self._close()
        else:
            self._failures += 1
            if permit is self._trial or self._failures >= self._limits.failures:
                self._open()

    def _close(self) -> None:
        self._era += 1
        self._trial = None
        self._closed_to_calls_until = None
        self._cooldown_s = self._limits.cooldown_s

    def _open(self) -> None:
        self._era += 1
        self._trial = None
        self._failures = 0
        self._closed_to_calls_until = self._clock() + self._cooldown_s
        self._cooldown_s = min(self._cooldown_s * 2, self._limits.longest_cooldown_s)


class Permit:
    """Leave for one call. What it is settled with first stands; `release` always, as the last."""

    __slots__ = ("_breaker", "_settled", "era")

    def __init__(self, breaker: Breaker, era: int) -> None:
        self._breaker = breaker
        self._settled = False
        self.era = era

    def succeeded(self) -> None:
        """The call did what it should."""
        self._settle(True)

    def failed(self) -> None:
        """The call failed in a way that speaks against the server."""
        self._settle(False)

    def release(self) -> None:
        """The call says nothing of the server: cancelled, or its matter did not fit."""
        self._settle(None)

    def _settle(self, succeeded: bool | None) -> None:
        if not self._settled:
            self._settled = True
            self._breaker.settle(self, succeeded)
