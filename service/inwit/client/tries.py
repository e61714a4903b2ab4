"""Whether to try again, when, and how long a call may still take. No I/O but the clock."""

import random
import time
from collections.abc import Callable

from inwit.client.errors import InwitError, NotReached, TimedOut

LONGEST_WAIT_S = 30.0  # past that the caller is told to come back, and does not hang
_FIRST_WAIT_S, _LONGEST_BACKOFF_S = 0.5, 8.0
_POLL_S, _BETWEEN_POLLS_S = 60.0, 0.5


class Tries:
    """The tries of one call: `retries` after the first (None: as many as fit), within `timeout`
    seconds in all."""

    def __init__(
        self,
        retries: int | None,
        timeout: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        if not 0 < timeout < float("inf"):
            raise ValueError("timeout must be a number of seconds above 0")
        self._retries = retries
        self._timeout = timeout
        self._ends = clock() + timeout
        self._clock, self._draw = clock, draw
        self._failed = 0

    def remaining(self) -> float:
        """Seconds left.

        Raises:
            TimedOut: none are.
        """
        left = self._ends - self._clock()
        if left <= 0:
            raise TimedOut(f"The call took longer than its timeout of {self._timeout:g} s.")
        return left

    def again(self) -> "Tries":
        """New tries within the same time, for another request of the same call."""
        return Tries(self._retries, self.remaining(), clock=self._clock, draw=self._draw)

    def within(self, seconds: float) -> "Tries":
        """One try within the same time, and within so many seconds of it."""
        return Tries(0, min(seconds, self.remaining()), clock=self._clock, draw=self._draw)

    def wait_after(self, error: InwitError) -> float:
        """Seconds to wait before the next try.

        Raises:
            TimedOut: the connection failed because the time ran out.
            InwitError: `error` itself, where trying again is no use or does not fit.
        """
        if isinstance(error, NotReached):
            self._refuse_late(error)
        if not error.passing or self._failed == self._retries:
            raise error
        self._failed += 1
        wait = self._wait(error.retry_after)
        longest = self._ends - self._clock()
        if self._retries is not None:
            longest = min(longest, LONGEST_WAIT_S)
        if wait >= longest:
            raise error
        return wait

    def poll(self) -> int:
        """Seconds that the gateway may be asked to wait, for one look at a held response."""
        return int(min(_POLL_S, self.remaining()))

    def pause(self, asked: float | None = None) -> float:
        """Seconds between two looks: at least what the gateway asked for."""
        return min(max(_BETWEEN_POLLS_S, asked or 0), self.remaining())

    def _refuse_late(self, error: NotReached) -> None:
        try:
            self.remaining()
        except TimedOut as late:
            late.request_id = error.request_id
            raise late from error

    def _wait(self, retry_after: float | None) -> float:
        """At least what the gateway asks for; more by chance, so that callers come apart."""
        if retry_after is not None:
            return retry_after + self._draw() * max(0.1, retry_after / 4)
        backoff = min(_FIRST_WAIT_S * 2.0 ** min(self._failed - 1, 10), _LONGEST_BACKOFF_S)
        return backoff * (0.5 + self._draw() / 2)
