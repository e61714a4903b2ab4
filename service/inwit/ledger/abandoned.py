"""Requests that a gateway accepted and then died over: they end as failed, told by another one."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
import structlog

from inwit.decisions import FailedRecord, Origin
from inwit.errors import Conflict, InwitError
from inwit.ledger.database import Database
from inwit.ledger.ends import ENDS
from inwit.ledger.store import LedgerStore
from inwit.ledger.stored import origin_of
from inwit.ledger.tables import ENTRIES
from inwit.tasks import beside

log = structlog.get_logger()

REASON = "abandoned"

_EVERY_S = 60.0
_MOST = 500
_BACK = timedelta(days=1)  # how far the first look goes


class Abandoned:
    """Ends what was accepted more than `longest_s` seconds ago: no request is that old."""

    def __init__(self, database: Database, ledger: LedgerStore, longest_s: float) -> None:
        self._database = database
        self._ledger = ledger
        self._longest = timedelta(seconds=longest_s)
        self._looked_until = datetime.now(UTC) - _BACK

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Look now and then while the block runs."""
        async with beside("abandoned", self._forever()):
            yield

    async def look(self) -> int:
        """End what is left open, and give how many that were.

        Raises:
            LedgerError: the database failed; the next look begins at the same place.
        """
        until = datetime.now(UTC) - self._longest
        ended = 0
        while found := await self._database.read(
            lambda connection: _left_open(connection, self._looked_until, until)
        ):
            for origin in found:
                try:
                    await self._ledger.append(FailedRecord(origin, datetime.now(UTC), REASON))
                except Conflict:
                    continue  # another gateway was first
                ended += 1
                log.warning("request_abandoned", response=origin.response_id)
            if len(found) < _MOST:
                break
        self._looked_until = until
        return ended

    async def _forever(self) -> None:
        while True:
            try:
                await self.look()
            except InwitError as error:
                log.warning("abandoned_unknown", error=type(error).__name__)
            await asyncio.sleep(_EVERY_S)


def _left_open(connection: sa.Connection, since: datetime, until: datetime) -> Sequence[Origin]:
    ended = ENTRIES.alias("ended")
    its_end = sa.select(ended.c.sequence).where(
        ended.c.response_id == ENTRIES.c.response_id, ended.c.type.in_(ENDS)
    )
    query = sa.select(ENTRIES.c.body).where(
        ENTRIES.c.type == "accepted",
        ENTRIES.c.time > since,
        ENTRIES.c.time <= until,
        ~its_end.exists(),
    )
    bodies = connection.execute(query.order_by(ENTRIES.c.sequence).limit(_MOST)).scalars()
    return [origin_of(json.loads(body)) for body in bodies]
