"""Tasks beside a block: over when it is, also where a cancellation is dropped."""

import asyncio

import pytest
from structlog.testing import capture_logs

from inwit import tasks
from inwit.tasks import beside


async def test_a_task_ends_that_dropped_its_first_cancellation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tasks, "_AGAIN_S", 0.01)
    told: list[str] = []

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            told.append("dropped")
        await asyncio.Event().wait()

    async with asyncio.timeout(60), beside("stubborn", stubborn()):
        await asyncio.sleep(0)
    assert told == ["dropped"]


async def test_a_task_ends_where_wait_for_drops_the_cancellation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As redis-py sends: Python 3.11 drops what comes in the tick in which the send is done."""
    monkeypatch.setattr(tasks, "_AGAIN_S", 0.01)
    sent = asyncio.Event()

    async def sending() -> None:
        await asyncio.wait_for(sent.wait(), 60)
        await asyncio.Event().wait()

    async with asyncio.timeout(60), beside("sending", sending()):
        for _ in range(3):
            await asyncio.sleep(0)
        sent.set()
        await asyncio.sleep(0)


async def test_the_failure_of_a_task_is_told_when_it_comes() -> None:
    async def failing() -> None:
        raise ValueError("secret")

    with capture_logs() as logs:
        async with beside("failing", failing()):
            await asyncio.sleep(0.01)
            assert [entry["event"] for entry in logs] == ["task_failed"]
    assert logs == [
        {"event": "task_failed", "task": "failing", "error": "ValueError", "log_level": "error"}
    ]


async def test_the_failure_of_the_block_ends_the_task_too() -> None:
    ended = asyncio.Event()

    async def working() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def block() -> None:
        async with beside("working", working()):
            await asyncio.sleep(0)
            raise ValueError("block")

    with pytest.raises(ValueError, match="block"):
        await block()
    assert ended.is_set()
