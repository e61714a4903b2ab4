"""Works through many questions, some at once, and gives up where only failures come back."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


async def in_turn(
    items: Iterable[T],
    concurrency: int,
    most_broken: int,
    ask: Callable[[T], Awaitable[bool]],
) -> int:
    """Ask about each item, `concurrency` at once; `ask` says whether the server seems broken.

    Gives how many in a row were broken at the end: `most_broken` or more where it gave up, and
    what was left was not asked.
    """
    waiting, broken = iter(items), 0

    async def work() -> None:
        nonlocal broken
        for item in waiting:
            if broken >= most_broken:
                return
            broken = broken + 1 if await ask(item) else 0

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(work())
    return broken
