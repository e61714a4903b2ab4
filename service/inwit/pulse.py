"""What is looked at and not counted: set in gauges every few seconds, beside requests."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager

from inwit import __version__, telemetry
from inwit.tasks import beside

_EVERY_S = 1.0
_WINDOW = 15  # looks: between two scrapes none is forgotten

_BREAKERS = {"closed": 0, "half_open": 1, "open": 2}


class Pulse:
    """`calibrated` says so by policy, `breakers` how a classifier's breaker stands, by name."""

    def __init__(
        self,
        calibrated: Callable[[], Mapping[str, bool]],
        breakers: Callable[[], Mapping[str, str]],
        problems: Callable[[], int],
        waiting: Callable[[], int],
    ) -> None:
        self._calibrated = calibrated
        self._breakers = breakers
        self._problems = problems
        self._waiting = waiting
        self._lags = deque([0.0], _WINDOW)
        self._shown: frozenset[str] = frozenset()  # policies with a gauge

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Look now and while the block runs."""
        telemetry.BUILD_INFO.labels(__version__).set(1)
        async with beside("pulse", self._forever()):
            yield

    def look(self) -> None:
        """Set every gauge."""
        telemetry.EVENT_LOOP_LAG.set(max(self._lags))
        telemetry.POLICY_PROBLEMS.set(self._problems())
        telemetry.LEDGER_WAITING.set(self._waiting())
        self._show_calibrated(self._calibrated())
        for name, state in self._breakers().items():
            telemetry.CLASSIFIER_BREAKER_STATE.labels(name).set(_BREAKERS[state])

    def _show_calibrated(self, calibrated: Mapping[str, bool]) -> None:
        if self._shown - calibrated.keys():  # a policy is gone, and nothing is missing to it
            telemetry.forget(telemetry.CALIBRATED)
        self._shown = frozenset(calibrated)
        for policy, each in calibrated.items():
            telemetry.CALIBRATED.labels(policy).set(each)

    async def _forever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self.look()
            before = loop.time()
            await asyncio.sleep(_EVERY_S)
            self._lags.append(max(0.0, loop.time() - before - _EVERY_S))
