"""The entries at both ends of a request: accepted, and ended without a decision."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime

import structlog

from inwit.decisions import AcceptedRecord, AnyRecord, Asked, FailedRecord, Receipt
from inwit.errors import Conflict, InwitError, LedgerError
from inwit.pipeline.admission import Job
from inwit.pipeline.background import Background
from inwit.pipeline.protocols import Ledger, Meter
from inwit.pipeline.windows import Windows, cut_reason
from inwit.types import Claim

log = structlog.get_logger()

_CALLER_GONE = "caller_gone"


class Recording:
    """Appends records, each within `record_ms` milliseconds."""

    def __init__(
        self, ledger: Ledger, background: Background, meter: Meter, record_ms: int
    ) -> None:
        self._ledger = ledger
        self._background = background
        self._meter = meter
        self._within_s = record_ms / 1000

    async def append(self, record: AnyRecord) -> Receipt:
        """Make a record durable.

        Raises:
            LedgerError: it could not be, or was not in time.
        """
        try:
            async with asyncio.timeout(self._within_s):
                return await self._ledger.append(record)
        except TimeoutError as error:
            detail = "The ledger did not confirm in time; nothing was released."
            raise LedgerError(detail, retry_after=1) from error

    async def accept(self, job: Job, asked: Asked) -> None:
        """Record that a request was accepted. Nothing of it may be judged before this returns.

        Raises:
            LedgerError: it could not be recorded.
        """
        await self.append(AcceptedRecord(job.origin, datetime.now(UTC), asked))

    def spend(self, job: Job, tokens: int) -> None:
        """Count tokens against the caller's limits."""
        self._background.start(self._meter.spend(job.call.principal, tokens), "spend")

    @contextmanager
    def releasing(self, claim: Claim | None) -> Generator[None]:
        """A request that fails lets its idempotency key go, so that it can be repeated at once."""
        try:
            yield
        except BaseException:
            if claim is not None:
                self._ledger.release(claim)
            raise

    @contextmanager
    def settling(self, job: Job, windows: Windows) -> Generator[None]:
        """A request that ends before its decision: that is recorded, and giving up costs."""
        with self.releasing(job.call.claim):
            try:
                yield
            except BaseException as error:
                if job.live is not None and job.live.announced:
                    subject = job.subject(None, False)
                    work = windows.cut(subject, job.origin, job.live, cut_reason(error))
                    self._background.start(work, "cut")
                else:
                    self._background.start(self._fail(job, _reason(error)), "failed")
                if isinstance(error, asyncio.CancelledError):
                    self.spend(job, job.generation.max_tokens)
                raise

    async def _fail(self, job: Job, reason: str) -> None:
        try:
            await self.append(FailedRecord(job.origin, datetime.now(UTC), reason))
        except Conflict:
            return  # it was decided, or it was never accepted
        except InwitError as error:
            log.error("failure_not_recorded", response=job.id, kind=error.kind)


def _reason(error: BaseException) -> str:
    if isinstance(error, asyncio.CancelledError):
        return _CALLER_GONE
    return error.kind if isinstance(error, InwitError) else InwitError.kind
