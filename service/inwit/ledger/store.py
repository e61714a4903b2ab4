"""Writes to the ledger, many requests to one commit."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import sqlalchemy as sa
import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, SpanKind

from inwit import telemetry
from inwit.cases import ActRecord, Hold
from inwit.decisions import AnyRecord, Receipt, Record
from inwit.errors import InwitError, LedgerError
from inwit.ledger import escalations, idempotency
from inwit.ledger.content_keys import KeyMissing
from inwit.ledger.database import Database
from inwit.ledger.ends import Ends
from inwit.ledger.idempotency import Wanted
from inwit.ledger.transaction import Entry, Transaction, encoded
from inwit.tasks import beside
from inwit.tracing import TRACER
from inwit.types import Claim

log = structlog.get_logger()

T = TypeVar("T")

_BATCH = 256
_LONGEST_QUEUE = 4096
_DRAIN_S = 10.0


@dataclass(frozen=True, slots=True)
class _Release:
    """A claim to be let go."""

    claim: Claim


@dataclass(frozen=True, slots=True)
class _Steps:
    """Anything else that is to be written with its entries, or not at all."""

    run: Callable[[Transaction], Any]


_Work = Entry | Wanted | _Release | _Steps


@dataclass(frozen=True, slots=True)
class _Pending:
    """Work that waits for its commit."""

    work: _Work
    done: asyncio.Future[Any]
    asked_in: SpanContext


class LedgerStore:
    """The one writer of this process. What it is asked for is durable when it returns.

    While one commit is under way, what arrives waits and shares the next (group commit), so that
    a busy gateway pays for one sync of the disk per batch and an idle one never waits. One commit
    takes `most_at_once` of them.
    """

    def __init__(self, database: Database, *, most_at_once: int = _BATCH) -> None:
        self._database = database
        self._most_at_once = most_at_once
        self._queue: asyncio.Queue[_Pending] = asyncio.Queue(_LONGEST_QUEUE)

    @property
    def waiting(self) -> int:
        """How much waits for a commit."""
        return self._queue.qsize()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Commit in the background while the block runs, and what is queued at its end."""
        async with beside("ledger-writer", self._commit_forever()):
            try:
                yield
            finally:
                await self._drain()

    async def append(self, record: AnyRecord) -> Receipt:
        """Make the record durable. Cancelled before its commit begins, it is not written.

        Raises:
            Conflict: the record's claim to its idempotency key is lost, or it ends a request that
                is not open; it is not written.
            LedgerError: the commit failed, or too many wait for one. Where the connection broke
                at the very commit, the entry may yet be there: recorded, and not released.
        """
        return await self._put(encoded(record))

    async def write(self, steps: Callable[[Transaction], T]) -> T:
        """Run `steps` in the transaction of the next commit, in the database's own thread.

        An InwitError that they raise undoes all that they wrote, and nothing else.

        Raises:
            LedgerError: the commit failed, or too many wait for one.
        """
        return await self._put(_Steps(steps))

    async def claim(self, wanted: Wanted) -> str | None:
        """Take an idempotency key: None. Or give the id of the response that answered before.

        Raises:
            Conflict: another request holds the key.
            InvalidField: the key stands for another request.
            LedgerError: the commit failed, or too many wait for one.
        """
        try:
            return await self._put(wanted)
        except asyncio.CancelledError:  # it may yet be taken
            self.release(wanted.claim)
            raise

    def release(self, claim: Claim) -> None:
        """Let an idempotency key go, soon; where that fails, its lease will run out."""
        try:
            self._put(_Release(claim))
        except LedgerError:
            log.warning("claim_not_released")

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(_DRAIN_S):
                await self._queue.join()
        except TimeoutError:
            log.error("ledger_not_drained", entries=self._queue.qsize())

    def _put(self, work: _Work) -> asyncio.Future[Any]:
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            asked_in = trace.get_current_span().get_span_context()
            self._queue.put_nowait(_Pending(work, done, asked_in))
        except asyncio.QueueFull as error:
            raise LedgerError("Too many decisions wait to be recorded.", retry_after=5) from error
        return done

    async def _commit_forever(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while len(batch) < self._most_at_once and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            try:
                await self._commit([pending for pending in batch if not pending.done.done()])
            finally:
                for _ in batch:
                    self._queue.task_done()

    async def _commit(self, batch: list[_Pending]) -> None:
        """Do all of it. Where a key is away, only whom it belongs to is refused."""
        if not batch:
            return
        start = time.perf_counter()
        try:
            results = await self._write(batch)
        except KeyMissing as error:
            if len(batch) > 1:  # found when all was sealed together: it belongs to some of them
                middle = len(batch) // 2
                await self._commit(batch[:middle])
                await self._commit(batch[middle:])
                return
            results = _failed(batch, error)
        except Exception as error:  # noqa: BLE001  # whatever it is, this task must outlive it
            results = _failed(batch, error)
        else:
            telemetry.LEDGER_COMMIT.observe(time.perf_counter() - start)
            telemetry.LEDGER_ENTRIES.inc(len(batch))
        for pending, result in zip(batch, results, strict=True):
            _tell(pending, result)

    async def _write(self, batch: list[_Pending]) -> list[Any]:
        work = [pending.work for pending in batch]
        with _span(batch):
            return await self._database.write(lambda connection: _write(connection, work))


def _failed(batch: list[_Pending], error: Exception) -> list[Any]:
    telemetry.LEDGER_FAILURES.inc()
    log.error("ledger_commit_failed", entries=len(batch), error=type(error).__name__)
    detail = "The decision could not be recorded; nothing was released."
    return [LedgerError(detail, retry_after=5) for _ in batch]


@contextmanager
def _span(batch: list[_Pending]) -> Generator[None]:
    """A span of its own for the commit that many requests share, with links to those kept."""
    links = [Link(each.asked_in) for each in batch if each.asked_in.trace_flags.sampled]
    if not links:
        yield
        return
    facts = {"db.operation.name": "commit", "db.operation.batch.size": len(batch)}
    with TRACER.start_as_current_span(
        "commit", Context(), SpanKind.CLIENT, facts, links, record_exception=False
    ):
        yield


def _tell(pending: _Pending, result: Any) -> None:
    if pending.done.done():  # its caller may have gone meanwhile; what is written stays
        return
    if not isinstance(result, InwitError):
        pending.done.set_result(result)
    elif isinstance(pending.work, _Release):  # nobody waits for it
        pending.done.cancel()
        log.warning("claim_not_released")
    else:
        pending.done.set_exception(result)


def _write(connection: sa.Connection, batch: Sequence[_Work]) -> list[Any]:
    """Do all of it in order. An InwitError among the results is that one's own, and no other's."""
    transaction = Transaction(connection)
    ends = Ends(connection, _records(batch))
    results: list[Any] = []
    for work in batch:
        try:
            results.append(_do(transaction, ends, work))
        except InwitError as error:
            results.append(error)
    transaction.flush()
    if claims := sum(isinstance(work, Wanted) for work in batch):
        # Two for each one that came, so that they never pile up.
        idempotency.sweep(connection, 2 * claims, transaction.now)
    return results


def _records(batch: Sequence[_Work]) -> Generator[AnyRecord]:
    for work in batch:
        if isinstance(work, Entry) and not isinstance(work.record, ActRecord):
            yield work.record


def _do(transaction: Transaction, ends: Ends, work: _Work) -> Any:
    match work:
        case Wanted():
            return idempotency.take(transaction.connection, work, transaction.now)
        case _Release(claim):
            return idempotency.release(transaction.connection, claim)
        case _Steps(run):
            return transaction.undoing(run)
        case Entry():
            return _append(transaction, ends, work)


def _append(transaction: Transaction, ends: Ends, entry: Entry) -> Receipt:
    record = entry.record
    if isinstance(record, ActRecord):
        return transaction.link(entry)
    ends.check(record)
    if isinstance(record, Record) and record.hold is not None:
        receipt = transaction.undoing(partial(_hold, entry=entry, record=record, hold=record.hold))
    else:
        receipt = _link(transaction, entry, record)
    ends.add(record, entry.facts["type"])
    return receipt


def _link(transaction: Transaction, entry: Entry, record: AnyRecord) -> Receipt:
    if isinstance(record, Record) and record.claim is not None:
        idempotency.complete(transaction.connection, record.claim, record.origin.response_id)
    return transaction.link(entry)


def _hold(transaction: Transaction, entry: Entry, record: Record, hold: Hold) -> Receipt:
    """Its key may be found away only when the claim is completed: then that is undone too."""
    receipt = _link(transaction, entry, record)
    escalations.open_case(transaction, record, hold, receipt.sequence)
    return receipt
