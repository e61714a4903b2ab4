"""How long a call may take, and a stream may be silent.

What must have come before a time is up may be late on a machine that stands still: those tests
take the first time that is long enough for it.
"""

import asyncio
from typing import Any

import pytest

from inwit.client import AsyncInwit, InwitError, TimedOut
from tests.client.conftest import ASK, KEY, Client, MakeClient, Told
from tests.client.logs import Log
from tests.client.server import (
    DECISION,
    END,
    ID,
    FakeGateway,
    deltas,
    hangs,
    refuses,
    replies,
    streams,
)

TIMES_S = (0.3, 3.0, 60.0)
LOG = Log()


async def test_the_timeout_bounds_the_whole_call(gateway: FakeGateway, client: Client) -> None:
    said = ""
    for timeout in TIMES_S:
        gateway.seen.clear()
        gateway.script = [refuses(429, retry_after="0"), hangs]
        with pytest.raises(TimedOut, match=rf"longer than its timeout of {timeout:g} s") as raised:
            await client.ask("respond", ASK, timeout=timeout)
        said = raised.value.request_id
        if len(gateway.seen) == 2:
            break

    assert len(gateway.seen) == 2
    assert said == gateway.seen[1].headers["x-request-id"]


async def test_the_timeout_bounds_an_answer_that_drips(
    gateway: FakeGateway, client: Client
) -> None:
    gateway.script = [streams(b"{", then="beat")]

    with pytest.raises(TimedOut):
        await client.ask("respond", ASK, timeout=0.3)


async def test_on_asyncio_a_head_that_drips_does_not_outlast_the_timeout() -> None:
    began, over = asyncio.Event(), asyncio.Event()

    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        began.set()
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not writer.is_closing():
            writer.write(b"x: 1\r\n")
            await asyncio.sleep(0.01)
        over.set()

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        for timeout in TIMES_S:
            async with AsyncInwit(f"http://127.0.0.1:{port}", api_key=KEY, timeout=timeout) as one:
                with pytest.raises(TimedOut):
                    await one.respond(ASK)
            if began.is_set():
                break
        await over.wait()


@pytest.mark.parametrize("then", ["beat", "hang"])
async def test_the_timeout_bounds_the_whole_stream(
    gateway: FakeGateway, client: Client, then: Any
) -> None:
    told = Told()
    for timeout in TIMES_S:
        gateway.script = [streams(*deltas("The moon"), then=then)]
        told = await client.listen(timeout=timeout)
        assert type(told.error) is TimedOut
        if told.events:
            break

    assert type(told.error) is TimedOut
    assert told.error.text == "The moon"


async def test_a_stream_without_heartbeats_counts_as_broken(
    gateway: FakeGateway, make_client: MakeClient
) -> None:
    one, two = deltas("The ", "moon.")
    told = Told()
    for stall in TIMES_S:
        gateway.script = [streams(one, then="hang"), streams(two, DECISION, END)]
        told = await make_client(stall=stall).listen()
        if told.error is None:  # the second one was in time
            break

    assert told.ended.content == "The moon."


async def test_a_proof_is_not_waited_for_past_the_calls_own_time(
    gateway: FakeGateway, client: Client
) -> None:
    gateway.script = [LOG.answers(17)]
    await client.ask("respond", ASK)

    for timeout in TIMES_S:
        gateway.script = [LOG.answers(40), hangs]
        try:
            answer = await client.ask("respond", ASK, timeout=timeout)
        except InwitError:
            continue  # what came late was the answer itself
        assert answer.released
        break
    else:
        raise AssertionError("no answer without the proof")

    assert client.inwit.witness.newest == LOG.note(17)


async def test_a_receipt_is_not_waited_for_longer_than_asked(
    gateway: FakeGateway, client: Client
) -> None:
    for wait in TIMES_S[:2]:
        gateway.script = [replies({"status": "pending"}, 202, retry_after="600")] * 2
        with pytest.raises(TimedOut):
            await client.ask("receipt", ID, wait=wait)
        if gateway.seen:
            break

    assert len(gateway.seen) == 1
