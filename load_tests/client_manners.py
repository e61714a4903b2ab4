"""How each HTTP client behaves where it matters to the gateway.

- cancelled: 32 generations are cancelled; the server must see 32 closed connections (else a
  model goes on writing for nobody), and the client must still work.
- idle close: the server has closed the idle connection before the next POST; it should succeed.
- race: the server reads the POST on a used connection and closes without an answer. A client
  that sends it again by itself makes the model work twice: the number is how often it was sent.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from load_tests.client_adapters import CLIENTS, Opener, Post
from load_tests.raw_client import get_json
from load_tests.stub_model import completion

CANCELLED = 32
GENERATE = json.dumps({"model": "stub-model", "messages": []}).encode()
REVIEW = json.dumps({"messages": [], "logprobs": True, "max_tokens": 1}).encode()


async def after_cancel(opener: Opener, port: int) -> str:
    """Cancel generations in flight and see what the server notices within 2 seconds."""
    before = (await get_json(port, "/stats"))["cancelled"]
    async with opener(port) as post:
        tasks = [asyncio.ensure_future(post(GENERATE)) for _ in range(CANCELLED)]
        await asyncio.sleep(0.5)
        start = time.monotonic()
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        cancelled = sum(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
        closed, took = 0, 0.0
        while closed < CANCELLED and took < 2.0:
            closed = (await get_json(port, "/stats"))["cancelled"] - before
            took = time.monotonic() - start
            await asyncio.sleep(0.01)
        works = await outcome_of(post, REVIEW)
    seconds = f" in {took * 1000:.0f} ms" if closed == CANCELLED else ""
    return f"{closed} of {cancelled} closed{seconds}; next call {works}"


async def outcome_of(post: Post, body: bytes) -> str:
    """`ok`, or the name of the exception."""
    try:
        async with asyncio.timeout(5):
            await post(body)
    except Exception as error:  # noqa: BLE001 - whatever it is, its name is the finding
        return type(error).__name__
    return "ok"


@dataclass
class Closer:
    """A server that answers the first request of a connection, and then closes it.

    `idle` closes at once after that answer; otherwise it waits for the second request, reads
    it, and closes without a word.
    """

    idle: bool
    received: int = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.read_request(reader)
        writer.write(completion("review", 20, False))
        await writer.drain()
        if not self.idle:
            await self.read_request(reader)
        writer.close()

    async def read_request(self, reader: asyncio.StreamReader) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return
        lines = head.lower().split(b"\r\n")
        length = next(line for line in lines if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))
        self.received += 1


@asynccontextmanager
async def listening(closer: Closer) -> AsyncGenerator[int]:
    """The port of a server with this behaviour."""
    server = await asyncio.start_server(closer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def after_close(opener: Opener, *, idle: bool) -> str:
    """A second POST on a connection that the server closes."""
    closer = Closer(idle)
    async with listening(closer) as port, opener(port) as post:
        await post(REVIEW)
        await asyncio.sleep(0.2)
        closer.received = 0
        outcome = await outcome_of(post, REVIEW)
        return f"{outcome}, sent {closer.received}x"


async def manners(port: int) -> None:
    """Print the table; `port` is a stub model whose generations are slow."""
    print("\n| client | cancelled | POST after idle close | POST in the race |")
    print("|---|---|---|---|")
    for name, opener in CLIENTS.items():
        cancelled = await after_cancel(opener, port)
        idle = await after_close(opener, idle=True)
        race = await after_close(opener, idle=False)
        print(f"| {name} | {cancelled} | {idle} | {race} |", flush=True)
