"""What time does to cases: leases run out, clocks fire, rulings take effect, drift is mended.

Every gateway runs one; each step is a compare-and-set in the database, so that many do no more
than one. The clocks have a turn of their own, in which Redis is not asked: one that is away, or
stands still, makes no deadline late.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from inwit import telemetry
from inwit.cases import TOP_TIER, Case, CaseState
from inwit.errors import InwitError, QueueDown
from inwit.escalation.index import Index
from inwit.escalation.queue import Queue
from inwit.ledger import leases, outcomes
from inwit.ledger.database import Database
from inwit.ledger.standing import Standing, anything_due, standing
from inwit.ledger.store import LedgerStore
from inwit.ledger.transaction import Transaction
from inwit.tasks import beside

log = structlog.get_logger()

_EVERY_S = 1.0
_COMPARE_S = 60.0
_MOST = 200


@dataclass(frozen=True, slots=True)
class _Turn:
    """What one look at the clocks changed."""

    settled: Sequence[Case]
    freed: Sequence[Case]
    expired: Sequence[Case]


class Sweeper:
    """Runs in the background of a gateway. `standing` is how things stood at its last look."""

    def __init__(self, database: Database, ledger: LedgerStore, queue: Queue, index: Index) -> None:
        self._database = database
        self._ledger = ledger
        self._queue = queue
        self._index = index
        self.standing = Standing()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Sweep while the block runs."""
        async with (
            beside("sweep-clocks", self._forever(self.clocks, _EVERY_S)),
            beside("sweep-tell", self._forever(self.tell, _EVERY_S)),
            beside("sweep-measure", self._forever(self.measure, _EVERY_S)),
            beside("sweep-compare", self._forever(self.compare, _COMPARE_S)),
        ):
            yield

    async def sweep(self) -> None:
        """Look once at every clock, and tell the queue what it was not told.

        Raises:
            LedgerError: the database failed.
        """
        await self.clocks()
        await self.tell()
        await self.measure()

    async def clocks(self) -> None:
        """Do all that is due. The queue is told in a turn of its own.

        Raises:
            LedgerError: the database failed.
        """
        while await self._database.read(anything_due):
            turn = await self._ledger.write(_turn)
            changed = [*turn.settled, *turn.freed, *turn.expired]
            if not changed:
                break
            telemetry.LEASES_EXPIRED.inc(len(turn.freed))
            count_ended(changed)

    async def tell(self) -> None:
        """Tell the queue what it was not told, and let it put back what nobody holds any more.

        Raises:
            LedgerError: the database failed.
        """
        if await self._index.catch_up():
            await self._sweep_queue()

    async def measure(self) -> None:
        """See how things stand.

        Raises:
            LedgerError: the database failed.
        """
        self.standing = await self._database.read(standing)
        _show(self.standing)

    async def compare(self) -> None:
        """Look for drift between the queue and the ledger, and mend it.

        Raises:
            LedgerError: the database failed.
        """
        try:
            for tenant in await self._index.late_tenants():
                await self._index.repair(tenant)
        except QueueDown:
            log.warning("queue_not_compared")

    async def _sweep_queue(self) -> None:
        try:
            for tenant in await self._index.tenants():
                await self._queue.sweep(tenant)
        except QueueDown:
            log.warning("queue_not_swept")

    async def _forever(self, look: Callable[[], Awaitable[None]], every_s: float) -> None:
        while True:
            try:
                await look()
            except InwitError as error:  # the next look does what this one could not
                log.warning("sweep_failed", error=type(error).__name__)
            except Exception:  # whatever it is, the clocks must go on
                log.exception("sweep_broken")
            await asyncio.sleep(every_s)


def count_ended(cases: Sequence[Case]) -> None:
    """Count the cases among these that are over; golden ones are nobody's product."""
    for case in cases:
        if case.closed is not None and case.expected is None:
            ending = "ruled" if case.state is CaseState.RESOLVED else "nobody_ruled"
            waited = (case.closed - case.opened).total_seconds()
            telemetry.ESCALATION_WAIT.labels(ending).observe(max(0.0, waited))
            if case.required > 1 and case.state is CaseState.RESOLVED:
                agreed = case.tier < TOP_TIER  # else a senior had to rule
                telemetry.AGREEMENTS.labels("second", str(agreed).lower()).inc()


def _turn(transaction: Transaction) -> _Turn:
    """Rulings that came in time take effect before clocks fire."""
    return _Turn(
        outcomes.settle_due(transaction, _MOST),
        leases.expire_leases(transaction, _MOST),
        outcomes.expire_due(transaction, _MOST),
    )


def _show(now: Standing) -> None:
    for lane, count in now.lanes.items():
        telemetry.ESCALATIONS_OPEN.labels(lane).set(count)
    telemetry.ESCALATION_OLDEST.set(now.oldest_s)
    telemetry.QUEUE_BEHIND.set(now.behind)
    telemetry.ESCALATIONS_OVERDUE.set(now.overdue)
    telemetry.REVIEWERS_WORKING.set(now.reviewers)
    telemetry.DELIVERIES_WAITING.set(now.deliveries)
    telemetry.DELIVERY_OLDEST.set(now.oldest_delivery_s)
