"""Keeps the queue in Redis equal to the ledger's database, and mends what differs."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
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
        return Drift(
            self.tenant,
            sorted(set(self.missing) & set(other.missing)),
            sorted(set(self.stale) & set(other.stale)),
            sorted(set(self.extra) & set(other.extra)),
        )


class Index:
    """Tells the queue of cases, and compares."""

    def __init__(self, database: Database, ledger: LedgerStore, queue: Queue) -> None:
        self._database = database
        self._ledger = ledger
        self._queue = queue

    async def tell(self, cases: Sequence[Case]) -> None:
        """Tell the queue of cases as they now stand. What is not told now is told later."""
        told: list[tuple[str, int]] = []
        try:
            for case in cases:
                if case.expected is None:
                    await self._queue.put(case)
                    told.append((case.id, case.version))
        except QueueDown:
            log.warning("queue_not_told", cases=len(cases) - len(told))
        if told:
            await self._ledger.write(lambda each: escalations.mark_indexed(each, told))

    async def catch_up(self, most: int = _PAGE) -> int:
        """Tell the queue what it was not told yet; how many cases that were."""
        behind = await self._database.read(lambda each: escalations.unindexed(each, most))
        await self.tell(behind)
        return len(behind)

    async def repair(self, tenant: str) -> Drift:
        """Make a tenant's queue equal to the ledger, and record what was mended."""
        drift = await self.drift(tenant)
        if drift.total:
            drift = drift.also_in(await self.drift(tenant))  # not what was on its way just then
        if drift.total:
            await self._mend(drift)
        return drift

    async def forget(self, tenant: str, case_id: str) -> None:
        """Take a case from the queue that is in no ledger."""
        with suppress(QueueDown):
            await self._queue.remove(tenant, case_id, _NEVER)

    async def tenants(self) -> list[str]:
        """Those that have open cases."""
        return await self._database.read(escalations.open_tenants)

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
        """Tell the queue of each as the ledger now has it: nothing that changed since is undone."""
        wrong = [*drift.missing, *drift.stale, *drift.extra]
        for start in range(0, len(wrong), _PAGE):
            ids = wrong[start : start + _PAGE]
            cases = await self._database.read(
                lambda each, some=ids: escalations.cases_by_id(each, some)
            )
            await self.tell(cases)
            for gone in set(ids) - {case.id for case in cases}:
                await self.forget(drift.tenant, gone)
        telemetry.QUEUE_REPAIRS.inc(drift.total)
        log.warning("queue_repaired", tenant=drift.tenant, cases=drift.total)
        await self._ledger.write(lambda each: _record(each, drift))


_NEVER = 2**31 - 1  # a version that a case which is in no ledger can never have


def _record(transaction: Transaction, drift: Drift) -> None:
    facts = {"missing": drift.missing, "stale": drift.stale, "extra": drift.extra}
    record = ActRecord(ActKind.REPAIRED, transaction.now, drift.tenant, None, facts, {})
    transaction.add(record)
