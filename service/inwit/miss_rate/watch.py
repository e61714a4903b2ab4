"""Keeps the gauge of the miss rate up to date, beside requests and never in their way."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import structlog

from inwit import telemetry
from inwit.errors import InwitError
from inwit.labels import Bound
from inwit.ledger.database import Database
from inwit.miss_rate.reading import WINDOW, MissReport, Reading, read_on
from inwit.tasks import beside

log = structlog.get_logger()

_EVERY_S = 300.0
# Small pages with pauses: parsing holds up the event loop, and requests go first.
_PAGE = 100
_PAUSE_S = 0.02


class MissRates:
    """Looks from time to time at what the ledger has that is new. Every gateway shows the same.

    What is not known has no series: nothing was audited, or the ledger does not answer.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reading = _from_the_start()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Look now and then while the block runs."""
        async with beside("miss-rate", self._forever()):
            yield

    async def look(self) -> None:
        """Read what is new, and show what that makes of the last 30 days, to the day."""
        try:
            await read_on(self._database, self._reading, page=_PAGE, pause_s=_PAUSE_S)
            self._reading.tally.forget((datetime.now(UTC) - WINDOW).date())
            report = await asyncio.to_thread(self._reading.report)
        except InwitError as error:
            log.warning("miss_rate_unknown", error=type(error).__name__)
            telemetry.forget(telemetry.MISS_RATE)
        except Exception:  # whatever it is, the next look begins anew
            log.exception("miss_rate_broken")
            telemetry.forget(telemetry.MISS_RATE)
            self._reading = _from_the_start()
        else:
            show(report)

    async def _forever(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(_EVERY_S)


def show(report: MissReport) -> None:
    """Set the gauge, and nothing but what is known."""
    telemetry.forget(telemetry.MISS_RATE)
    for policy, estimates in report.policies.items():
        for source, estimate in estimates.items():
            rate = estimate.rate
            bounds = {Bound.ESTIMATE: rate.value, Bound.LOW: rate.low, Bound.HIGH: rate.high}
            for bound, value in bounds.items():
                if value is not None:
                    telemetry.MISS_RATE.labels(policy, source.value, bound.value).set(value)


def _from_the_start() -> Reading:
    return Reading(datetime.now(UTC) - WINDOW)
