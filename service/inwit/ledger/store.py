"""Appends records to the ledger, many requests to one commit."""

import asyncio
import secrets
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import structlog

from inwit import telemetry
from inwit.decisions import AnyRecord, Receipt
from inwit.errors import LedgerError
from inwit.ledger.chain import GENESIS, entry_body, entry_facts, leaf_hash
from inwit.ledger.database import Database
from inwit.ledger.tables import CONTENTS, ENTRIES

log = structlog.get_logger()

_BATCH = 256
_LONGEST_QUEUE = 4096
_DRAIN_S = 10.0

_HEAD = sa.select(ENTRIES.c.sequence, ENTRIES.c.hash).order_by(ENTRIES.c.sequence.desc()).limit(1)
_INSERT_ENTRIES = sa.insert(ENTRIES)
_INSERT_CONTENTS = sa.insert(CONTENTS)


@dataclass(frozen=True, slots=True)
class _Pending:
    """A record that waits for its commit, encoded by the request that brought it."""

    record: AnyRecord
    facts: dict[str, Any]
    salts: dict[str, bytes]
    done: asyncio.Future[Receipt]


class LedgerStore:
    """The one writer of this process. `append` returns when the commit that holds it is durable.

    While one commit is under way, what arrives waits and shares the next (group commit), so that
    a busy gateway pays for one sync of the disk per batch and an idle one never waits.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queue: asyncio.Queue[_Pending] = asyncio.Queue(_LONGEST_QUEUE)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Commit in the background while the block runs, and what is queued at its end."""
        writer = asyncio.create_task(self._commit_forever(), name="ledger-writer")
        try:
            yield
        finally:
            try:
                async with asyncio.timeout(_DRAIN_S):
                    await self._queue.join()
            except TimeoutError:
                log.error("ledger_not_drained", entries=self._queue.qsize())
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    async def append(self, record: AnyRecord) -> Receipt:
        """Make the record durable. Cancelled before its commit begins, it is not written.

        Raises:
            LedgerError: the commit failed, or too many wait for one. Where the connection broke
                at the very commit, the entry may yet be there: recorded, and not released.
        """
        salts = {kind: secrets.token_bytes(32) for kind in record.contents}
        facts = entry_facts(record, f"ent_{uuid.uuid4().hex}", salts)
        done: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait(_Pending(record, facts, salts, done))
        except asyncio.QueueFull as error:
            raise LedgerError("Too many decisions wait to be recorded.", retry_after=5) from error
        return await done

    async def _commit_forever(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while len(batch) < _BATCH and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            try:
                await self._commit([pending for pending in batch if not pending.done.done()])
            finally:
                for _ in batch:
                    self._queue.task_done()

    async def _commit(self, batch: list[_Pending]) -> None:
        if not batch:
            return
        start = time.perf_counter()
        try:
            receipts = await self._database.write(lambda connection: _insert(connection, batch))
        except Exception as error:  # noqa: BLE001  # whatever it is, this task must outlive it
            log.error("ledger_commit_failed", entries=len(batch), error=type(error).__name__)
            for pending in batch:
                if not pending.done.done():
                    detail = "The decision could not be recorded; nothing was released."
                    pending.done.set_exception(LedgerError(detail, retry_after=5))
            return
        telemetry.LEDGER_COMMIT.observe(time.perf_counter() - start)
        for pending, receipt in zip(batch, receipts, strict=True):
            if not pending.done.done():  # its caller may have gone meanwhile; the entry stays
                pending.done.set_result(receipt)


def _insert(connection: sa.Connection, batch: list[_Pending]) -> list[Receipt]:
    head = connection.execute(_HEAD).first()
    sequence, previous = (head.sequence, head.hash) if head else (0, GENESIS)
    entries: list[dict[str, Any]] = []
    contents: list[dict[str, Any]] = []
    receipts: list[Receipt] = []
    for pending in batch:
        sequence += 1
        body = entry_body(pending.facts, sequence, previous)
        digest = leaf_hash(body)
        entries.append(_entry_row(pending, sequence, body, digest, previous))
        for kind, content in pending.record.contents.items():
            row = {"sequence": sequence, "kind": kind, "salt": pending.salts[kind]}
            contents.append({**row, "content": content})
        receipts.append(Receipt(sequence, pending.facts["id"], digest.hex(), previous.hex()))
        previous = digest
    connection.execute(_INSERT_ENTRIES, entries)
    if contents:
        connection.execute(_INSERT_CONTENTS, contents)
    return receipts


def _entry_row(
    pending: _Pending, sequence: int, body: bytes, digest: bytes, previous: bytes
) -> dict[str, Any]:
    return {
        "sequence": sequence,
        "id": pending.facts["id"],
        "time": pending.record.time,
        "type": pending.facts["type"],
        "tenant": pending.record.origin.principal.tenant,
        "response_id": pending.record.origin.response_id,
        "body": body,
        "hash": digest,
        "previous": previous,
    }
