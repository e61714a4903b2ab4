"""Work that goes on after its request has ended: bounded, and finished at shutdown in seconds."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

_DRAIN_S = 5.0


class Background:
    """Runs tasks on the side. Keep it running while anything may be started in it."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """At the end of the block, finish what is under way, within a few seconds."""
        try:
            yield
        finally:
            await self.idle(_DRAIN_S)
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def idle(self, timeout_s: float | None = None) -> None:
        """Wait until what is under way now is done, at most `timeout_s` seconds."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)

    def count(self, name: str) -> int:
        """How many tasks of that name are under way."""
        return sum(task.get_name() == name for task in self._tasks)

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Do the work on the side; it answers for its own errors."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
