"""Lets the tree grow over committed entries, and signs checkpoints of it.

Entries get their places in the transaction that writes them, one after another and without gaps,
so a tree over the first N of them never changes. Of the gateways on one database whichever comes
first makes the next checkpoint: it is written under the lock that appends take too, and only on
top of the one that it was worked out from. A row is durable before it is signed; where a gateway
dies between the two, the next one signs what stands there.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog

from inwit import telemetry
from inwit.cases import ActKind
from inwit.errors import InwitError, LedgerError
from inwit.labels import Cause
from inwit.ledger import proofs
from inwit.ledger.administration import note
from inwit.ledger.database import Database
from inwit.ledger.escalations import maybe
from inwit.ledger.merkle import Node, Tree
from inwit.ledger.notes import (
    Checkpoint,
    SigningKey,
    VerifyingKey,
    checkpoint_of,
    signed_note,
    signers,
)
from inwit.ledger.proofs import Signed
from inwit.ledger.tables import CHECKPOINTS, ENTRIES, NODES
from inwit.tasks import beside

log = structlog.get_logger()

STRIDE = 8_192  # entries that one checkpoint takes in at most; more follow at once
IDLE = timedelta(hours=1)


class Forked(LedgerError):
    """The ledger is not what a checkpoint was signed for; nothing more is signed."""


@dataclass(frozen=True, slots=True)
class _Growth:
    """A tree that is larger than the last signed one, and the tiles that were filled.

    `stored` says that its checkpoint is durable already, and waits for its signature.
    """

    before: int
    tree: Tree
    nodes: Sequence[Node]
    stored: bool

    @property
    def more(self) -> bool:
        """Whether more entries may wait than one checkpoint takes in."""
        return self.stored or self.tree.size - self.before == STRIDE

    @property
    def row(self) -> dict[str, Any]:
        """What names its checkpoint."""
        return {"size": self.tree.size, "root": self.tree.root()}


@dataclass(frozen=True, slots=True)
class _State:
    """When the newest checkpoint was signed, and since when the oldest entry waits for one."""

    signed: datetime | None = None
    waits: datetime | None = None


class Sequencer:
    """One for each gateway. `told` gets every checkpoint that is newer than the last one."""

    def __init__(
        self,
        database: Database,
        keys: Sequence[SigningKey],
        every_s: float,
        told: Callable[[Signed], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._keys = keys
        self._every_s = every_s
        self._told = told
        self._tree = Tree()
        self._state = _State()
        self.newest: Signed | None = None

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Work while the block runs, and once more at its end."""
        await self._try()
        try:
            async with beside("sequencer", self._forever()):
                yield
        finally:
            await self._try()

    async def work(self) -> Signed | None:
        """Take in what is new, sign it, and give the newest checkpoint.

        Raises:
            Forked: the ledger is not what was signed before.
            LedgerError: the database failed.
        """
        found = await self._database.read(proofs.newest)
        if self.newest is not None and (found is None or found.size < self.newest.size):
            raise Forked("The ledger has lost entries that a checkpoint was signed for.")
        if keys := _fit(self._keys, found):
            await self._sign(keys, found)
            found = await self._database.read(proofs.newest)
        if found is not None and found != self.newest:
            self.newest = found
            self._told(found)
        return self.newest

    async def _forever(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            await self._try()

    async def _try(self) -> None:
        try:
            await self.work()
        except Exception as error:  # noqa: BLE001  # whatever it is, the next look may do better
            cause = Cause.CHANGED if isinstance(error, Forked) else Cause.FAILED
            telemetry.CHECKPOINT_FAILURES.labels(cause.value).inc()
            log.error("checkpoint_failed", error=type(error).__name__, why=_words(error))
        await self._measure()

    async def _sign(self, keys: Sequence[SigningKey], newest: Signed | None) -> None:
        if newest is None or _signers(newest) != {key.id for key in keys}:
            await self._database.write(lambda db: _name_keys(db, keys))
        elif datetime.now(UTC) - newest.time > IDLE:
            await self._database.write(lambda db: _beat(db, newest))
        while growth := await self._database.read(lambda db: _look(db, self._tree)):
            if not await self._database.write(lambda db, found=growth: _store(db, found)):
                return  # another gateway signs; to run after it would tell nobody of what it signed
            # Of its own transaction: what is signed must be durable before.
            await self._database.write(lambda db, found=growth: _put_note(db, found, keys))
            self._tree = growth.tree
            if not growth.more:
                return  # entries that came meanwhile are for the next look

    async def _measure(self) -> None:
        """Tell the ages, after a look that failed above all: where even they cannot be read, what
        was known last grows older.
        """
        try:
            self._state = await self._database.read(lambda db: _state(db, self.newest))
        except Exception as error:  # noqa: BLE001  # it is only measured
            log.warning("checkpoints_not_measured", error=type(error).__name__)
        telemetry.UNSIGNED.set(_age_s(self._state.waits) or 0.0)
        if (age_s := _age_s(self._state.signed)) is not None:
            telemetry.CHECKPOINT_AGE.set(age_s)


def _state(connection: sa.Connection, known: Signed | None) -> _State:
    """By the newest checkpoint, whoever signed it."""
    both = [each for each in (known, proofs.newest(connection)) if each is not None]
    last = max(both, key=lambda each: each.size, default=None)
    if last is None:
        return _State(waits=_time_of(connection, 1))
    return _State(last.time, _time_of(connection, last.size + 1))


def _age_s(since: datetime | None) -> float | None:
    return None if since is None else max(0.0, (datetime.now(UTC) - since).total_seconds())


def _words(error: Exception) -> str | None:
    return error.detail if isinstance(error, InwitError) else None


def _fit(keys: Sequence[SigningKey], newest: Signed | None) -> Sequence[SigningKey]:
    """The keys to sign with: none where the last checkpoint has a newer key than these.

    A key that was left off stays off, so that gateways that are given a new file one after
    another do not undo what the first of them began.
    """
    if newest is None or not keys:
        return keys
    signed = _signers(newest)
    ids = [key.id for key in keys]
    _, last = last_signer(newest)
    if last not in ids:
        log.warning("ledger_key_behind", newest=newest.size)
        return ()
    place = ids.index(last)
    if not VerifyingKey.read(keys[place].vkey).signed(newest.note):
        raise Forked("The newest checkpoint does not carry the signature that it names.")
    return [key for at, key in enumerate(keys) if at > place or key.id in signed]


def last_signer(newest: Signed) -> tuple[str, str]:
    """Name and id of the newest key that signed it: who does not hold that one signs nothing more.

    Raises:
        NoteError: it is no note.
    """
    return signers(newest.note)[-1]


def _signers(newest: Signed) -> set[str]:
    return {key_id for _, key_id in signers(newest.note)}


def _name_keys(connection: sa.Connection, keys: Sequence[SigningKey]) -> None:
    """An entry that says by which keys the next checkpoint is signed; once, whoever comes."""
    last = proofs.keys_entry(connection)
    vkeys = [key.vkey for key in keys]
    before: list[str] = json.loads(last.body)["facts"]["vkeys"] if last else []
    if before == vkeys:
        return
    facts = {
        "vkeys": vkeys,
        "added": [each for each in vkeys if each not in before],
        "removed": [each for each in before if each not in vkeys],
    }
    note(connection, ActKind.SIGNING_KEYS, facts)


def _beat(connection: sa.Connection, newest: Signed) -> None:
    """In a quiet hour an entry of its own: the checkpoint over it says that nothing else came."""
    if proofs.newest(connection) == newest and _time_of(connection, newest.size + 1) is None:
        note(connection, ActKind.IDLE, {"since": newest.time.isoformat()})


def _time_of(connection: sa.Connection, sequence: int) -> datetime | None:
    query = sa.select(ENTRIES.c.time).where(ENTRIES.c.sequence == sequence)
    return maybe(connection.execute(query).scalar())


def _look(connection: sa.Connection, known: Tree) -> _Growth | None:
    """Let the last signed tree grow; None where nothing is new.

    Whatever the tables say, nothing is signed but what follows from the last signature.
    """
    signed = proofs.newest(connection)
    before = signed.size if signed else 0
    tree = known.copy() if known.size == before else proofs.tree_at(connection, before)
    if signed is not None and checkpoint_of(signed.note).root != tree.root():
        raise Forked("The ledger's entries are not those that a checkpoint was signed for.")
    waiting = _waiting(connection, before)
    end = waiting.size if waiting else before + STRIDE
    nodes: list[Node] = []
    for leaf in proofs.leaves(connection, before, end):
        nodes += tree.append(leaf)
    if waiting is not None and (tree.size, tree.root()) != (waiting.size, waiting.root):
        raise Forked("A checkpoint that was about to be signed is not that of the entries.")
    return _Growth(before, tree, nodes, waiting is not None) if tree.size > before else None


def _waiting(connection: sa.Connection, before: int) -> sa.Row[Any] | None:
    """The first checkpoint after a size that was not signed."""
    query = sa.select(CHECKPOINTS).where(CHECKPOINTS.c.size > before)
    return connection.execute(query.order_by(CHECKPOINTS.c.size).limit(1)).first()


def _store(connection: sa.Connection, growth: _Growth) -> bool:
    """Make it durable where it follows the last one; False where another gateway was first."""
    if growth.stored:
        return True
    size = sa.select(sa.func.max(CHECKPOINTS.c.size))
    if (connection.execute(size).scalar() or 0) != growth.before:
        return False
    if growth.nodes:
        connection.execute(sa.insert(NODES), [asdict(node) for node in growth.nodes])
    connection.execute(sa.insert(CHECKPOINTS), {**growth.row, "time": datetime.now(UTC)})
    return True


def _put_note(connection: sa.Connection, growth: _Growth, keys: Sequence[SigningKey]) -> None:
    """Sign it, unless another gateway has."""
    signed = signed_note(Checkpoint(keys[0].name, **growth.row), keys)
    update = sa.update(CHECKPOINTS).filter_by(**growth.row, note=None)
    connection.execute(update.values(note=signed))
