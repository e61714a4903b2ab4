"""Looks at each dependency from time to time, and says what the loss of one means."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from inwit import telemetry
from inwit.labels import Dependency
from inwit.tasks import beside

log = structlog.get_logger()

CONSEQUENCES = {
    Dependency.MODEL: "No response can be generated or reviewed; /v1/respond answers 503.",
    Dependency.REDIS: "Reviewers get no next case and nobody can sign in to the console; held "
    "responses wait in the ledger, and their clocks run. A change of policies reaches this gateway "
    "some seconds later, and rate limits count what this gateway alone has served.",
    Dependency.LEDGER: "No decision can be recorded, so none is released; /v1/respond answers 503.",
}

LOOK_S = 5.0

Look = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class State:
    """What the last look at a dependency found; `up` is None before the first."""

    up: bool | None = None


class Health:
    """The state of every dependency, refreshed in the background.

    The first look may take `first_s` seconds: what runs embedded is slow to begin with.
    """

    def __init__(
        self, looks: Mapping[Dependency, Look], interval_s: float, first_s: float = LOOK_S
    ) -> None:
        self._looks = looks
        self._first_s = first_s
        self.interval_s = interval_s
        self.states = dict.fromkeys(looks, State())
        self.started = False
        self.draining = False

    @property
    def ready(self) -> bool:
        """Whether to send traffic here: everything was up once, and no shutdown has begun.

        A dependency lost later does not count: it is shared, and taking every replica out of the
        load balancer at once would turn clear errors into none.
        """
        return self.started and not self.draining

    @property
    def degraded(self) -> bool:
        """Whether something is down now."""
        return any(not state.up for state in self.states.values())

    @asynccontextmanager
    async def watching(self) -> AsyncGenerator[None]:
        """Look once now, then in the background while the block runs."""
        await self.look(self._first_s)
        async with beside("health", self._watch()):
            yield

    async def look(self, within_s: float = LOOK_S) -> None:
        """Look at every dependency at once."""
        looks = self._looks.items()
        await asyncio.gather(*(self._look_at(name, look, within_s) for name, look in looks))
        self.started = self.started or not self.degraded

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.interval_s)
            await self.look()

    async def _look_at(self, name: Dependency, look: Look, within_s: float) -> None:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(within_s):
                up = await look()
        except Exception as error:  # noqa: BLE001  # whatever it is, the watch must go on
            log.warning("look_failed", dependency=name.value, error=type(error).__name__)
            up = False
        telemetry.DEPENDENCY_LOOK.labels(name.value).observe(time.perf_counter() - began)
        before = self.states[name].up
        if up != before:
            write = log.info if up else log.warning
            write("dependency_up" if up else "dependency_down", dependency=name.value)
        self.states[name] = State(up)
        telemetry.DEPENDENCY_UP.labels(name.value).set(up)
