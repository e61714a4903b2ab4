"""The classifiers of a gateway by name, asked in the order that a policy gives, within a deadline.

Each has a timeout, a limit of calls at once and a circuit breaker of its own. Whatever fails is a
verdict that is not `judged`: nothing here raises but a cancellation of the caller.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog

from inwit.clients.classifiers.breaker import Breaker, BreakerLimits, BreakerState, Permit
from inwit.telemetry import CLASSIFIER_CALLS, CLASSIFIER_SECONDS
from inwit.types import Exchange, Fault, ReviewStatus, Verdict

log = structlog.get_logger()

# What speaks against the server. Others speak of the load (BUSY) or of the exchange: a text can
# provoke REFUSED, DOES_NOT_FIT, LOW_LABEL_MASS and MALFORMED_ANSWER, and by five of them in a row
# its sender would shut out everybody else's.
_AGAINST_SERVER = frozenset({Fault.TIMEOUT, Fault.UPSTREAM, Fault.NO_LOGPROBS, Fault.MALFORMED})
# A caller may set a short deadline. Running past it speaks against the server only where the
# server had at least this share of its own timeout.
_FAIR_SHARE = 0.5
_NOT_ASKED = frozenset({Fault.BUSY, Fault.BREAKER_OPEN})


class Member(Protocol):
    """One classifier. A failure to classify is a verdict of its own, never an exception."""

    @property
    def name(self) -> str:
        """What policies call it."""
        ...

    @property
    def judges_input(self) -> bool:
        """Whether it can be asked about a conversation that has no answer yet."""
        ...

    async def open(self) -> None:
        """Make ready to classify."""
        ...

    async def close(self) -> None:
        """Give back what `open` took; calls under way fail."""
        ...

    async def classify(self, exchange: Exchange, timeout_s: float) -> Verdict:
        """Give a verdict on the whole exchange within `timeout_s` seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Seat:
    """A member with its bounds: milliseconds for one call, calls at once, and its breaker's."""

    member: Member
    timeout_ms: int = 2_000
    max_in_flight: int = 64
    breaker: BreakerLimits = field(default_factory=BreakerLimits)

    def __post_init__(self) -> None:
        if self.timeout_ms < 1 or self.max_in_flight < 1:
            raise ValueError("timeout_ms and max_in_flight must be positive")


