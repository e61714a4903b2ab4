"""Webhooks out of real processes that share a ledger, one of which is killed while it sends.

Run as a program, this file is such a process: `python -m tests.process.test_webhooks FOLDER`.
"""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from inwit.auth import ApiKeys
from inwit.escalation.webhooks import Deliverer
from inwit.ledger import deliveries
from inwit.ledger.database import Database, sqlite_file, sqlite_url
from inwit.ledger.store import LedgerStore
from inwit.types import KeyRole
from tests.escalation.receiver import Receiver
from tests.escalation.webhook_world import FakeResponses

pytestmark = pytest.mark.process

WAIT_S = 240


@dataclass
class Outbox:
    """A ledger with deliveries for a receiver, as the test sees it."""

    folder: Path
    secret: str

    def rows(self, query: str) -> list[Any]:
        with sqlite3.connect(sqlite_file(self.folder), timeout=WAIT_S) as raw:
            rows = raw.execute(query).fetchall()
        raw.close()
        return rows

    async def until(self, state: str) -> list[Any]:
        """Wait until every delivery is in this state."""
        query = "SELECT id, state, attempts FROM deliveries ORDER BY id"
        async with asyncio.timeout(WAIT_S):
            while True:
                rows = await asyncio.to_thread(self.rows, query)
                if {row[1] for row in rows} == {state}:
                    return rows


@asynccontextmanager
async def outbox(folder: Path, receiver: Receiver, count: int) -> AsyncGenerator[Outbox]:
    database = Database(sqlite_url(folder))
    await database.open()
    host, url = f"127.0.0.1:{receiver.port}", f"http://127.0.0.1:{receiver.port}/hook"
    keys, store = ApiKeys(database, cache_s=0), LedgerStore(database)
    key, _ = await keys.create(
        name="n",
        tenant="acme",
        policies=["default"],
        roles=[KeyRole.RESPOND],
        callback_hosts=[host],
    )
    rule = await keys.callback_rule(key.id)
    assert rule is not None
    names = [{"case_id": f"esc_{each}", "response_id": f"resp_{each}"} for each in range(count)]
    async with store.running():
        for each in names:
            await store.write(
                lambda transaction, each=each: deliveries.open(
                    transaction, **each, tenant="acme", key_id=key.id, url=url
                )
            )
    await database.close()
    yield Outbox(folder, rule.secret)


@contextmanager
def sender(folder: Path) -> Generator[subprocess.Popen[bytes]]:
    """A process that sends what is due."""
    process = subprocess.Popen([sys.executable, "-m", "tests.process.test_webhooks", str(folder)])
    try:
        yield process
    finally:
        process.kill()
        process.wait(timeout=WAIT_S)


async def test_killed_between_sending_and_recording_it_is_sent_again(tmp_path: Path) -> None:
    async with (
        Receiver(behaviour="hang").running() as receiver,
        outbox(tmp_path, receiver, 1) as box,
    ):
        with sender(tmp_path) as first:
            await receiver.came()
            first.kill()
            first.wait(timeout=WAIT_S)
        receiver.behaviour = "answer"
        (killed,) = box.rows("SELECT state, attempts, owner IS NOT NULL FROM deliveries")
        box.rows("UPDATE deliveries SET owned_until = '2020-01-01 00:00:00.000000'")
        with sender(tmp_path):
            await receiver.came(2)
            ((name, _, attempts),) = await box.until("delivered")

        assert killed == ("pending", 1, 1)
        assert attempts == 2
        assert [got.id for got in receiver.got] == [name, name]
        assert receiver.verified(box.secret, 0) == receiver.verified(box.secret, 1)
        assert box.rows("SELECT count(*) FROM entries WHERE type = 'delivered'") == [(1,)]


async def test_two_processes_send_each_once(tmp_path: Path) -> None:
    async with Receiver().running() as receiver, outbox(tmp_path, receiver, 40) as box:
        with ExitStack() as stack:
            for _ in range(2):
                stack.enter_context(sender(tmp_path))
            rows = await box.until("delivered")

        assert {row[2] for row in rows} == {1}
        assert sorted(got.id for got in receiver.got) == [row[0] for row in rows]


async def _send_for_ever(folder: Path) -> None:
    database = Database(sqlite_url(folder))
    await database.open()
    store, keys = LedgerStore(database), ApiKeys(database, cache_s=60)
    async with store.running(), Deliverer(database, store, keys, FakeResponses()).running():
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_send_for_ever(Path(sys.argv[1])))
