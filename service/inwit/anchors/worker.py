"""Sends the newest checkpoint to every anchor, from time to time."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import sqlalchemy as sa
import structlog

from inwit import telemetry
from inwit.anchors.places import Anchor, AnchorRefused, Held
from inwit.errors import InwitError
from inwit.labels import AnchorKind, Cause
from inwit.ledger import proofs
from inwit.ledger.database import Database
from inwit.ledger.escalations import aware, maybe
from inwit.ledger.proofs import Signed
from inwit.ledger.tables import ANCHORED, CHECKPOINTS
from inwit.tasks import beside

log = structlog.get_logger()

_LONGEST_S = 120.0  # for one anchor to take a checkpoint
_SETTLE_S = 5.0  # within which another gateway notes what it has had taken


@dataclass(frozen=True, slots=True)
class _Known:
    """What the database says: what each anchor took last and when, and what was signed.

    `since` is when the first checkpoint was signed: what never took one is late since then.
    """

    took: Mapping[str, tuple[int, datetime]] = field(
        default_factory=dict[str, tuple[int, datetime]]
    )
    newest: int = 0
    since: datetime | None = None


class Anchoring:
    """`newest` gives the checkpoint to send; each anchor is told by itself, whatever another does.

    Gateways on one database share what is noted of the anchors, and each sends for all.
    """

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
        self._known = _Known()
        self._started = datetime.now(UTC)
        self._in_a_row = dict.fromkeys(anchors, 0)
        for anchor in anchors.values():
            for cause in Cause:
                telemetry.ANCHOR_FAILURES.labels(anchor.kind.value, cause.value)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Work while the block runs. An anchor that is slow is waited for by no other."""
        async with AsyncExitStack() as stack:
            for name in self._anchors:
                await stack.enter_async_context(beside("anchoring", self._forever(name)))
            yield

    async def work(self) -> None:
        """Send the newest checkpoint to every anchor that does not have it.

        Raises:
            LedgerError: the database failed.
        """
        await asyncio.gather(*(self._look(name) for name in self._anchors))

    async def _forever(self, name: str) -> None:
        while True:
            try:
                await self._look(name)
            except Exception as error:  # noqa: BLE001  # whatever it is, the next look may do better
                log.warning("anchoring_failed", error=type(error).__name__)
            await asyncio.sleep(self._every_s)

    async def _look(self, name: str) -> None:
        signed = self._newest()
        if signed is None:
            return
        try:
            self._known = await self._database.read(_known)
            if not self._has(name, signed.size):
                await self._send(name, signed)
        finally:
            self._measure(signed.size)

    async def _send(self, name: str, signed: Signed) -> None:
        """Have one anchor take it, and note that it did."""
        try:
            async with asyncio.timeout(_LONGEST_S):
                await self._anchors[name].put(signed)
        except AnchorRefused as error:
            self._in_a_row[name] = 0
            if not await self._overtaken(name, signed, error):
                self._count(name, error, Cause.CHANGED)
            return
        except Exception as error:  # noqa: BLE001  # whatever it is, it is this anchor's alone
            self._in_a_row[name] += 1
            self._count(name, error, Cause.FAILED)
            return
        self._in_a_row[name] = 0
        at = datetime.now(UTC)
        await self._database.write(lambda connection: _note(connection, name, signed.size, at))
        self._known = replace(self._known, took={**self._known.took, name: (signed.size, at)})

    def _has(self, name: str, size: int) -> bool:
        """Whether an anchor needs nothing; one that is past all that is signed is asked again."""
        return size <= self._known.took.get(name, (0,))[0] <= max(size, self._known.newest)

    async def _overtaken(self, name: str, signed: Signed, error: AnchorRefused) -> bool:
        """Whether another gateway was faster with a larger checkpoint of this very ledger."""
        try:
            if error.held is not None:
                held = error.held
                return await self._database.read(lambda connection: _is_ours(connection, held))
            await asyncio.sleep(_SETTLE_S)
            self._known = await self._database.read(_known)
        except Exception as failed:  # noqa: BLE001  # then what the anchor says stands
            log.warning("anchoring_failed", error=type(failed).__name__)
            return False
        return self._has(name, signed.size)

    def _count(self, name: str, error: Exception, cause: Cause) -> None:
        telemetry.ANCHOR_FAILURES.labels(self._anchors[name].kind.value, cause.value).inc()
        changed = cause is Cause.CHANGED
        why = error.detail if isinstance(error, InwitError) else type(error).__name__
        write = log.error if changed else log.warning
        write("anchor_refused" if changed else "anchor_failed", anchor=name, why=why)

    def _measure(self, size: int) -> None:
        """Of each kind, the anchor which is furthest behind, and the one that failed most often."""
        kinds: dict[AnchorKind, list[str]] = {}
        for name, anchor in self._anchors.items():
            kinds.setdefault(anchor.kind, []).append(name)
        for kind, names in kinds.items():
            age_s = max(self._age_s(name, size) for name in names)
            telemetry.ANCHOR_AGE.labels(kind.value).set(age_s)
            in_a_row = max(self._in_a_row[name] for name in names)
            telemetry.ANCHOR_FAILING.labels(kind.value).set(in_a_row)

    def _age_s(self, name: str, size: int) -> float:
        took, since = self._known.took.get(name, (0, self._known.since or self._started))
        return (datetime.now(UTC) - since).total_seconds() if took < size else 0.0


def _known(connection: sa.Connection) -> _Known:
    rows = connection.execute(sa.select(ANCHORED)).all()
    took = {row.anchor: (row.size, aware(row.time)) for row in rows}
    newest = proofs.newest(connection)
    query = sa.select(CHECKPOINTS.c.time).order_by(CHECKPOINTS.c.size).limit(1)
    since = maybe(connection.execute(query).scalar())
    return _Known(took, newest.size if newest else 0, since)


def _is_ours(connection: sa.Connection, held: Held) -> bool:
    query = sa.select(CHECKPOINTS.c.note).where(CHECKPOINTS.c.size == held.size)
    return connection.execute(query).scalar() == held.note


def _note(connection: sa.Connection, name: str, size: int, time: datetime) -> None:
    """Write down what an anchor took; a gateway that is behind does not take it back."""
    query = sa.select(ANCHORED.c.size).where(ANCHORED.c.anchor == name)
    known = connection.execute(query).scalar()
    if known is not None and known >= size:
        return
    connection.execute(sa.delete(ANCHORED).where(ANCHORED.c.anchor == name))
    connection.execute(sa.insert(ANCHORED), {"anchor": name, "size": size, "time": time})
