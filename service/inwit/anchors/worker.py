"""Sends the newest checkpoint to every anchor, from time to time."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import sqlalchemy as sa
import structlog

from inwit import telemetry
from inwit.anchors.places import Anchor, AnchorRefused
from inwit.errors import InwitError
from inwit.labels import Cause
from inwit.ledger.database import Database
from inwit.ledger.escalations import aware
from inwit.ledger.proofs import Signed
from inwit.ledger.tables import ANCHORED
from inwit.tasks import beside

log = structlog.get_logger()


class Anchoring:
    """`newest` gives the checkpoint to send; each anchor is told by itself."""

    def __init__(
        self,
        database: Database,
        anchors: Mapping[str, Anchor],
        newest: Callable[[], Signed | None],
        every_s: float,
    ) -> None:
        self._database = database
        self._anchors = anchors
        self._newest = newest
        self._every_s = every_s
        for anchor in anchors.values():
            for cause in Cause:
                telemetry.ANCHOR_FAILURES.labels(anchor.kind.value, cause.value)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Work while the block runs."""
        async with beside("anchoring", self._forever()):
            yield

    async def work(self) -> None:
        """Send the newest checkpoint to every anchor that does not have it."""
        signed = self._newest()
        if signed is not None and self._anchors:
            had = await self._database.read(_anchored)
            sent = (self._send(name, signed, had.get(name)) for name in self._anchors)
            await asyncio.gather(*sent)

    async def _forever(self) -> None:
        while True:
            try:
                await self.work()
            except InwitError as error:
                log.warning("anchoring_failed", error=type(error).__name__)
            await asyncio.sleep(self._every_s)

    async def _send(self, name: str, signed: Signed, had: tuple[int, datetime] | None) -> None:
        anchor, at = self._anchors[name], datetime.now(UTC)
        if had is not None:
            age = (at - had[1]).total_seconds() if had[0] < signed.size else 0.0
            telemetry.ANCHOR_AGE.labels(anchor.kind.value).set(max(0.0, age))
        if had is not None and had[0] == signed.size:
            return
        try:
            await anchor.put(signed)
        except InwitError as error:
            refused = isinstance(error, AnchorRefused)
            cause = Cause.CHANGED if refused else Cause.FAILED
            telemetry.ANCHOR_FAILURES.labels(anchor.kind.value, cause.value).inc()
            write = log.error if refused else log.warning
            write("anchor_refused" if refused else "anchor_failed", anchor=name, why=error.detail)
            return
        await self._database.write(lambda connection: _note(connection, name, signed.size, at))
        telemetry.ANCHOR_AGE.labels(anchor.kind.value).set(0.0)


def _anchored(connection: sa.Connection) -> dict[str, tuple[int, datetime]]:
    rows = connection.execute(sa.select(ANCHORED)).all()
    return {row.anchor: (row.size, aware(row.time)) for row in rows}


def _note(connection: sa.Connection, name: str, size: int, time: datetime) -> None:
    connection.execute(sa.delete(ANCHORED).where(ANCHORED.c.anchor == name))
    connection.execute(sa.insert(ANCHORED), {"anchor": name, "size": size, "time": time})
