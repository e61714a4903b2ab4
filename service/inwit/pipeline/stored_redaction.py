"""Private data taken out of what the ledger keeps beside what was released: an option.

Only of decided responses, and only of what is told to nobody again: what was released is told and
replayed as it was sent, and what a person is to rule on must be what was asked and written.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace

import structlog

from inwit.decisions import AnyRecord, Receipt, Record
from inwit.pipeline.protocols import Ledger
from inwit.redaction.stored import Contents, Finder, redacted
from inwit.types import Claim

log = structlog.get_logger()


class RedactingLedger:
    """A ledger that is given contents without private data, as far as the finder sees it.

    A response whose contents are not looked through within `within_s` seconds is recorded without
    them: in the clear they are never kept.
    """

    def __init__(self, ledger: Ledger, finder: Finder, within_s: float) -> None:
        self._ledger = ledger
        self._finder = finder
        self._within_s = within_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="stored-redaction")

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Its thread ends with the block."""
        try:
            yield
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def append(self, record: AnyRecord) -> Receipt:
        """As the ledger below does it.

        Raises:
            Conflict: its claim to an idempotency key is lost, so that it is not written.
            LedgerError: it is not known to be durable.
        """
        if not isinstance(record, Record) or record.hold is not None or record.checked:
            return await self._ledger.append(record)
        contents, counts = await self._redacted(record.contents)
        return await self._ledger.append(replace(record, contents=contents, redacted=counts))

    def release(self, claim: Claim) -> None:
        """As the ledger below does it."""
        self._ledger.release(claim)

    async def _redacted(self, contents: Contents) -> tuple[Contents, Mapping[str, int]]:
        loop, ends = asyncio.get_running_loop(), time.monotonic() + self._within_s

        def work() -> tuple[Contents, Mapping[str, int]]:
            return redacted(contents, self._finder, lambda: time.monotonic() >= ends)

        try:
            async with asyncio.timeout(self._within_s):
                return await loop.run_in_executor(self._thread, work)
        except Exception as error:  # noqa: BLE001  # whatever it is, nothing is kept in the clear
            log.warning("stored_without_texts", error=type(error).__name__)
        return redacted(contents, None, lambda: True)
