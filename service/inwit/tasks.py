"""Tasks beside a block of code: they begin with it, and are over when it is."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog

log = structlog.get_logger()

_AGAIN_S = 1.0


@asynccontextmanager
async def beside(name: str, work: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Do the work, as a task of that name, until the block ends. A failure of it is logged."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_say_why)
    try:
        yield
    finally:
        await stop(task)


async def stop(task: asyncio.Task[Any]) -> None:
    """Cancel the task until it has ended.

    Once may not do: `asyncio.wait_for` of Python 3.11 drops a cancellation that comes in the moment
    in which what it waits for is done (python/cpython#86296), and redis-py sends by it.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait((task,), timeout=_AGAIN_S)


def _say_why(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("task_failed", task=task.get_name(), error=type(error).__name__)