class Panel:
    """Implements the pipeline's `Classifiers`. `open` it inside a running loop, `close` it after.

    Raises:
        ValueError: two members have one name.
    """

    def __init__(
        self, seats: Sequence[Seat], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seats = {seat.member.name: _Seated(seat, clock) for seat in seats}
        if len(self._seats) != len(seats):
            raise ValueError("two classifiers have the same name")
        self._opened = AsyncExitStack()

    @property
    def names(self) -> tuple[str, ...]:
        """All names that can be asked for, in the order given."""
        return tuple(self._seats)

    def judges_input(self, name: str) -> bool:
        """Whether that member can be asked before there is an answer.

        Raises:
            KeyError: there is no such member.
        """
        return self._seats[name].member.judges_input

    def states(self) -> dict[str, BreakerState]:
        """The state of each circuit breaker, by name."""
        return {name: seated.breaker.state for name, seated in self._seats.items()}

    async def open(self) -> None:
        """Open every member; where one raises, those that were open are closed again."""
        async with AsyncExitStack() as stack:
            for seated in self._seats.values():
                await seated.member.open()
                stack.push_async_callback(seated.member.close)
            self._opened = stack.pop_all()

    async def close(self) -> None:
        """Close every member."""
        await self._opened.aclose()

    async def classify(
        self, names: tuple[str, ...], exchange: Exchange, timeout_s: float
    ) -> Verdict:
        """Ask the first of `names`, and the next one where that one gives no judgement.

        Where none does, the most telling failure is given: `truncated` first, for asking again
        will not help; then the first of those that were really asked; then the first at all.
        """
        ends = asyncio.get_running_loop().time() + timeout_s
        failures: list[Verdict] = []
        for place, name in enumerate(names):
            left_s = ends - asyncio.get_running_loop().time()
            verdict = await self._ask(name, exchange, self._share(left_s, names[place:]))
            if verdict.status is ReviewStatus.JUDGED:
                return verdict
            failures.append(verdict)
        return min(failures, key=_telling, default=_failed("classifiers", exchange, Fault.UPSTREAM))

    def _share(self, left_s: float, names: tuple[str, ...]) -> float:
        """Seconds for the first of `names`: an even share, or all that the later ones leave."""
        later = [self._seats[name].timeout_s for name in names[1:] if name in self._seats]
        return max(left_s / (len(later) + 1), left_s - sum(later))

    async def _ask(self, name: str, exchange: Exchange, share_s: float) -> Verdict:
        seated = self._seats.get(name)
        if seated is None:
            # Whoever reads policies has to refuse such a name; that it got here is a bug.
            log.error("classifier_unknown", classifier=name)
            return _failed(name, exchange, Fault.UPSTREAM)
        return await seated.ask(exchange, min(share_s, seated.timeout_s))


class _Seated:
    """A member with its breaker and its calls under way."""

    def __init__(self, seat: Seat, clock: Callable[[], float]) -> None:
        self.member = seat.member
        self.breaker = Breaker(seat.breaker, clock)
        self.timeout_s = seat.timeout_ms / 1000
        self._max_in_flight = seat.max_in_flight
        self._in_flight = 0
        self._name = seat.member.name
        self._logged = BreakerState.CLOSED

    async def ask(self, exchange: Exchange, allowed_s: float) -> Verdict:
        """Ask the member if it may be asked now. Full, it refuses at once: the next one can try."""
        refused: Fault | None = None
        permit: Permit | None = None
        if exchange.answer is None and not self.member.judges_input:
            log.error("classifier_cannot_judge_input", classifier=self._name)
            refused = Fault.UPSTREAM
        elif allowed_s <= 0:
            refused = Fault.TIMEOUT
        elif self._in_flight >= self._max_in_flight:
            refused = Fault.BUSY
        else:
            permit = self.breaker.enter()
        if permit is not None:
            return await self._permitted(permit, exchange, allowed_s)
        verdict = _failed(self._name, exchange, refused or Fault.BREAKER_OPEN)
        CLASSIFIER_CALLS.labels(self._name, verdict.outcome).inc()
        return verdict

    async def _permitted(self, permit: Permit, exchange: Exchange, allowed_s: float) -> Verdict:
        outcome = "cancelled"
        started = time.perf_counter()
        self._in_flight += 1
        try:
            verdict = await self._call(exchange, allowed_s)
            outcome = verdict.outcome
            self._settle(permit, verdict, allowed_s)
            return verdict
        finally:
            self._in_flight -= 1
            permit.release()
            CLASSIFIER_SECONDS.labels(self._name).observe(time.perf_counter() - started)
            CLASSIFIER_CALLS.labels(self._name, outcome).inc()

    async def _call(self, exchange: Exchange, allowed_s: float) -> Verdict:
        try:
            async with asyncio.timeout(allowed_s):
                verdict = await self.member.classify(exchange, allowed_s)
        except TimeoutError:
            return _failed(self._name, exchange, Fault.TIMEOUT)
        except Exception as error:  # noqa: BLE001  # a bug in one member must not undo a response
            # By type only: an exception's words may quote content.
            log.error("classifier_bug", classifier=self._name, error=type(error).__name__)
            return _failed(self._name, exchange, Fault.UPSTREAM)
        if verdict.status is not ReviewStatus.JUDGED:
            return replace(verdict, judge=self._name, covers=exchange.covers)
        if (verdict.judge, verdict.covers) != (self._name, exchange.covers):
            # A judgement of something else must never pass for one of this.
            log.error("classifier_bug", classifier=self._name, error="judged another exchange")
            return _failed(self._name, exchange, Fault.UPSTREAM)
        return verdict

    def _settle(self, permit: Permit, verdict: Verdict, allowed_s: float) -> None:
        hurried = verdict.fault is Fault.TIMEOUT and allowed_s < self.timeout_s * _FAIR_SHARE
        if verdict.status is ReviewStatus.JUDGED:
            permit.succeeded()
        elif verdict.fault in _AGAINST_SERVER and not hurried:
            permit.failed()
        state = self.breaker.state
        if BreakerState.HALF_OPEN not in (state, self._logged) and state is not self._logged:
            self._logged = state
            log.warning("classifier_breaker", classifier=self._name, state=state.value)


def _telling(verdict: Verdict) -> int:
    if verdict.status is ReviewStatus.TRUNCATED:
        return 0
    return 2 if verdict.fault in _NOT_ASKED else 1


def _failed(name: str, exchange: Exchange, fault: Fault) -> Verdict:
    return Verdict(name, ReviewStatus.UNAVAILABLE, fault=fault, covers=exchange.covers)
