"""Keeps the queue in Redis equal to the ledger's database, and mends what differs."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

import structlog

from inwit import telemetry
from inwit.cases import ActKind, ActRecord, Case
from inwit.errors import QueueDown
from inwit.escalation.queue import Queue
from inwit.ledger import escalations
from inwit.ledger.database import Database
from inwit.ledger.store import LedgerStore
from inwit.ledger.transaction import Transaction

log = structlog.get_logger()

_PAGE = 500
_TOLD = 20  # ids of each kind in the entry of a repair


@dataclass(slots=True)
class Drift:
    """How the queue of a tenant differs from the ledger, by ids of cases."""

    tenant: str
    missing: list[str] = field(default_factory=list[str])
    stale: list[str] = field(default_factory=list[str])
    extra: list[str] = field(default_factory=list[str])

    @property
    def total(self) -> int:
        """Cases that differ."""
        return len(self.missing) + len(self.stale) + len(self.extra)

    def also_in(self, other: "Drift") -> "Drift":
        """What both looks found."""
        return self.only({*other.missing, *other.stale, *other.extra})

    def only(self, ids: set[str]) -> "Drift":
        """The part of it that is about these cases."""
        parts = (self.missing, self.stale, self.extra)
        return Drift(self.tenant, *(sorted(ids.intersection(part)) for part in parts))


class Index:
    """Tells the queue of cases, and compares."""

    def __init__(self, database: Database, ledger: LedgerStore, queue: Queue) -> None:
        self._database = database
        self._ledger = ledger
        self._queue = queue

    async def tell(self, cases: Sequence[Case]) -> bool:
        """Tell the queue of cases as they now stand; whether it heard them all.

        What is not told now is told later.
        """
        told: list[tuple[str, int]] = []
        heard = True
        try:
            for case in cases:
                if case.expected is None:
                    await self._queue.put(case)
                    told.append((case.id, case.version))
        except QueueDown:
            log.warning("queue_not_told", cases=len(cases) - len(told))
            heard = False
        if told:
            await self._ledger.write(lambda each: escalations.mark_indexed(each, told))
        return heard

    async def catch_up(self) -> bool:
        """Tell the queue all that it was not told yet; whether it heard that."""
        while behind := await self._database.read(lambda each: escalations.unindexed(each, _PAGE)):
            if not await self.tell(behind):
                return False
            if len(behind) < _PAGE:
                break
        return True

    async def repair(self, tenant: str) -> Drift:
        """Make a tenant's queue equal to the ledger, record what was mended, and give that.

        Raises:
            QueueDown: the queue cannot be asked, or did not take all of it; what it took is
                recorded.
        """
        drift = await self.drift(tenant)
        if drift.total:
            drift = drift.also_in(await self.drift(tenant))  # not what was on its way just then
        if drift.total:
            await self._mend(drift)
        return drift

    async def forget(self, tenant: str, case_id: str) -> bool:
        """Take a case from the queue that is in no ledger; whether it heard that."""
        try:
            await self._queue.remove(tenant, case_id, _NEVER)
        except QueueDown:
            return False
        return True

    async def tenants(self) -> list[str]:
        """Those that have open cases."""
        return await self._database.read(escalations.open_tenants)

    async def late_tenants(self) -> list[str]:
        """Those, and who had some within a day: of what is over something may be left."""
        return await self._database.read(escalations.late_tenants)

    async def drift(self, tenant: str) -> Drift:
        """Compare a tenant's queue with the ledger.

        Raises:
            QueueDown: the queue cannot be asked.
        """
        known = await self._known(tenant)
        drift = Drift(tenant)
        async for case in self._open(tenant):
            version = known.pop(case.id, None)
            if version is None:
                drift.missing.append(case.id)
            elif version < case.version:
                drift.stale.append(case.id)
        drift.extra.extend(known)
        return drift

    async def _known(self, tenant: str) -> dict[str, int]:
        known: dict[str, int] = {}
        cursor = 0
        while True:
            page = await self._queue.known(tenant, cursor)
            known.update(page.cases)
            cursor = page.cursor
            if cursor == 0:
                return known

    async def _open(self, tenant: str) -> AsyncGenerator[Case]:
        after = ""
        while True:
            page = await self._database.read(
                lambda each, start=after: escalations.open_cases(each, start, _PAGE, tenant)
            )
            for case in page:
                yield case
            if len(page) < _PAGE:
                return
            after = page[-1].id

    async def _mend(self, drift: Drift) -> None:
        """Tell the queue of each as the ledger now has it: nothing that changed since is undone.

        Raises:
            QueueDown: it did not take all of it; what it took is recorded.
        """
        wrong = [*drift.missing, *drift.stale, *drift.extra]
        mended: set[str] = set()
        for start in range(0, len(wrong), _PAGE):
            ids = wrong[start : start + _PAGE]
            if not await self._mend_some(drift.tenant, ids):
                break
            mended.update(ids)
        if mended:
            done = drift.only(mended)
            telemetry.QUEUE_REPAIRS.inc(done.total)
            log.warning("queue_repaired", tenant=done.tenant, cases=done.total)
            await self._ledger.write(lambda each: _record(each, done))
        if len(mended) < len(wrong):
            left = len(wrong) - len(mended)
            raise QueueDown(f"The queue did not take {left} of {len(wrong)} cases. Look after it.")

    async def _mend_some(self, tenant: str, ids: list[str]) -> bool:
        cases = await self._database.read(lambda each: escalations.cases_by_id(each, ids))
        if not await self.tell(cases):
            return False
        gone = set(ids) - {case.id for case in cases}
        return all([await self.forget(tenant, each) for each in sorted(gone)])


_NEVER = 2**31 - 1  # a version that a case which is in no ledger can never have


def _record(transaction: Transaction, drift: Drift) -> None:
    """How many, and some of them: a queue that was lost is 200,000 ids."""
    ids = {"missing": drift.missing, "stale": drift.stale, "extra": drift.extra}
    facts = {name: {"cases": len(each), "some": each[:_TOLD]} for name, each in ids.items()}
    record = ActRecord(ActKind.REPAIRED, transaction.now, drift.tenant, None, facts, {})
    transaction.add(record)
