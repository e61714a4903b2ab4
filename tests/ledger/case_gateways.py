"""The world of cases on real gateways' ledgers, at a time of its own."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import sqlalchemy as sa

from inwit.ledger.database import Database
from inwit.ledger.store import LedgerStore
from inwit.ledger.transaction import Transaction
from tests.ledger.case_world import World

Step = Callable[[Transaction], Any]


class Gateways(World):
    """Each act goes to the next gateway in turn. Databases are opened from `urls`."""

    def __init__(self, *urls: str) -> None:
        super().__init__()
        self._runner, self._stack, self._turn = asyncio.Runner(), AsyncExitStack(), 0
        self._databases = [Database(url) for url in urls]
        self._stores = [LedgerStore(database) for database in self._databases]
        self._runner.run(self._open())

    def close(self) -> None:
        self._runner.run(self._stack.aclose())
        self._runner.close()
        super().close()

    def do(self, steps: Step) -> Any:
        (result,) = self.together([steps])
        if isinstance(result, BaseException):
            raise result
        return result

    def together(self, many: Sequence[Step]) -> list[Any]:
        """Asked of one gateway before it has committed any: results or errors, in this order."""
        self._turn += 1
        store = self._stores[self._turn % len(self._stores)]

        async def ask() -> list[Any]:
            asked = [asyncio.ensure_future(store.write(self._at_my_time(each))) for each in many]
            return await asyncio.gather(*asked, return_exceptions=True)

        return self._runner.run(ask())

    def read(self, work: Callable[[sa.Connection], Any]) -> Any:
        return self._runner.run(self._databases[self._turn % len(self._databases)].read(work))

    async def _open(self) -> None:
        for database, store in zip(self._databases, self._stores, strict=True):
            await database.open()
            self._stack.push_async_callback(database.close)
            await self._stack.enter_async_context(store.running())

    def _at_my_time(self, steps: Step) -> Step:
        def run(transaction: Transaction) -> Any:
            transaction.now = self.now
            return steps(transaction)

        return run
