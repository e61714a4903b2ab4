"""What API keys were refused, for the ledger: counted, and written once a minute at most.

Whoever has a key could otherwise fill the ledger with entries that cost them nothing.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from inwit.cases import ActKind, ActRecord
from inwit.errors import LedgerError
from inwit.ledger.store import LedgerStore
from inwit.ledger.transaction import Transaction
from inwit.types import Principal

log = structlog.get_logger()

_EVERY_S = 60.0
_MOST = 1_024  # pairs of a key and a route that are told apart between two writes
_OTHER = "other"


@dataclass(slots=True)
class _Count:
    tenant: str
    since: datetime
    refusals: int = 0


class RefusedKeys:
    """Counts refusals by key and route, and writes one entry for each pair every minute.

    What a gateway has counted since the last minute goes with it where it is killed.
    """

    def __init__(self, ledger: LedgerStore, *, every_s: float = _EVERY_S) -> None:
        self._ledger = ledger
        self._every_s = every_s
        self._counts: dict[tuple[str, str], _Count] = {}

    def count(self, principal: Principal, route: str) -> None:
        """Count a refusal; `route` is a path as it is declared, never as it was asked for."""
        pair = (principal.key_id, route)
        if pair not in self._counts and len(self._counts) >= _MOST:
            pair = (principal.key_id, _OTHER)
        fresh = _Count(principal.tenant, datetime.now(UTC))
        self._counts.setdefault(pair, fresh).refusals += 1

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Write every minute while the block runs, and what is left at its end."""
        stop = asyncio.Event()
        task = asyncio.create_task(self._write_until(stop), name="refused-keys")
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(task, return_exceptions=True)

    async def write(self) -> None:
        """Write what was counted. Where the ledger fails it is counted on."""
        counts, self._counts = self._counts, {}
        if not counts:
            return
        try:
            await self._ledger.write(lambda transaction: _note(transaction, counts))
        except LedgerError:
            log.warning("refusals_not_recorded", pairs=len(counts))
            for pair, count in counts.items():
                later = self._counts.setdefault(pair, count)
                if later is not count:
                    later.refusals += count.refusals
                    later.since = count.since

    async def _write_until(self, stop: asyncio.Event) -> None:
        ended = False
        while not ended:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._every_s):
                    ended = await stop.wait()
            await self.write()


def _note(transaction: Transaction, counts: dict[tuple[str, str], _Count]) -> None:
    for (key_id, route), count in sorted(counts.items()):
        facts = {
            "key": key_id,
            "route": route,
            "why": "forbidden",
            "count": count.refusals,
            "since": count.since.isoformat(timespec="seconds"),
        }
        actor, now = f"key_{key_id}", transaction.now
        transaction.add(ActRecord(ActKind.REFUSED, now, count.tenant, actor, facts, {}))
