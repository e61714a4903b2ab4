"""A ledger with deliveries, a key that may call loopback, and responses as a test wants them."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from inwit.auth import ApiKeys
from inwit.cases import Output, RulingKind, Settled, Settlement
from inwit.decisions import Receipt, Response
from inwit.escalation.webhooks import Deliverer
from inwit.ledger import deliveries
from inwit.ledger.database import Database
from inwit.ledger.store import LedgerStore
from inwit.ledger.stored import Stored
from inwit.ledger.tables import DELIVERIES
from inwit.types import KeyRole, ToolCall
from tests.escalation.receiver import Receiver
from tests.ledger.test_store import RECORD

TIME = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CALL = ToolCall("call_1", "look_up", '{"word": "ebb"}')
OUTPUT = Output("The moon \u2013 \U0001f319 \ud800 \u2013 pulls the sea.", "tool_calls", (CALL,))
APPROVED = Settlement(Settled.RULED, RulingKind.APPROVE, OUTPUT, TIME)
NOBODY = Settlement(Settled.NOBODY_RULED, None, Output("I cannot.", "content_filter"), TIME)


@pytest.fixture
def no_second_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """None that comes by itself, however long a machine stands still: each is an hour away."""
    monkeypatch.setattr("inwit.ledger.deliveries._PAUSES", (timedelta(hours=1),) * 9)


@dataclass
class FakeResponses:
    """Responses whose cases ended as they are told."""

    settlement: Settlement | None = APPROVED
    error: Exception | None = None

    async def about(self, tenant: str, response_id: str) -> Stored | None:
        if self.error:
            raise self.error
        assert tenant == "acme"
        receipt = Receipt(1, "ent_1", "", "")
        response = Response(RECORD, Output("held", "stop"), {}, receipt, self.settlement)
        return Stored(response_id, TIME, "", response)


@dataclass
class World:
    """A ledger, a key that may call loopback, and a receiver there."""

    database: Database
    store: LedgerStore
    keys: ApiKeys
    receiver: Receiver
    key_id: str
    secret: str
    responses: FakeResponses = field(default_factory=FakeResponses)

    def deliverer(self, **changes: Any) -> Deliverer:
        return Deliverer(self.database, self.store, self.keys, self.responses, **changes)

    async def settle(self, name: str = "one", url: str = "") -> None:
        """What the transaction does that settles a case."""
        url = url or f"http://127.0.0.1:{self.receiver.port}/private-path?token=private-query"
        await self.store.write(
            lambda transaction: deliveries.open(
                transaction,
                case_id=f"esc_{name}",
                response_id=f"resp_{name}",
                tenant="acme",
                key_id=self.key_id,
                url=url,
            )
        )

    async def rows(self) -> list[Any]:
        query = sa.select(DELIVERIES).order_by(DELIVERIES.c.created)
        return list(await self.database.read(lambda connection: connection.execute(query).all()))

    async def until(self, *states: str, attempts: int = 1) -> list[Any]:
        """Wait until all deliveries are in these states, each after so many attempts at least."""
        async with asyncio.timeout(60):
            while True:
                rows = await self.rows()
                free = [row for row in rows if row.owner is None and row.attempts >= attempts]
                if len(free) == len(rows) and {row.state for row in rows} <= set(states):
                    return rows

    async def due_now(self) -> None:
        """Let the time pass until the next attempt, and every lease run out."""
        past = {"due": TIME, "owned_until": None, "owner": None}
        change = sa.update(DELIVERIES).values(**past)
        await self.database.write(lambda connection: connection.execute(change))

    @asynccontextmanager
    async def without_table(self) -> AsyncGenerator[None]:
        """The database fails wherever deliveries are concerned."""
        move = "ALTER TABLE {} RENAME TO {}"
        away = sa.text(move.format("deliveries", "elsewhere"))
        back = sa.text(move.format("elsewhere", "deliveries"))
        await self.database.write(lambda connection: connection.execute(away))
        yield
        await self.database.write(lambda connection: connection.execute(back))

    async def logged(self, logs: Sequence[Mapping[str, Any]], event: str) -> None:
        """Wait until something was logged."""
        async with asyncio.timeout(60):
            while not [each for each in logs if each["event"] == event]:
                await self.keys.list()


@asynccontextmanager
async def world_at(database: Database, receiver: Receiver, *hosts: str) -> AsyncGenerator[World]:
    """A key that may call the loopback hosts on the receiver's port, and `hosts`."""
    keys, port = ApiKeys(database, cache_s=0), receiver.port
    stored, _ = await keys.create(
        name="n",
        tenant="acme",
        policies=["default"],
        roles=[KeyRole.RESPOND],
        callback_hosts=[f"127.0.0.1:{port}", f"localhost:{port}", *hosts],
    )
    rule = await keys.callback_rule(stored.id)
    assert rule is not None
    store = LedgerStore(database)
    async with store.running():
        yield World(database, store, keys, receiver, stored.id, rule.secret)
